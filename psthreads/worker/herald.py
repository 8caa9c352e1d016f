"""What a supervisor tells Redis of workers that have ended, on a Python thread of its own.

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
from psthreads.worker.vitals import Execution

_AGAIN_SECONDS: Final = 0.25
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Death:
    """A worker that has ended, its code with it. `why` is for the thread that it ran, if any."""

    worker: str
    execution: Execution | None
    why: str


class Herald:
    """Gives up the executions of workers that have ended, and goes on trying until Redis takes it."""

    def __init__(self, redis: Redis, store: ThreadStore) -> None:
        self._redis = redis
        self._store = store
        self._deaths: queue.SimpleQueue[Death | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="herald", daemon=True)

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def tell(self, death: Death) -> None:
        """Tell of one worker, as soon as Redis takes it."""
        self._deaths.put(death)

    def stop(self, seconds: float) -> None:
        """Wait until all is told, but no longer than so many seconds; the janitor finds the rest."""
        self._deaths.put(None)
        self._thread.join(seconds)

    def _serve(self) -> None:
        while (death := self._deaths.get()) is not None:
            while True:
                try:
                    self._write(death)
                except Unavailable:
                    time.sleep(_AGAIN_SECONDS)
                except PsthreadsError as error:
                    _log.error("The end of worker %s cannot be written: %s", death.worker, error)
                    break
                else:
                    break

    def _write(self, death: Death) -> None:
        if death.execution is not None:
            verdict = self._store.abandon(death.execution.thread_id, death.why, death.execution.token)
            if verdict:
                _log.warning("Thread %s: %s, %s", death.execution.thread_id, death.why.lower(), verdict)
        if death.worker:
            crew.remove(self._redis, death.worker)
