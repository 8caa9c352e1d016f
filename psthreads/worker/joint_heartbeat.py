"""The heartbeats of all workers of a supervisor, in one round trip, on a Python thread of their own.

They spare Redis two round trips for each worker, and decide nothing: what the supervisor does not renew, since it is
gone, stopped or refused, the worker renews itself soon after. Where it cannot do so either, its lease alone runs out.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

from psthreads.domain.errors import PsthreadsError
from psthreads.system.clock import steady
from psthreads.threads.executions import Executions
from psthreads.threads.records import Beat
from psthreads.worker.shared_state import Execution, Phase, SharedState

_MOST: Final = 100  # in one script, which Redis runs alone
_STALLED_SECONDS: Final = 3.0  # the loop of a worker that has a horse goes round once a second
_log = logging.getLogger(__name__)


class JointHeartbeat:
    """Beats every `interval` seconds for those of the `workers` that are at work.

    A worker's record in Redis is then kept for `lifetime` seconds. `workers` is called on this Python thread.
    """

    def __init__(
        self, executions: Executions, workers: Callable[[], Sequence[SharedState]], interval: float, lifetime: int
    ) -> None:
        self._executions = executions
        self._workers = workers
        self._interval = interval
        self._lifetime = lifetime
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="joint-heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Begin no other heartbeat."""
        self._is_over.set()

    def beat(self) -> None:
        """Beat once for all. Raises Unavailable."""
        now = steady()
        workers = ((state, state.execution) for state in self._workers() if now < state.loop_at + _STALLED_SECONDS)
        # Of one that has claimed nothing yet, nothing can be renewed.
        ready = iter([(state, run) for state, run in workers if state.worker and run.phase is not Phase.TAKEN])
        while some := list(islice(ready, _MOST)):
            sent = steady()
            beats = [Beat(state.worker, *_thread_of(execution)) for state, execution in some]
            claims = max(state.claims for state, _ in some)
            renewed = self._executions.beat_all(beats, self._lifetime, claims)
            for (state, execution), is_renewed in zip(some, renewed, strict=True):
                if is_renewed:
                    state.renew_jointly(execution.number, sent)

    def _serve(self) -> None:
        while not self._is_over.wait(self._interval):
            try:
                self.beat()
            except PsthreadsError as error:
                _log.warning("No heartbeat for the workers: %s", error)  # Each of them beats itself.
            except Exception:  # noqa: BLE001 (the next one may succeed)
                _log.exception("No heartbeat for the workers")


def _thread_of(execution: Execution) -> tuple[str, str]:
    return (execution.thread_id, execution.token) if execution.phase is not Phase.IDLE else ("", "")
