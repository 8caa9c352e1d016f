"""Writing behind: small objects are on their way in a bounded window while the execution goes on.

Whoever reads waits for what is written where it reads. What failed is raised by the next write, by `sync`, before a
result appears, or at the end of the process's function, whichever comes first; then nothing more of the window begins.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from psthreads.documents.objects.client import ObjectStore, StoredObject
from psthreads.documents.paths import composed
from psthreads.documents.side_by_side import BYTES_AHEAD, WINDOW, Helpers

T = TypeVar("T")

LARGEST: Final = 1024 * 1024
"""The bytes of the largest object that is written behind."""


class LateWrites:
    """The writes of one execution that are on their way. Any Python thread of it may write."""

    def __init__(self) -> None:
        self._helpers = Helpers(WINDOW)
        self._pending: deque[tuple[str, int, Future[None]]] = deque()
        self._bytes = 0
        self._lock = threading.RLock()

    def add(self, key: str, size: int, write: Callable[[], None]) -> None:
        """Have an object written, once there is room for it in the window, and after an earlier one of its key."""
        key = composed(key)
        with self._lock:
            self.wait_for(key)
            while self._pending and (len(self._pending) >= 2 * WINDOW or self._bytes + size > BYTES_AHEAD):
                self._end_first()
            self._pending.append((key, size, self._helpers.submit(write)))
            self._bytes += size
            while self._pending and self._pending[0][2].done():
                self._end_first()

    def wait_for(self, key: str) -> None:
        """Wait until nothing is on its way at, above or below a key; for the empty one, until nothing is."""
        if not self._pending:
            return
        key = composed(key)
        with self._lock:
            while any(not key or _overlap(key, pending) for pending, _, _ in self._pending):
                self._end_first()

    def settle(self) -> None:
        """Wait for all that is on its way, and raise what failed."""
        with self._lock:
            self.wait_for("")
            self._helpers.close()

    def abandon(self) -> None:
        """Begin with nothing more, and wait for what is on its way: each object is the old or the new one."""
        with self._lock:
            for _, _, future in reversed(self._pending):
                future.cancel()
            self._helpers.close()
            self._pending.clear()
            self._bytes = 0

    def _end_first(self) -> None:
        _, size, future = self._pending[0]
        failure = future.exception()
        self._pending.popleft()
        self._bytes -= size
        if failure is not None:
            self.abandon()
            raise failure


class WaitingStore(ObjectStore):
    """An object store as an execution sees it that writes behind: what it does waits for its own writes there."""

    def __init__(self, store: ObjectStore, late: LateWrites) -> None:
        super().__init__(store.url, store.endpoint)
        self._store = store
        self._late = late

    def _do(self, work: Callable[[Any, Any], T], key: str = "") -> T:
        self._late.wait_for(key)
        return self._store._do(work, key)  # noqa: SLF001 (it is of the same kind)

    def _once(self, work: Callable[[Any, Any], T], key: str = "") -> T:
        return self._store._once(work, key)  # noqa: SLF001 (as above)

    def delete_version(self, stored: StoredObject) -> None:
        """Do as ObjectStore, with the client of the store itself."""
        self._late.wait_for(stored.key)
        self._store.delete_version(stored)


def _overlap(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")
