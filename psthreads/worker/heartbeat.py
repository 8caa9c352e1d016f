"""The heartbeats of a worker and of the thread that its horse runs, on a Python thread of their own.

The supervisor beats for all its workers together (joint_heartbeat.py), and a worker only where that fails, or where
somebody wants to know at once.

A Redis that is away or hangs delays this thread alone: the loop that watches the horse never waits for Redis, and takes
the answers from here.
"""

from __future__ import annotations

import logging
import threading
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from psthreads.domain.errors import Unavailable
from psthreads.domain.model import Ownership
from psthreads.system.clock import steady
from psthreads.system.wakeup import Wakeup
from psthreads.threads.records import Heartbeat
from psthreads.threads.store import ThreadStore
from psthreads.worker.rq_adapter import RQWorker
from psthreads.worker.shared_state import Execution, Phase, SharedState

_SOON: Final = 0.25  # the part of the interval after which to ask again
_LATE: Final = 1.25  # the part of the interval after which the supervisor's heartbeat is not waited for any more
_log = logging.getLogger(__name__)


class HeartbeatThread:
    """Renews the lease of what the page says that runs, every `interval` seconds, unless the supervisor has done so.

    An answer ends a wait of `wakeup`.

    It has a connection of its own, with a short patience: a connection that leads nowhere must be given up while there
    is time for another.
    """

    def __init__(
        self, redis: Redis, store: ThreadStore, rq: RQWorker, interval: float, wakeup: Wakeup, state: SharedState
    ) -> None:
        self._redis = redis
        self._store = store
        self._rq = rq
        self._interval = interval
        self._wakeup = wakeup
        self._state = state
        self._changed = threading.Condition()
        self._due = 0.0
        self._is_hurried = True
        self._latest: tuple[int, Heartbeat] | None = None
        self._is_over = False
        self._thread = threading.Thread(target=self._serve, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Start the Python thread, which ends with the process."""
        self._thread.start()

    def stop(self) -> None:
        """Beat no more; wait for a heartbeat that is on its way, as long as its connection has patience."""
        self._is_over = True
        self.hurry()
        self._thread.join()

    def hurry(self) -> None:
        """Beat at once; for any Python thread."""
        with self._changed:
            self._due, self._is_hurried = 0.0, True
            self._changed.notify()

    def latest(self, execution: int) -> Heartbeat | None:
        """Return the newest answer about the execution with this number that was not returned yet, or None."""
        with self._changed:
            answer, self._latest = self._latest, None
        return answer[1] if answer is not None and answer[0] == execution else None

    def _serve(self) -> None:
        while True:
            with self._changed:
                while (wait := self._due - steady()) > 0:
                    self._changed.wait(wait)
                is_hurried, self._is_hurried = self._is_hurried, False
                self._due = steady() + self._interval
                if not is_hurried and (later := self._renewed_jointly() + _LATE * self._interval) > steady():
                    self._due = later
                    continue
            if self._is_over:
                return
            execution = self._state.execution
            try:
                if execution.phase is not Phase.IDLE:
                    self._beat(execution)
                self._rq.beat(self._redis, execution)
            except (Unavailable, RedisError) as error:
                _log.warning("No heartbeat for %s: %s", _subject(execution), error)
            except Exception:  # noqa: BLE001 (the next one may succeed; without any, the lease runs out)
                _log.exception("No heartbeat for %s", _subject(execution))

    def _renewed_jointly(self) -> float:
        """Return since when the supervisor, or the claim, has renewed everything that this would renew."""
        return min(self._state.renewed_jointly(), self._state.renewed_at())

    def _beat(self, execution: Execution) -> None:
        sent, renewed = steady(), self._state.renewed_at()
        answer = self._store.beat(execution.thread_id, execution.token)
        if answer.ownership is not Ownership.DISOWNED:
            self._state.renew(execution.number, sent)
            if execution.phase is Phase.BEGUN and sent > renewed + 2 * self._interval:
                self._store.count_late_renewal()
        elif execution.phase is Phase.TAKEN:
            return  # The claim is on its way.
        elif execution.phase is Phase.ENDING:
            with self._changed:  # The horse may have another thread by now, which the wish to know at once is about.
                self._due, self._is_hurried = steady() + _SOON * self._interval, True
        with self._changed:
            self._latest = execution.number, answer
        self._wakeup.wake()


def _subject(execution: Execution) -> str:
    return f"thread {execution.thread_id}" if execution.thread_id else "the worker"
