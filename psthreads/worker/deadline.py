"""Why and when a horse must end."""

from __future__ import annotations

from typing import Final

from psthreads.authoring.context import Cancelled, Interrupted, ShutDown, TimedOut
from psthreads.domain.config import Config
from psthreads.system.clock import steady
from psthreads.worker.shared_state import SharedState

_NEVER: Final = float("inf")
_LAST_WORDS_SECONDS: Final = 0.1  # in which a horse that is killed by force may still write its last report


class Deadline:
    """The limits of one run. Times are seconds on the clock `steady`."""

    def __init__(self, limit: float, killable: bool, config: Config, state: SharedState) -> None:  # noqa: FBT001 (both are the process's limits)
        self.limit = limit
        self.reason: type[Interrupted] | None = None
        self.was_killed = False
        self.is_forced = False
        self.is_cut_off = False
        self._limit_at = steady() + limit
        self._kill_at = _NEVER
        # A process that must not be killed has as long as it needs, but for a forced cancel, the worker's own end, and
        # the end of the lease.
        self._grace = config.grace if killable else _NEVER
        self._shutdown = config.shutdown
        self._is_cancelling = False
        self._state = state

    def cancel(self, since: float, *, forced: bool) -> None:
        """Note a request to cancel that was made `since` seconds ago."""
        self._is_cancelling = True
        self.is_forced = self.is_forced or forced
        grace = _LAST_WORDS_SECONDS if forced else max(0.0, self._grace - since)
        self._kill_at = min(self._kill_at, steady() + grace)

    def disown(self) -> None:
        """Note that the thread belongs to somebody else by now."""
        self._kill_at = 0.0

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
                self._kill_at = min(self._kill_at, now + self._shutdown)
            elif now >= self._state.cut_at:
                self.reason = ShutDown
                self.is_cut_off = True
            return self.reason
        return None

    @property
    def kill_at(self) -> float:
        """When the horse is to be killed."""
        return min(self._kill_at, self._state.kill_at)

    @property
    def next(self) -> float:
        """The next time at which something is to be done."""
        return self.kill_at if self.reason else min(self.kill_at, self._limit_at, self._state.cut_at)
