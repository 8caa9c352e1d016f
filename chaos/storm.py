"""Draws faults from a seed and lets them strike, one after the other, while threads run."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from redis import Redis

from chaos.deck import TIMED, Deck
from chaos.faults import REDIS, Faults, Hit, Lost
from chaos.world import World, wait_until
from psthreads.threads.leases import INTERRUPTED

_LULL_SECONDS: Final = (0.3, 2.2)
_GUST: Final = 8  # faults between two calms
_BEFORE_SECONDS: Final = 3.5
_AFTER_SECONDS: Final = 1.0  # beyond the longest lease


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault that struck. Times are seconds on the monotonic clock."""

    at: float
    until: float
    name: str
    place: str
    losses: tuple[Lost, ...]


class Storm:
    """Strikes until it is told to end."""

    def __init__(self, world: World, redis: Redis, seed: int, names: Collection[str]) -> None:
        self._random = random.Random(seed)  # noqa: S311 (a storm need not be secret)
        self._faults = Faults(world, self._random, redis)
        self._deck = Deck(self._random, names)
        self._timed = itertools.cycle([name for name in TIMED if name in names])
        self._lease = max(world.config.lost_after, world.config.outage / INTERRUPTED)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._blow, name="storm")
        self._lasting: list[tuple[float, Hit]] = []
        self.strikes: list[Strike] = []
        self.missed: Counter[str] = Counter()
        """How often a fault was drawn that had nothing to strike, or that this computer cannot have."""

    def start(self) -> None:
        """Begin to strike."""
        self._thread.start()

    def end(self) -> None:
        """Stop striking, and end what still lasts."""
        self._ended.set()
        self._thread.join()
        self._mend(float("inf"))

    def counts(self) -> Counter[str]:
        """Return how often each fault struck."""
        return Counter(strike.name for strike in self.strikes)

    def _blow(self) -> None:
        while not self._ended.is_set():
            for _ in range(_GUST):
                self._pause(self._random.uniform(*_LULL_SECONDS))
                self._strike(self._deck.draw())
            if name := next(self._timed, ""):
                redis_until = max((each.until for each in self.strikes if each.place == REDIS), default=0.0)
                self._pause(max(0.0, redis_until - time.monotonic()) + _BEFORE_SECONDS)
                wait_until(self._faults.has_target, _BEFORE_SECONDS)
                self._faults.is_calm = True
                self._strike(name)
                self._faults.is_calm = False
                self._pause(self._lease + _AFTER_SECONDS)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self._ended.wait(min(left, 0.1)):
            self._mend(time.monotonic())

    def _strike(self, name: str) -> None:
        if self._ended.is_set():
            return
        at = time.monotonic()
        hit: Hit | None = getattr(self._faults, name.replace("-", "_"))()
        if hit is None:
            self.missed[name] += 1
            return
        until = time.monotonic() + hit.seconds
        self.strikes.append(Strike(at, until, name, hit.place, hit.losses))
        if hit.mend is not None:
            self._lasting.append((until, hit))

    def _mend(self, now: float) -> None:
        for due, hit in list(self._lasting):
            if due <= now and hit.mend is not None:
                hit.mend()
                self._lasting.remove((due, hit))
