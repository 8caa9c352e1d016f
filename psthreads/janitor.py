"""The janitor: finds threads that nobody works on any more, and ends them or queues them again.

It runs in every web process and in every supervisor of workers, so that some process is there to do it as long
as any lives; a lock makes one of them the leader. It acts only on what it has seen for a while, without
losing Redis meanwhile: after an outage every lease has run out, and the workers are about to renew them.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import Final
from uuid import uuid4

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.worker_registration import clean_worker_registry

from psthreads.config import Config
from psthreads.connection import durability_warning, translated
from psthreads.errors import Unavailable
from psthreads.store import ThreadStore

_LOCK: Final = "ps:janitor"
_SWEEP_SECONDS: Final = 1.0
_LEADS_SECONDS: Final = 3
_log = logging.getLogger(__name__)


class Janitor:
    """Sweeps every second while it leads. `start` and `stop` are for the process that owns it."""

    def __init__(self, redis: Redis, config: Config, store: ThreadStore) -> None:
        self._redis = redis
        self._store = store
        self._queue = Queue(config.queue, connection=redis)
        # A worker that is alive renews its lease within one heartbeat.
        self._patience = config.heartbeat + _SWEEP_SECONDS
        self._name = uuid4().hex
        self._seen: dict[str, float] = {}
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Sweep in the background, until `stop`."""
        self._thread = threading.Thread(target=self._run, name="janitor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop sweeping, and let another janitor lead at once."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        with suppress(RedisError):
            if self._redis.get(_LOCK) == self._name.encode():
                self._redis.delete(_LOCK)

    def sweep(self) -> list[str]:
        """Look once; returns what was done, a sentence for each. Raises Unavailable."""
        with translated(self._redis):
            if not self._lead():
                self._seen.clear()
                return []
            clean_worker_registry(self._queue)
        survey = self._store.survey()
        now = time.monotonic()
        suspects = {f"overdue {thread_id}" for thread_id in survey.overdue}
        suspects |= {f"waiting {thread_id}" for thread_id in (*survey.taken, *survey.astray)}
        self._seen = {suspect: self._seen.get(suspect, now) for suspect in suspects}
        done = []
        for suspect, since in list(self._seen.items()):
            if now - since < self._patience:
                continue
            del self._seen[suspect]
            why, _, thread_id = suspect.partition(" ")
            if why == "overdue":
                verdict = self._store.abandon(thread_id, "Worker lost")
                if verdict:
                    done.append(f"Thread {thread_id}: worker lost, {verdict}")
            elif self._store.recover(thread_id):
                done.append(f"Thread {thread_id}: taken by no worker, queued again")
        return done

    def _lead(self) -> bool:
        """Whether this janitor is the leader now; the lock runs out when a leader dies."""
        if self._redis.set(_LOCK, self._name, nx=True, ex=_LEADS_SECONDS):
            return True
        if self._redis.get(_LOCK) == self._name.encode():
            self._redis.expire(_LOCK, _LEADS_SECONDS)
            return True
        return False

    def _run(self) -> None:
        with suppress(RedisError, Unavailable):
            if warning := durability_warning(self._redis):
                _log.warning(warning)
        while not self._stopped.wait(_SWEEP_SECONDS):
            try:
                for sentence in self.sweep():
                    _log.warning(sentence)
            except (RedisError, Unavailable):
                self._seen.clear()
