"""Real processes for the tests: workers and web servers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cached_property
from typing import Self

import psutil
from redis import Redis

from psthreads.domain.config import Config
from psthreads.local.programs import GUNICORN, SUPERVISOR, start
from psthreads.threads import crew
from psthreads.threads.store import ThreadStore
from tests.support.checkout import ROOT
from tests.support.waiting import wait_for

WORKER = (
    "import sys; from psthreads.domain.config import Config; from psthreads.worker.worker import main; "
    "main(Config.from_env(), int(sys.argv[1]))"
)
PROCFILE = {
    name.rstrip(":"): [sys.executable, *(["-m", "gunicorn"] if program == "gunicorn" else []), *arguments]
    for name, program, *arguments in map(str.split, (ROOT / "Procfile").read_text().splitlines())
}
"""What starts the programs of a checkout."""


class Program:
    """A program of ours, started with a config; a context manager that kills what is left at the end."""

    def __init__(self, config: Config, command: Sequence[str], **environment: str) -> None:
        self._config = config
        self._command = command
        self._environment = environment
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def children(self) -> list[psutil.Process]:
        try:
            return list(psutil.Process(self.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return []

    def __enter__(self) -> Self:
        environment = {"PYTHONPATH": str(ROOT), **self._environment}
        self.process = start(self._command, self._config, folder=ROOT, environment=environment)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        left = psutil.Process(self.process.pid).children(recursive=True) if self.process.poll() is None else []
        self.process.kill()
        self.process.wait()
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(left, timeout=10)


def worker_of(redis: Redis, config: Config, store: ThreadStore, thread_id: str) -> psutil.Process:
    """The worker process that runs a thread, once it has begun."""
    name = wait_for(lambda: store.fetch(thread_id).worker)
    return psutil.Process(next(each.pid for each in crew.look(redis, config).workers if each.name == name))


def worker(config: Config) -> Program:
    """One worker process."""
    return Program(config, [sys.executable, "-c", WORKER, str(os.getpid())])


class Supervisor(Program):
    """`psthreads worker`: its supervisor, whose warden is the process that was started."""

    @cached_property
    def pid(self) -> int:
        assert self.process is not None
        return wait_for(psutil.Process(self.process.pid).children)[0].pid


def supervisor(config: Config, **environment: str) -> Supervisor:
    """`psthreads worker`."""
    return Supervisor(config, SUPERVISOR, **environment)


def web(config: Config) -> Program:
    """gunicorn with the project's own settings."""
    return Program(config, GUNICORN)
