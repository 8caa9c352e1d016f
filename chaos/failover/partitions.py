"""The hosts of the storm, and how they are parted: each pair, each host from all others, and into two sides."""

from __future__ import annotations

import itertools
import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

HOSTS: Final = ("web", "machine0", "machine1", "redis0", "redis1")

_SECONDS: Final = (2.0, 12.0)


@dataclass(frozen=True, slots=True)
class Partition:
    """Hosts that do not hear each other; `ways` are pairs of the one that sends and the one that hears nothing."""

    words: str
    ways: tuple[tuple[str, str], ...]


def _all() -> Iterator[Partition]:
    for first, second in itertools.combinations(HOSTS, 2):
        yield _between([first], [second])
        yield Partition(f"{first} -> {second}", ((first, second),))
        yield Partition(f"{second} -> {first}", ((second, first),))
    for host in HOSTS:
        yield _apart([host])
    # A worker beside a primary that the others have replaced hears from it that it still has its thread.
    for machine, redis in itertools.product(("machine0", "machine1"), ("redis0", "redis1")):
        yield _apart([machine, redis])


def _apart(side: Collection[str]) -> Partition:
    return _between(side, [host for host in HOSTS if host not in side])


def _between(side: Collection[str], other: Collection[str]) -> Partition:
    both = list(itertools.product(side, other))
    return Partition(f"{' '.join(side)} | {' '.join(other)}", (*both, *((second, first) for first, second in both)))


PARTITIONS: Final = tuple(_all())


def drawn(seed: int) -> Iterator[tuple[Partition, float]]:
    """Return all partitions in a random order, and for how many seconds each is, again and again."""
    draw = random.Random(seed)  # noqa: S311 (a storm need not be secret)
    while True:
        for partition in draw.sample(PARTITIONS, len(PARTITIONS)):
            yield partition, draw.uniform(*_SECONDS)
