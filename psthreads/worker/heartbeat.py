"""The heartbeats of a worker's running thread, on a Python thread of their own.

A Redis that is away or hangs delays this thread alone: the loop that watches the horse never waits for Redis, and takes
the answers from here.
"""

from __future__ import annotations

import logging
import threading

from redis import Redis
from redis.exceptions import RedisError

from psthreads.domain.errors import Unavailable
from psthreads.domain.model import Ownership
from psthreads.system.clock import steady
from psthreads.system.wakeup import Wakeup
from psthreads.threads.records import Claim, Heartbeat
from psthreads.threads.store import ThreadStore
from psthreads.worker.rq_adapter import RQWorker
from psthreads.worker.shared_state import SharedState

_log = logging.getLogger(__name__)


class HeartbeatThread:
    """Renews the lease of the thread that runs now, every `interval` seconds. An answer ends a wait of `wakeup`.

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
        self._run: Claim | None = None
        self._due = 0.0
        self._latest: Heartbeat | None = None

    def start(self) -> None:
        """Start the Python thread, which ends with the process."""
        threading.Thread(target=self._serve, name="heartbeat", daemon=True).start()

    def begin(self, run: Claim) -> None:
        """Renew the lease of this execution from now on, at once for the first time."""
        self._set(run)

    def end(self) -> None:
        """Renew no lease. An answer that comes later is dropped."""
        self._set(None)

    def hurry(self) -> None:
        """Renew the lease at once; for any Python thread."""
        with self._changed:
            self._due = 0.0
            self._changed.notify()

    def latest(self) -> Heartbeat | None:
        """Return the newest answer that was not returned yet, or None."""
        with self._changed:
            answer, self._latest = self._latest, None
        return answer

    def _set(self, run: Claim | None) -> None:
        with self._changed:
            self._run, self._latest, self._due = run, None, 0.0
            self._changed.notify()

    def _serve(self) -> None:
        while True:
            with self._changed:
                while (run := self._run) is None or (wait := self._due - steady()) > 0:
                    self._changed.wait(None if run is None else wait)
                self._due = steady() + self._interval
            try:
                self._beat(run)
            except (Unavailable, RedisError) as error:
                _log.warning("No heartbeat for thread %s: %s", run.thread.id, error)
            except Exception:  # noqa: BLE001 (the next one may succeed; without any, the lease runs out)
                _log.exception("No heartbeat for thread %s", run.thread.id)

    def _beat(self, run: Claim) -> None:
        sent = steady()
        answer = self._store.beat(run.thread.id, run.token)
        is_owner = answer.ownership is not Ownership.DISOWNED
        with self._changed:
            if self._run is not run:
                return
            if is_owner:
                self._state.renew(sent, run.lease)
            self._latest = answer
            self._wakeup.wake()
        if is_owner:
            # RQ would write the record of an execution again that has just ended.
            self._rq.renew(self._redis)
