"""Removes the files of threads that do not exist any more, a little at a time. The leading janitor calls it.

That a record is missing removes nothing: a thread's results go by the tombstone that its end or its deletion left, or
after they were ownerless for days. Redis is believed only while it is the right one for these documents.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import chain
from typing import Final

from psthreads.documents.installation import Installation
from psthreads.documents.layout import open_storage
from psthreads.documents.sweeping import Ownerless, SweepRules
from psthreads.domain.config import DAY, Config
from psthreads.domain.errors import ThreadNotFound
from psthreads.identity.quotas import Quotas
from psthreads.threads.store import ThreadStore

_FIRST_SECONDS: Final = 120.0
_BETWEEN_SECONDS: Final = 600.0
_SLICE_SECONDS: Final = 0.02
_log = logging.getLogger(__name__)


class FileSweeper:
    """Sweeps the documents' disk every ten minutes, in slices too short to delay a request."""

    def __init__(self, config: Config, store: ThreadStore, installation: Installation, quotas: Quotas) -> None:
        self._store = store
        self._installation = installation
        self._documents = open_storage(config)
        self._quotas = quotas
        # No thread writes to a file for longer, whatever limit its process has.
        self._longest = max(DAY, config.time_limit)
        self._steps: Iterator[int] | None = None
        self._due = time.monotonic() + _FIRST_SECONDS
        self._removed = 0
        self._begun = 0

    def sweep_when_due(self) -> None:
        """Do the next slice of a sweep when it is time. Raises Unavailable, and OSError for a disk that fails."""
        if time.monotonic() < self._due:
            return
        try:
            if removed := self.sweep(_SLICE_SECONDS):
                _log.info("%d files of threads that are gone were removed", removed)
        finally:
            if self._steps is None:
                self._due = time.monotonic() + _BETWEEN_SECONDS

    def sweep(self, seconds: float = math.inf) -> int:
        """Remove files of threads that do not exist any more, for about so long; return how many a whole sweep removed.

        That is 0 until the sweep is complete. Raises Unavailable, also where Redis and the documents do not belong
        together: Redis then does not say which threads there are.
        """
        self._installation.require()
        if self._steps is None:
            self._begun = self._store.time()
            ownerless = Ownerless(self._documents.records, self._installation.id, self._installation.ticks)
            rules = SweepRules(self._existing, self._unfinished, self._store.buried, ownerless, self._longest)
            self._steps, self._removed = chain(self._documents.sweep(rules), self._measure()), 0
        until = time.monotonic() + seconds
        try:
            for removed in self._steps:
                self._removed += removed
                if time.monotonic() >= until:
                    return 0
        except BaseException:
            self._steps = None
            raise
        self._steps = None
        self._store.forget_tombstones(self._begun)
        return self._removed

    def _measure(self) -> Iterator[int]:
        """Measure what the groups use of the disk."""
        usages = []
        for usage in self._documents.measure():
            if usage is not None:
                usages.append(usage)
            yield 0
        self._quotas.record(usages)

    def _existing(self, thread_ids: Collection[str]) -> set[str]:
        existing = self._store.existing(thread_ids)
        self._installation.require(fresh=0)  # An answer counts only if it came from the right Redis.
        return existing

    def _unfinished(self, thread_ids: Collection[str]) -> set[str]:
        unfinished = set()
        for thread_id in thread_ids:
            with suppress(ThreadNotFound):
                if not self._store.fetch(thread_id).status.is_final:
                    unfinished.add(thread_id)
        self._installation.require(fresh=0)
        return unfinished
