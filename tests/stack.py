"""Real processes for the tests: workers and web servers, and the one way to wait for something."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeVar

import psutil

from psthreads.domain.config import Config

T = TypeVar("T")
ROOT = Path(__file__).parent.parent
WORKER = (
    "import sys; from psthreads.domain.config import Config; from psthreads.worker.worker import main; "
    "main(Config.from_env(), int(sys.argv[1]))"
)


def wait_for(condition: Callable[[], T], seconds: float = 30.0) -> T:
    """What the condition gives once it is true; fails the test when that takes longer than the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        assert time.monotonic() < deadline, f"Waited {seconds} s in vain"
        time.sleep(0.01)


def free_port() -> int:
    """A port below those that the system gives to clients: one of these could take it before the server does."""
    while True:
        port = random.randrange(12_000, 32_000)  # noqa: S311 (nobody needs to guess it)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Program:
    """A program of ours, started with a config; a context manager that kills what is left at the end."""

    def __init__(self, config: Config, command: list[str], **environment: str) -> None:
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
        path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
        self.process = subprocess.Popen(
            self._command,
            env={**os.environ, **self._config.to_env(), "PYTHONPATH": path, **self._environment},
            cwd=ROOT,
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        left = self.children()
        self.process.kill()
        self.process.wait()
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(left, timeout=10)


def worker(config: Config) -> Program:
    """One worker process."""
    return Program(config, [sys.executable, "-c", WORKER, str(os.getpid())])


def supervisor(config: Config, **environment: str) -> Program:
    """`python worker.py`."""
    return Program(config, [sys.executable, "worker.py"], **environment)


def web(config: Config) -> Program:
    """gunicorn with the project's own settings."""
    return Program(config, [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "app:app"])
