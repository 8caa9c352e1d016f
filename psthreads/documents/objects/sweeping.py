"""Sweeps and measures the store: removes results of threads that are gone, and hidden objects that nobody needs.

Incomplete uploads in parts are the store's own: a rule of the bucket removes them, see docs/storage.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from psthreads.documents.objects.client import ObjectStore, StoredObject
from psthreads.documents.objects.names import FOLDER
from psthreads.documents.paths import TEMPORARY
from psthreads.documents.sweeping import SweepRules


def sweep(store: ObjectStore, rules: SweepRules) -> Iterator[int]:
    """Sweep once, in steps of a page; see `Storage.sweep`. Yields the number of removed objects."""
    for page in store.pages("results"):
        due = rules.due({each.key.rpartition("/")[2] for each in page})
        yield _remove(store, [each for each in page if each.key.rpartition("/")[2] in due])
    for page in store.pages("loading"):
        yield _remove(store, [each for each in page if _is_stale(each, rules.longest)])
    rules.ownerless.end()


def sizes(store: ObjectStore, root: str) -> Iterator[list[int]]:
    """Yield the bytes of all visible objects below a folder, page by page."""
    for page in store.pages(root):
        yield [each.size for each in page if f"/{TEMPORARY}" not in each.key]


def _remove(store: ObjectStore, objects: list[StoredObject]) -> int:
    store.delete([each.key for each in objects])
    return len(objects)


def _is_stale(stored: StoredObject, longest: float) -> bool:
    name = stored.key.rpartition("/")[2]
    return name.startswith(TEMPORARY) and name != FOLDER and time.time() - stored.modified / 1000 > longest
