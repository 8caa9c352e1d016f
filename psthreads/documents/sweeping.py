"""Which files a sweep removes: results of threads that are gone, and temporary files of those that ended.

A result goes by the tombstone that its thread's end or deletion left, or after it was ownerless for days. That time is
counted in ticks of Redis, so that neither a clock that is set nor a service that was off makes it pass.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from psthreads.documents.records import KINDS, OWN, Records
from psthreads.documents.result_files import owner

IdFilter = Callable[[Collection[str]], set[str]]
"""Returns those of the given thread ids that meet a condition."""

OWNERLESS_TICKS: Final = 7 * 86_400
"""For how many ticks, about seconds of a running service, a result must be ownerless before it is removed."""

_FOLDER: Final = f"{OWN}/ownerless"


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """The number of files of one kind that a group has, and their bytes."""

    group_id: int
    kind: str
    files: int
    size: int


class Ownerless:
    """The ownerless results that one sweep sees; records of the storage remember the observations of earlier ones.

    An observation counts for one installation only. Methods raise OSError.
    """

    def __init__(self, records: Records, installation: str, ticks: int) -> None:
        self._records = records
        self._installation = installation
        self._ticks = ticks
        self._earlier = set(records.names(_FOLDER))

    def due(self, thread_ids: Collection[str]) -> set[str]:
        """Note that these threads are unknown to Redis; return those that have been for OWNERLESS_TICKS."""
        return {thread_id for thread_id in thread_ids if self._ticks - self._since(thread_id) >= OWNERLESS_TICKS}

    def end(self) -> None:
        """Forget results that were ownerless in an earlier sweep, and not in this one."""
        self._records.remove([f"{_FOLDER}/{thread_id}" for thread_id in self._earlier])

    def _since(self, thread_id: str) -> int:
        if thread_id in self._earlier:
            self._earlier.discard(thread_id)
            with suppress(FileNotFoundError, ValueError):
                installation, since = self._records.read(f"{_FOLDER}/{thread_id}").decode().split()
                if installation == self._installation:
                    return int(since)
        self._records.write(f"{_FOLDER}/{thread_id}", f"{self._installation} {self._ticks}", sync=False)
        return self._ticks


@dataclass(frozen=True, slots=True)
class SweepRules:
    """Tell which files one sweep may remove, by the threads that they belong to.

    `existing` returns the ids of threads that exist, `unfinished` those of threads that may still write, and `buried`
    those with a tombstone that is due. `ownerless` remembers since when the others are gone. `longest` is in seconds:
    no file without a thread's id is written for longer.
    """

    existing: IdFilter
    unfinished: IdFilter
    buried: IdFilter
    ownerless: Ownerless
    longest: float

    def due(self, names: Collection[str]) -> set[str]:
        """Return those of these results that are nobody's any more, by their names."""
        orphans = names_not_in(self.existing, names)
        ids = set(orphans.values())
        if not ids:
            return ids
        buried = self.buried(ids)
        gone = buried | self.ownerless.due(ids - buried)
        return {name for name, thread_id in orphans.items() if thread_id in gone}

    def finished(self, names: Collection[str]) -> set[str]:
        """Return those of these temporary files whose thread has ended, by their names."""
        return set(names_not_in(self.unfinished, names))


def names_not_in(matching: IdFilter, names: Collection[str]) -> dict[str, str]:
    """Return the names with the id of a thread that does not meet the condition, and that id."""
    ids = {name: thread_id for name in names if (thread_id := owner(name)) is not None}
    others = set(ids.values())
    others -= matching(others) if others else others
    return {name: thread_id for name, thread_id in ids.items() if thread_id in others}


def measure(records: Records, sizes: Callable[[str], Iterator[list[int]]]) -> Iterator[DiskUsage | None]:
    """Yield the use of each group and kind, and None after each small step of `sizes`, of the files in a folder."""
    for kind in KINDS:
        for group in sorted(name for name in records.names(kind) if name.isdecimal() and name.isascii()):
            files = size = 0
            for step in sizes(f"{kind}/{group}"):
                files, size = files + len(step), size + sum(step)
                yield None
            yield DiskUsage(int(group), kind, files, size)
