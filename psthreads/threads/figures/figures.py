"""The figures, and how they are read.

lua/common.lua counts each end of a thread in one field of one hash: the process, the status, and the steps of the time
until its begin and of the time that it ran. Workers count in another one what happens to them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from psthreads.domain.model import Status
from psthreads.threads.scripts import ThreadScripts

LIMITS: Final = tuple(4**step / 1000 for step in range(2, 13))
"""The upper limits of the steps from 1 on, in seconds; the last step has none. Step 0 stands for: never begun."""

_PARTS: Final = 3  # behind the process
_KNOWN: Final = frozenset(map(str, Status))


@dataclass(frozen=True, slots=True)
class End:
    """What is common to the threads that are counted together: how they ended, and the steps of two times."""

    process: str
    status: str
    waited: int
    ran: int


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one moment. `oldest` is for how many seconds the oldest waiting thread has waited."""

    threads: Mapping[str, int]
    oldest: float
    queued: int
    active: Mapping[str, int]
    groups: Mapping[str, Mapping[str, int]]
    ended: Mapping[End, int]
    workers: Mapping[str, int]


def read(scripts: ThreadScripts, processes: Sequence[str], groups: Mapping[int, str]) -> Figures:
    """Return the figures, with these processes and groups. Raises Unavailable."""
    now, threads, oldest, queued, active, of_groups, ended, workers = scripts.run(
        "figures", len(processes), *processes, *groups
    )
    return Figures(
        _by_status(threads),
        max(0, now - int(float(oldest))) / 1000 if oldest else 0.0,
        queued,
        dict(zip(processes, active, strict=True)),
        {name: _by_status(sizes) for name, sizes in zip(groups.values(), of_groups, strict=True)},
        _ends(_pairs(ended)),
        _pairs(workers),
    )


def _by_status(sizes: Sequence[int]) -> dict[str, int]:
    return dict(zip(map(str, Status), sizes, strict=True))


def _pairs(flat: Sequence[bytes]) -> dict[str, int]:
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return {name.decode(errors="replace"): int(count) for name, count in pairs}


def _ends(counts: Mapping[str, int]) -> Counter[End]:
    ends: Counter[End] = Counter()
    for field, count in counts.items():
        # A damaged record may have any process.
        process, *rest = field.rsplit("|", 3)
        if len(rest) == _PARTS and rest[0] in _KNOWN:
            ends[End(process, rest[0], int(rest[1]), int(rest[2]))] += count
    return ends
