"""Reads the metrics all through the storm, and holds them against what the store has in the end."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

import requests
from prometheus_client.parser import text_string_to_metric_families

from chaos.world import MONITOR, wait_until
from psthreads.domain.model import Thread

_ENDED: Final = "psthreads_threads_ended_total"
_ACCEPTED: Final = "psthreads_threads_accepted_total"
_SECONDS: Final = 1.0
_PATIENCE: Final = 20.0


class Scrapes:
    """A monitor of the web process. A context in which it reads; `faults` says what was wrong afterwards."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._latest: Counter[str] = Counter()
        self._fallen: list[str] = []
        self.count = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="scrapes")

    def start(self) -> None:
        """Read the metrics every second, until `end`."""
        self._thread.start()

    def end(self) -> None:
        """Read them no more."""
        self._ended.set()
        self._thread.join()

    def faults(self, threads: Iterable[Thread | None], total: int) -> Iterator[str]:
        """Yield a sentence for each counter that fell, and where the counts are not those of the stored threads.

        `total` counts the accepted ones, with those that clients have deleted.
        """
        yield from self._fallen
        stored = Counter(str(thread.status) for thread in threads if thread is not None)
        now: Counter[str] = Counter()

        def is_read() -> bool:
            now.clear()
            with suppress(requests.RequestException):
                now.update(self._read())
            return bool(now)

        if not wait_until(is_read, _PATIENCE):
            yield "the metrics could not be read after the storm"
            return
        accepted = now.pop(_ACCEPTED)
        if now.total() != total or not stored <= now:  # Clients have deleted some.
            yield f"the metrics say {dict(now)}, and the store {dict(stored)} of {total} threads"
        if accepted != total:
            yield f"the metrics say that {accepted} threads were accepted, and clients know {total}"

    def _serve(self) -> None:
        while not self._ended.wait(_SECONDS):
            with suppress(requests.RequestException):
                self._compare(self._read())

    def _compare(self, now: Counter[str]) -> None:
        if now:
            self.count += 1
            self._fallen += [
                f"{name} fell from {self._latest[name]} to {now[name]}"
                for name in self._latest
                if now[name] < self._latest[name]
            ]
            self._latest = now

    def _read(self) -> Counter[str]:
        """Return how many threads were accepted, and have ended in each way; nothing while Redis is away."""
        answer = requests.get(f"{self._address}/metrics", headers={"Authorization": f"Bearer {MONITOR}"}, timeout=5)
        counts: Counter[str] = Counter()
        for family in text_string_to_metric_families(answer.text):
            for sample in family.samples:
                if sample.name in {_ENDED, _ACCEPTED}:
                    counts[sample.labels.get("status", _ACCEPTED)] += int(sample.value)
        return counts
