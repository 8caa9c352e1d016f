"""The names of the faults, and a deck from which a seed draws them."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

WEIGHTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "kill-horse": 3,
        "kill-worker": 4,
        "kill-both": 2,
        "kill-supervisor": 1,
        "kill-warden": 1,
        "kill-machine": 2,
        "kill-web": 2,
        "kill-redis": 1,
        "stop-worker": 2,
        "stop-supervisor": 1,
        "pause-horse": 1,
        "pause-worker": 3,
        "pause-supervisor": 1,
        "pause-warden": 1,
        "pause-web-master": 1,
        "pause-web-worker": 1,
        "pause-redis": 1,
        "read-only": 1,
        "full": 1,
        "cut": 2,
        "stall": 2,
        "no-fork": 2,
    }
)
"""The names of the faults, each a method of `Faults`, and how often each is drawn from a deck."""

TIMED: Final = ("kill-worker", "kill-machine", "kill-both", "cut", "kill-supervisor", "stall")
"""The faults that strike in a calm, in turns."""

PRECISE: Final = frozenset({"kill-horse", "kill-worker", "kill-both", "stop-worker"})
"""The faults that strike one worker and leave the rest of its machine as it is."""


class Deck:
    """The faults with these names, drawn at random: each once, and then the frequent ones more often."""

    def __init__(self, draw: random.Random, names: Collection[str]) -> None:
        self._random = draw
        self._names = [name for name in WEIGHTS if name in names]
        self._cards = list(self._names)
        self._random.shuffle(self._cards)

    def draw(self) -> str:
        """Return the next fault's name."""
        if not self._cards:
            self._cards = [name for name in self._names for _ in range(WEIGHTS[name])]
            self._random.shuffle(self._cards)
        return self._cards.pop()
