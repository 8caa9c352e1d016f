"""The supervisor: keeps worker processes running, each in a session of its own, watches them, and runs a janitor.

A worker that ends or stands still takes its code with it: the supervisor kills all that the worker had started, and
only then gives its thread up, so that nothing of a thread is at work when it is queued again or said to have ended.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Final

from psthreads.database.connection import connect
from psthreads.database.shared_settings import SharedSettings
from psthreads.documents.installation import Installation
from psthreads.domain.config import Config
from psthreads.system.child_processes import adopt_orphans, end_children
from psthreads.system.clock import steady
from psthreads.system.wakeup import Wakeup
from psthreads.telemetry import logs
from psthreads.threads import crew
from psthreads.threads.janitor import Janitor
from psthreads.threads.leases import WORKER_LOST
from psthreads.threads.store import ThreadStore
from psthreads.worker.horse.execution_fence import LATE_SECONDS
from psthreads.worker.joint_heartbeat import JointHeartbeat
from psthreads.worker.lost_workers import LostWorker, LostWorkerReporter
from psthreads.worker.shared_state import SharedState

_BACK_OFF_SECONDS: Final = 1.0
# With the default of PSTHREADS_SHUTDOWN it is 25 s in all: platforms kill after 30.
_LEAVE_SECONDS: Final = 2.5
_TELL_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.25
_KILL_SECONDS: Final = 1.0
_STOPPED_SECONDS: Final = 0.5  # in which somebody who stopped a worker may let it go on
_HANGS_SECONDS: Final = 20.0  # the loop of a worker that has a horse goes round once a second
_log = logging.getLogger(__name__)

_WORKER: Final = (
    "import sys; from psthreads.domain.config import Config; from psthreads.worker.worker import main; "
    "main(Config.from_env(), int(sys.argv[1]), int(sys.argv[2]))"
)


@dataclass(slots=True)
class _Slot:
    """A worker process, or none, when it was last started, and since when it is stopped."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    state: SharedState | None = None
    started: float = float("-inf")
    stopped: float = float("inf")


class Supervisor:
    """Runs `config.workers` worker processes until a signal stops it. It notes their process ids, for its warden."""

    def __init__(self, config: Config, pids: memoryview[int]) -> None:
        self._config = config
        self._pids = pids
        self._wakeup = Wakeup()
        self._stopping = False
        self._slots = [_Slot(number) for number in range(config.workers)]
        self._redis = connect(config.redis_url, connections=4)
        self._store = ThreadStore(self._redis, config)
        self._lost_workers = LostWorkerReporter(self._redis, self._store)
        self._installation = Installation(self._redis, config, "workers")
        executions = ThreadStore(self._redis, config, installation=self._installation)
        self._heartbeat = JointHeartbeat(executions, self._at_work, config.heartbeat, crew.lifetime(config))

    def run(self) -> None:
        """Keep the workers running until SIGTERM or SIGINT; then stop them, and kill those that do not stop in time."""
        adopt_orphans()
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # so that it ends the wait
        self._wakeup.wake_on_signals()
        settings = SharedSettings(self._redis, self._config, "workers")
        janitor = Janitor(self._redis, self._config, self._store, settings, self._installation)
        janitor.start()
        self._lost_workers.start()
        logs.note(_log, f"psthreads {logs.release()}: supervisor ready", workers=self._config.workers)
        self._heartbeat.start()
        try:
            while not self._stopping:
                self._wakeup.wait(min(self._keep(slot) for slot in self._slots))
        finally:
            logs.note(_log, "Supervisor stopping")
            self._heartbeat.stop()
            self._dismiss()
            self._lost_workers.stop(_TELL_SECONDS)
            janitor.stop()

    def _at_work(self) -> list[SharedState]:
        """Return the pages of the workers that run, and are not stopped."""
        slots = [slot for slot in self._slots if slot.process is not None and slot.stopped == float("inf")]
        return [state for slot in slots if (state := slot.state) is not None]

    def _keep(self, slot: _Slot) -> float:
        """See to it that a healthy worker runs, and return in how many seconds to look again."""
        if slot.process is not None:
            if why := self._fault(slot):
                _log.error("Worker process %d %s: killing it with all that it started", slot.process.pid, why)
                slot.process.kill()
                with suppress(subprocess.TimeoutExpired):  # The kernel may hold it, such as for a disk that is gone.
                    slot.process.wait(_KILL_SECONDS)
            code = slot.process.poll()
            if code is None:
                return _LOOK_SECONDS
            _log.warning("Worker process %d ended with exit code %d: starting another", slot.process.pid, code)
            self._clean_up(slot, WORKER_LOST)
        # A worker that cannot even start must not keep the machine busy.
        wait = slot.started + _BACK_OFF_SECONDS - time.monotonic()
        if wait > 0:
            return min(wait, _LOOK_SECONDS)
        self._start(slot)
        return _LOOK_SECONDS

    def _start(self, slot: _Slot) -> None:
        slot.started, slot.stopped = time.monotonic(), float("inf")
        try:
            slot.state, page = SharedState.share()
        except OSError as error:
            _log.error("A worker cannot be started: %s", error)
            return
        try:
            slot.process = subprocess.Popen(  # noqa: S603 (our own program)
                [sys.executable, "-c", _WORKER, str(os.getpid()), str(page)],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self._config.to_env()},
                start_new_session=True,
                pass_fds=(page,),
            )
            self._pids[slot.number] = slot.process.pid
        except OSError as error:  # The machine has no room for another process.
            _log.error("A worker cannot be started: %s", error)
        finally:
            os.close(page)

    def _fault(self, slot: _Slot) -> str:
        """Return why a worker does not do its work, or an empty text."""
        if slot.process is None or slot.state is None:
            return ""
        # It tells of each stop and each continuation once.
        with suppress(ChildProcessError):  # It has ended.
            while change := os.waitid(os.P_PID, slot.process.pid, os.WSTOPPED | os.WCONTINUED | os.WNOHANG):
                slot.stopped = steady() if change.si_code == os.CLD_STOPPED else float("inf")
        now = steady()
        if now > slot.stopped + _STOPPED_SECONDS:
            return "is stopped"
        if now > slot.state.kill_at() + LATE_SECONDS:
            return "did not end its code, whose lease has run out"
        if now > slot.state.loop_at + _HANGS_SECONDS:
            return "does not watch its thread any more"
        return ""

    def _clean_up(self, slot: _Slot, why: str) -> None:
        """End what is left of a worker that has ended; then give up its thread."""
        slot.process, self._pids[slot.number] = None, 0
        end_children(spare=self._pids)
        if slot.state is not None:
            self._lost_workers.report(LostWorker(slot.state.worker, slot.state.execution, why))
        slot.state = None

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _dismiss(self) -> None:
        running = [(slot, slot.process) for slot in self._slots if slot.process is not None]
        for _, process in running:
            process.terminate()
        deadline = time.monotonic() + self._config.shutdown + _LEAVE_SECONDS
        for slot, process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_KILL_SECONDS)
            if process.poll() is not None:
                self._clean_up(slot, "Worker restarted")
