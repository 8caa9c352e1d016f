"""The heartbeats of a worker's running thread, on a Python thread of their own.

A Redis that is away or hangs delays this thread alone: the loop that watches the horse never waits for Redis, and takes
the answers from here.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import Final

from redis.exceptions import RedisError

from psthreads.domain.errors import Unavailable
from psthreads.domain.model import Ownership
from psthreads.system.clock import steady
from psthreads.system.wakeup import Wakeup
from psthreads.threads.jobs import ThreadJob
from psthreads.threads.records import Heartbeat
from psthreads.threads.store import ThreadStore
from psthreads.worker.rq_adapter import RQWorker

_NEVER: Final = float("inf")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Beat:
    """The answer to a heartbeat, and when its request was sent on the clock `steady`."""

    answer: Heartbeat
    sent: float


class HeartbeatThread:
    """Renews the lease of the thread that runs now, every `interval` seconds. An answer ends a wait of `wakeup`."""

    def __init__(self, store: ThreadStore, rq: RQWorker, interval: float, wakeup: Wakeup) -> None:
        self._store = store
        self._rq = rq
        self._interval = interval
        self._wakeup = wakeup
        self._changed = threading.Condition()
        self._run: tuple[ThreadJob, str] | None = None
        self._due = _NEVER
        self._latest: Beat | None = None

    def start(self) -> None:
        """Start the Python thread, which ends with the process."""
        threading.Thread(target=self._serve, name="heartbeat", daemon=True).start()

    def begin(self, job: ThreadJob, token: str) -> None:
        """Renew the lease of this execution from now on, at once for the first time."""
        self._set((job, token))

    def end(self) -> None:
        """Renew no lease. An answer that comes later is dropped."""
        self._set(None)

    def hurry(self) -> None:
        """Renew the lease at once; for any Python thread."""
        with self._changed:
            self._due = 0.0
            self._changed.notify()

    def latest(self) -> Beat | None:
        """Return the newest answer that was not returned yet, or None."""
        with self._changed:
            beat, self._latest = self._latest, None
        return beat

    def _set(self, run: tuple[ThreadJob, str] | None) -> None:
        with self._changed:
            self._run, self._latest, self._due = run, None, 0.0
            self._changed.notify()

    def _serve(self) -> None:
        while True:
            with self._changed:
                while (run := self._run) is None or (wait := self._due - steady()) > 0:
                    self._changed.wait(None if run is None else wait)
                self._due = steady() + self._interval
            beat = self._beat(*run)
            with self._changed:
                if beat is not None and self._run is run:
                    self._latest = beat
                    self._wakeup.wake()

    def _beat(self, job: ThreadJob, token: str) -> Beat | None:
        sent = steady()
        try:
            answer = self._store.beat(job.id, token)
            if answer.ownership is not Ownership.DISOWNED:
                # RQ would write the record of an execution again that has just ended.
                self._rq.renew(job)
        except (Unavailable, RedisError) as error:
            _log.warning("No heartbeat for thread %s: %s", job.id, error)
            return None
        except Exception:  # noqa: BLE001 (the next one may succeed; without any, the lease runs out)
            _log.exception("No heartbeat for thread %s", job.id)
            return None
        return Beat(answer, sent)
