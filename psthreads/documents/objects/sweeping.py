"""Sweeps and measures the store: removes results of threads that are gone, and hidden objects that nobody needs.

Incomplete uploads in parts are the store's own: a rule of the bucket removes them, see docs/storage.md.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Final

from psthreads.documents.objects.client import ObjectStore, StoredObject
from psthreads.documents.objects.names import FOLDER
from psthreads.documents.objects.object_marker import FOLDER as OWN
from psthreads.documents.paths import TEMPORARY
from psthreads.documents.result_files import owner
from psthreads.documents.storage import KINDS, OWNERLESS_TICKS, DiskUsage, IdFilter, Ownerless

_LONGEST: Final = 100  # bytes


class OwnerlessObjects:
    """The observations of ownerless results; see `Ownerless`."""

    def __init__(self, store: ObjectStore, installation: str, ticks: int) -> None:
        self._store = store
        self._installation = installation
        self._ticks = ticks
        self._root = f"{OWN}/ownerless"
        self._earlier = {each.key.rpartition("/")[2] for each in store.each(self._root)}

    def due(self, thread_ids: Collection[str]) -> set[str]:
        """Do as Ownerless."""
        return {thread_id for thread_id in thread_ids if self._ticks - self._since(thread_id) >= OWNERLESS_TICKS}

    def end(self) -> None:
        """Do as Ownerless."""
        self._store.delete([f"{self._root}/{thread_id}" for thread_id in self._earlier])

    def _since(self, thread_id: str) -> int:
        key = f"{self._root}/{thread_id}"
        if thread_id in self._earlier:
            self._earlier.discard(thread_id)
            with suppress(FileNotFoundError, ValueError):
                installation, since = (self._store.get(key, _LONGEST)[1] or b"").decode().split()
                if installation == self._installation:
                    return int(since)
        self._store.put(key, f"{self._installation} {self._ticks}".encode())
        return self._ticks


def sweep(
    store: ObjectStore, existing: IdFilter, buried: IdFilter, ownerless: Ownerless, longest: float
) -> Iterator[int]:
    """Sweep once, in steps of a page; see `Storage.sweep`. Yields the number of removed objects."""
    for page in store.pages("results"):
        owners = {each.key: owner(each.key.rpartition("/")[2]) or "" for each in page}
        ids = {thread_id for thread_id in owners.values() if thread_id}
        orphans = ids - existing(ids) if ids else ids
        dead = buried(orphans) if orphans else orphans
        dead |= ownerless.due(orphans - dead)
        due = [key for key, thread_id in owners.items() if thread_id in dead]
        store.delete(due)
        yield len(due)
    for page in store.pages("loading"):
        due = [each.key for each in page if _is_stale(each, longest)]
        store.delete(due)
        yield len(due)
    ownerless.end()


def measure(store: ObjectStore) -> Iterator[DiskUsage | None]:
    """Yield the use of each group and kind; see `Storage.measure`."""
    for kind in KINDS:
        groups, _ = store.level(kind)
        for group in (name for name in groups if name.isdecimal() and name.isascii()):
            files = size = 0
            for page in store.pages(f"{kind}/{group}"):
                visible = [each for each in page if f"/{TEMPORARY}" not in each.key]
                files, size = files + len(visible), size + sum(each.size for each in visible)
                yield None
            yield DiskUsage(int(group), kind, files, size)


def _is_stale(stored: StoredObject, longest: float) -> bool:
    name = stored.key.rpartition("/")[2]
    return name.startswith(TEMPORARY) and name != FOLDER and time.time() - stored.modified / 1000 > longest
