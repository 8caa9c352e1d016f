"""The fence of an execution: its lease, known from the page that it shares with its worker, and what the store says."""

from __future__ import annotations

import math
import time
from typing import Final

from psthreads.domain.errors import GivenUp, Unavailable
from psthreads.system.clock import steady
from psthreads.threads.store import ThreadStore
from psthreads.worker.horse.leftovers import end_all
from psthreads.worker.shared_state import Execution, SharedState

LATE_SECONDS: Final = 0.2
"""By which a worker may be late in killing its code."""

_AGAIN_SECONDS: Final = 0.25


class ExecutionFence:
    """Keeps this execution from changing anything once another one may have its thread."""

    def __init__(self, store: ThreadStore, state: SharedState, execution: Execution) -> None:
        self._store = store
        self._state = state
        self._execution = execution

    def guard(self) -> float:
        """End the calling horse where its lease has run out; return in how many seconds that may be at the soonest.

        Its worker and its supervisor do that in time. This is for when both stand still.
        """
        left = self._kill_at + LATE_SECONDS - steady()
        if left == -math.inf:  # The horse is at another execution by now.
            return math.inf
        if left <= 0:
            end_all()
        return left

    def require_lease(self) -> None:
        """Raise GivenUp where the lease has run out; see `Fence`."""
        if steady() >= self._kill_at:
            raise GivenUp

    @property
    def _kill_at(self) -> float:
        return self._state.kill_at(self._execution.number)

    def require_ownership(self) -> None:
        """Raise GivenUp unless the store says that the execution owns its thread; see `Fence`.

        While Redis does not answer, wait for it as long as the lease lasts.
        """
        while True:
            self.require_lease()
            try:
                is_owner = self._store.owns(self._execution.thread_id, self._execution.token)
            except Unavailable:
                time.sleep(_AGAIN_SECONDS)
            else:
                break
        if not is_owner:
            raise GivenUp
        self.require_lease()  # The answer may have been long on its way.
