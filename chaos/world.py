"""The programs that the storm goes through, each kept running by somebody who starts it again."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import psutil

from psthreads.domain.config import Config
from psthreads.domain.errors import ConfigError
from psthreads.local.programs import SUPERVISOR, WEB, free_port, start
from psthreads.local.server import RedisServer

ROOT: Final = Path(__file__).parent.parent
_POLL_SECONDS: Final = 0.2


class Program:
    """A program that is started again when it has died."""

    def __init__(self, name: str, config: Config, command: Sequence[str], log: Path) -> None:
        self.name = name
        self._config = config
        self._command = command
        self._log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; its output goes to the log."""
        with self._log.open("ab") as log:
            self.process = start(self._command, self._config, folder=ROOT, output=log)

    def keep(self) -> None:
        """Start it again if it has died."""
        if self.process is not None and self.process.poll() is not None:
            self.start()

    def stop(self) -> None:
        """End it, and whatever it started."""
        if self.process is not None:
            left = family(self.process.pid)
            self.process.terminate()
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            for process in left:
                strike(process.pid, signal.SIGKILL)


class World:
    """Redis, a web process and supervisors with workers, on this machine. A context manager."""

    def __init__(self, folder: Path, supervisors: int, workers: int) -> None:
        self.redis = RedisServer(folder / "redis", tied=False)  # The storm starts it again, and ends before it.
        self.config = Config(
            redis_url=self.redis.url,
            port=free_port(),
            workers=workers,
            documents=folder / "documents",
            processes=("chaos.processes",),
            grace=3,
        )
        self.web = Program("web", self.config, WEB, folder / "web.log")
        self.supervisors = [
            Program(f"supervisor {number}", self.config, SUPERVISOR, folder / f"worker{number}.log")
            for number in range(supervisors)
        ]
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper")

    @property
    def address(self) -> str:
        """Where the web process answers."""
        return f"http://127.0.0.1:{self.config.port}"

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes that live now."""
        return [child for supervisor in self.supervisors for child in children(supervisor)]

    def horses(self) -> list[psutil.Process]:
        """Return the horses that live now."""
        return [horse for worker in self.workers() for horse in kin(worker)]

    def restart_redis(self, pause: float) -> None:
        """Kill Redis as a crash would, and start it again after a pause in seconds."""
        self.redis.kill()
        time.sleep(pause)
        # It loads what it had before it answers; a second try is for a socket that is slow to go.
        for _ in range(3):
            with suppress(ConfigError):
                return self.redis.start()
        raise ConfigError("Redis could not be started again.")

    def __enter__(self) -> Self:
        self.redis.start()
        for program in (self.web, *self.supervisors):
            program.start()
        self._keeper.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._keeper.join()
        for program in (*self.supervisors, self.web):
            program.stop()
        self.redis.stop()

    def _keep(self) -> None:
        while not self._ended.wait(_POLL_SECONDS):
            for program in (self.web, *self.supervisors):
                program.keep()


def children(program: Program) -> list[psutil.Process]:
    """Return the processes that the program started itself."""
    if program.process is None:
        return []
    try:
        return kin(psutil.Process(program.process.pid))
    except psutil.NoSuchProcess:
        return []


def kin(process: psutil.Process) -> list[psutil.Process]:
    """Return the living children of this process."""
    try:
        return [child for child in process.children() if child.status() != psutil.STATUS_ZOMBIE]
    except psutil.NoSuchProcess:
        return []


def family(pid: int) -> list[psutil.Process]:
    """Everything below a process."""
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def strike(pid: int, number: signal.Signals) -> bool:
    """Send a signal; False where the process is gone already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for the condition, at most that long; returns whether it came true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS / 4)
    return True
