"""The supervisor: keeps worker processes running, each in a session of its own, and runs a janitor."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from types import FrameType
from typing import Final

from psthreads.database.connection import connect
from psthreads.database.shared_settings import SharedSettings
from psthreads.documents.installation import Installation
from psthreads.domain.config import Config
from psthreads.system.wakeup import Wakeup
from psthreads.threads.janitor import Janitor
from psthreads.threads.store import ThreadStore

_BACK_OFF_SECONDS: Final = 1.0
_LEAVE_SECONDS: Final = 5.0
_log = logging.getLogger(__name__)

_WORKER: Final = (
    "import sys; from psthreads.domain.config import Config; from psthreads.worker.worker import main; "
    "main(Config.from_env(), int(sys.argv[1]))"
)


@dataclass(slots=True)
class _Slot:
    """A worker process, or none, and when it was last started."""

    process: subprocess.Popen[bytes] | None = None
    started: float = float("-inf")


class Supervisor:
    """Runs `config.workers` worker processes until a signal stops it."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._wakeup = Wakeup()
        self._stopping = False
        self._slots = [_Slot() for _ in range(config.workers)]

    def run(self) -> None:
        """Keep the workers running until SIGTERM or SIGINT; then stop them, and kill those that do not stop in time."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # so that it ends the wait
        self._wakeup.wake_on_signals()
        redis = connect(self._config.redis_url, connections=4)
        settings = SharedSettings(redis, self._config, "workers")
        installation = Installation(redis, self._config, "workers")
        janitor = Janitor(redis, self._config, ThreadStore(redis, self._config), settings, installation)
        janitor.start()
        try:
            while not self._stopping:
                self._wakeup.wait(min(self._fill(slot) for slot in self._slots))
        finally:
            self._dismiss()
            janitor.stop()

    def _fill(self, slot: _Slot) -> float:
        """Start a worker where none runs, and return in how many seconds to check again."""
        if slot.process is not None:
            code = slot.process.poll()
            if code is None:
                return 60.0
            _log.warning("Worker process %d ended with exit code %d: starting another", slot.process.pid, code)
            slot.process = None
        # A worker that cannot even start must not keep the machine busy.
        wait = slot.started + _BACK_OFF_SECONDS - time.monotonic()
        if wait > 0:
            return wait
        slot.started = time.monotonic()
        slot.process = subprocess.Popen(  # noqa: S603 (our own program)
            [sys.executable, "-c", _WORKER, str(os.getpid())],
            stdin=subprocess.DEVNULL,
            env={**os.environ, **self._config.to_env()},
            start_new_session=True,
        )
        return 60.0

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _dismiss(self) -> None:
        running = [slot.process for slot in self._slots if slot.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + self._config.shutdown + _LEAVE_SECONDS
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()  # Its horse goes with it.
                process.wait()
