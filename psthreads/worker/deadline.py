"""Why and when an execution must end."""

from __future__ import annotations

from typing import Final

from psthreads.authoring.context import Cancelled, Interrupted, ShutDown, TimedOut
from psthreads.domain.config import Config
from psthreads.domain.model import Ownership
from psthreads.system.clock import steady
from psthreads.threads.records import Heartbeat
from psthreads.worker.shared_state import Execution, Phase, SharedState

_NEVER: Final = float("inf")
# In which a horse that is killed by force may still write its last report, and one that has just written the end of its
# thread may say so: its worker learns from Redis that the thread is over.
_LAST_WORDS_SECONDS: Final = 0.1


class Deadline:
    """The limits of one execution, which is replaced by what the page says later of it. Times are of `steady`."""

    def __init__(self, execution: Execution, config: Config, state: SharedState) -> None:
        self.execution = execution
        self.reason: type[Interrupted] | None = None
        self.was_killed = False
        self.is_forced = False
        self.is_cut_off = False
        self._kill_at = _NEVER
        self._config = config
        self._is_cancelling = False
        self._state = state

    def heed(self, answer: Heartbeat) -> None:
        """Take in the answer to a heartbeat: a request to cancel, or that the thread belongs to somebody else."""
        if answer.ownership is Ownership.DISOWNED:
            if self.execution.phase is Phase.ENDING:
                return  # It has written the end of its thread, and waits until replicas have it.
            self._kill_at = min(self._kill_at, steady() + _LAST_WORDS_SECONDS)
        elif answer.ownership is Ownership.CANCELLING:
            self._is_cancelling = True
            self.is_forced = self.is_forced or answer.forced
            grace = _LAST_WORDS_SECONDS if answer.forced else max(0.0, self._grace - answer.since)
            self._kill_at = min(self._kill_at, steady() + grace)

    def due(self, now: float, *, stopping: bool) -> type[Interrupted] | None:
        """Return once the reason to interrupt the horse, which is killed at `kill_at` if it goes on."""
        if self.reason is None:
            if self._is_cancelling:
                self.reason = Cancelled
            elif now >= self._limit_at:
                self.reason = TimedOut
                self._kill_at = min(self._kill_at, now + self._grace)
            elif stopping:
                self.reason = ShutDown
                self._kill_at = min(self._kill_at, now + self._config.shutdown)
            elif now >= self._state.cut_at(self.execution.number):
                self.reason = ShutDown
                self.is_cut_off = True
            return self.reason
        return None

    @property
    def kill_at(self) -> float:
        """When the horse is to be killed."""
        return min(self._kill_at, self._state.kill_at(self.execution.number))

    @property
    def next(self) -> float:
        """The next time at which something is to be done."""
        if self.reason:
            return self.kill_at
        return min(self.kill_at, self._limit_at, self._state.cut_at(self.execution.number))

    @property
    def _limit_at(self) -> float:
        return self.execution.began + self.execution.limit

    @property
    def _grace(self) -> float:
        # A process that must not be killed has as long as it needs, but for a forced cancel, the worker's own end, and
        # the end of the lease.
        return self._config.grace if self.execution.killable else _NEVER
