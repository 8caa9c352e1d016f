"""Gives up the executions of workers that have ended, on a Python thread of its own.

Redis may be away or hang just then, and the supervisor has to go on watching the others.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from dataclasses import dataclass
from typing import Final

from redis import Redis

from psthreads.domain.errors import PsthreadsError, Unavailable
from psthreads.threads import crew
from psthreads.threads.store import ThreadStore
from psthreads.worker.shared_state import Execution, Phase

_AGAIN_SECONDS: Final = 0.25
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LostWorker:
    """A worker that has ended, its code with it. `why` is for the thread that it ran, if any."""

    name: str
    execution: Execution
    why: str


class LostWorkerReporter:
    """Gives up the executions of workers that have ended, and goes on trying until Redis takes it."""

    def __init__(self, redis: Redis, store: ThreadStore) -> None:
        self._redis = redis
        self._store = store
        self._queue: queue.SimpleQueue[LostWorker | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="lost-workers", daemon=True)

    def start(self) -> None:
        """Begin to report."""
        self._thread.start()

    def report(self, worker: LostWorker) -> None:
        """Give up what the worker ran, as soon as Redis takes it."""
        self._queue.put(worker)

    def stop(self, seconds: float) -> None:
        """Wait until all is written, but no longer than so many seconds; the janitor finds the rest."""
        self._queue.put(None)
        self._thread.join(seconds)

    def _serve(self) -> None:
        while (worker := self._queue.get()) is not None:
            while True:
                try:
                    self._write(worker)
                except Unavailable:
                    time.sleep(_AGAIN_SECONDS)
                except PsthreadsError as error:
                    _log.error("The end of worker %s cannot be written: %s", worker.name, error)
                    break
                else:
                    break

    def _write(self, worker: LostWorker) -> None:
        execution = worker.execution
        if execution.phase is not Phase.IDLE:
            not_begun = not execution.has_begun
            self._store.abandon(execution.thread_id, worker.why, execution.token, not_begun=not_begun)
            if execution.has_begun:  # Its horse may have claimed another in the step that ended this one.
                self._store.give_back_next(execution.token, worker.why)
        if worker.name:
            crew.remove(self._redis, worker.name)
