"""When cancels come in the tests that try them at any moment, and how much work they come into."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator

DOCUMENTS = int(os.environ.get("DOCUMENTS", "100"))
"""On how many documents cancels are tried; `make cancels` gives 10,000."""

CANCELS = int(os.environ.get("CANCELS", "10"))
"""How often a thread in a worker is cancelled, for each process; `make cancels` gives 50."""


class Moments:
    """Random moments, in seconds, all over a run that takes about so long, until enough of them came in time.

    Whoever takes one says by `note` whether it did. A busy machine is faster or slower from one run to the next, so
    how long a run takes is learned on the way.
    """

    def __init__(self, longest: float, wanted: int = 50) -> None:
        self.in_time = 0
        self._longest = longest
        self._wanted = wanted
        self._chance = random.Random(7)  # noqa: S311 (a test's choice)

    def __iter__(self) -> Iterator[float]:
        for _ in range(10 * self._wanted):
            if self.in_time == self._wanted:
                return
            yield max(self._chance.uniform(0, self._longest), 0.0001)
        raise AssertionError(f"Only {self.in_time} of {self._wanted} cancels came before the end of the work")

    def note(self, *, in_time: bool) -> None:
        """Say whether the last one came before the end of the run."""
        self.in_time += in_time
        self._longest *= 1.01 if in_time else 0.96


def seconds_of(work: Callable[[], object]) -> float:
    """How long the work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
