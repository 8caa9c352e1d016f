"""What only web processes need never reaches workers, the code that they run, or its children."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import psutil
from redis import Redis

from psthreads.authoring.children import fork_child
from psthreads.domain.config import FOR_WEB, Config
from psthreads.local.programs import SUPERVISOR, start
from psthreads.system.privileges import ROOT, runs_as_root
from tests.support import checkout
from tests.support.waiting import wait_for

SECRET = "never-for-workers"


def test_no_secret_of_the_web_is_in_the_environment_of_workers(config: Config, redis: Redis) -> None:
    secretive = replace(
        config,
        secret_key=SECRET,
        oidc_client_secret=SECRET,
        certificate=SECRET,
        private_key=SECRET,
        metrics_token=SECRET * 2,
        workers=1,
    )
    assert {name for name, value in secretive.to_env().items() if SECRET in value} == FOR_WEB
    program = start(SUPERVISOR, secretive, folder=checkout.ROOT, output=subprocess.PIPE, tied=True)
    try:
        wait_for(lambda: redis.exists("rq:workers"))
        processes = [psutil.Process(program.pid), *psutil.Process(program.pid).children(recursive=True)]
        assert len(processes) >= 2
        for process in processes:
            assert SECRET not in Path(f"/proc/{process.pid}/environ").read_text()
            assert "REDIS_URL" in process.environ()
    finally:
        program.terminate()
        output = b"".join(program.communicate(timeout=30))
    assert (ROOT in output.decode()) == runs_as_root()


def test_a_child_for_work_in_c_has_no_environment() -> None:
    os.environ["PSTHREADS_TEST_SECRET"] = SECRET
    try:
        _, status = os.waitpid(fork_child(lambda: len(os.environ)), 0)
    finally:
        del os.environ["PSTHREADS_TEST_SECRET"]
    assert os.waitstatus_to_exitcode(status) == 0
