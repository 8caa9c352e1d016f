"""The web process and the workers of `psthreads run`: started, watched and ended together."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import requests

from psthreads.client.pinning import pin
from psthreads.domain.config import Config
from psthreads.domain.errors import ConfigError
from psthreads.local.programs import SUPERVISOR, WEB, start
from psthreads.local.server import RedisServer

_READY_SECONDS: Final = 60.0
_LEAVE_SECONDS: Final = 10.0  # besides the time that a worker gives its thread to clean up
_LOST_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.1


class LocalPrograms:
    """The programs for these settings, with their logs in `var`. `redis` is the one that is theirs alone, if any."""

    def __init__(self, config: Config, var: Path, redis: RedisServer | None) -> None:
        self.address = f"{'https' if config.certificate else 'http'}://{config.address}"
        self._config = config
        self._var = var
        self._redis = redis
        self._processes: dict[Path, subprocess.Popen[bytes]] = {}

    def begin(self) -> None:
        """Start them."""
        for name, command in (("worker", SUPERVISOR), ("web", WEB)):
            log = self._var / f"{name}.log"
            with log.open("ab") as output:
                self._processes[log] = start(command, self._config, output=output, tied=True)

    def end(self) -> None:
        """Tell them to stop, and kill those that do not in time."""
        for process in self._processes.values():
            process.terminate()
        # A worker that has lost its Redis retries to store its thread's end: there is nothing to wait for.
        has_redis = self._redis is None or self._redis.is_running()
        deadline = time.monotonic() + (self._config.shutdown + _LEAVE_SECONDS if has_redis else _LOST_SECONDS)
        for process in self._processes.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def check(self) -> None:
        """Raise ConfigError where one of them has ended by itself."""
        for log, is_running in self._parts().items():
            if not is_running():
                raise ConfigError(f"One of the processes ended by itself: {relative(log)} says why.")

    def await_ready(self) -> None:
        """Wait until the service is ready. Raises ConfigError where it does not become so."""
        deadline = time.monotonic() + _READY_SECONDS
        with requests.Session() as session:
            if self._config.certificate:
                pin(session, self._config.certificate)
            while time.monotonic() < deadline:
                self.check()
                try:
                    answer = session.get(f"{self.address}/readyz", timeout=5)
                    if answer.ok and " 0 workers" not in answer.text:
                        return
                except requests.RequestException:
                    pass
                time.sleep(_POLL_SECONDS)
        logs = " and ".join(map(relative, self._parts()))
        raise ConfigError(f"The service did not start within {_READY_SECONDS:g} s: {logs} may say why.")

    def last_words(self) -> str:
        """Return the last line that the first program has logged which has ended by itself; empty where none has."""
        log = next((log for log, is_running in self._parts().items() if not is_running()), None)
        return log.read_text(errors="replace").strip().rpartition("\n")[2] if log else ""

    def _parts(self) -> dict[Path, Callable[[], bool]]:
        redis = {self._redis.log: self._redis.is_running} if self._redis is not None else {}
        return redis | {log: partial(_runs, process) for log, process in self._processes.items()}


def relative(path: Path) -> str:
    """Return the path as it is from the current folder."""
    return os.path.relpath(path)


def _runs(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None
