"""The operator's commands as a program of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial

from redis import Redis

from psthreads.domain.config import Config
from tests.support.checkout import ROOT

PASSWORD = "correct horse"
NO_FLASK = "import sys; sys.modules['flask'] = None; from psthreads.__main__ import main; main()"


def test_the_commands_work_as_a_program_of_their_own_and_need_no_flask(redis: Redis, config: Config) -> None:
    admin = [sys.executable, "-c", NO_FLASK, "admin"]
    run = partial(subprocess.run, cwd=ROOT, env={**os.environ, "REDIS_URL": config.redis_url}, timeout=60, text=True)
    for line, typed in (("member add jjones --password-stdin", f"{PASSWORD}\n"), ("group add acme", "")):
        run([*admin, *line.split()], input=typed, check=True)
    listed = run([*admin, "member", "list", "--json"], capture_output=True, check=True)
    assert [member["username"] for member in json.loads(listed.stdout)] == ["jjones"]
    failed = run([*admin, "group", "add", "acme"], capture_output=True, check=False)
    assert failed.returncode == 1
    assert failed.stderr.splitlines() == ["Error: There is a group 'acme' already: choose another name."]
