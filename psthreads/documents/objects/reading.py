"""Reading objects: one from any place, and many with a window of requests ahead."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, Final, TypeVar, cast

from psthreads.documents.objects.client import ObjectStore, StoredObject

T = TypeVar("T")
R = TypeVar("R")

WINDOW: Final = 24
"""How many requests are on their way at once where many objects are read or written."""

_BYTES_AHEAD: Final = 16 * 1024 * 1024
_BUFFER: Final = 1024 * 1024


class ObjectReader(io.RawIOBase):
    """An object, read in ranges: all of them are of one version."""

    def __init__(self, store: ObjectStore, stored: StoredObject) -> None:
        super().__init__()
        self._store = store
        self._stored = stored
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position, and return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._stored.size}[whence]
        if base + offset < 0:
            raise OSError(22, "The position is before the beginning")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # the stubs name a type that Python has not
        """Read into a buffer, and return how many bytes."""
        end = min(self._at + len(buffer), self._stored.size)
        data = self._store.get_range(self._stored.key, self._at, end, self._stored.etag)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def open_object(store: ObjectStore, stored: StoredObject) -> BinaryIO:
    """Open an object to read it from any place."""
    return cast("BinaryIO", io.BufferedReader(ObjectReader(store, stored), _BUFFER))


def in_order(
    work: Callable[[T], R], items: Iterable[T], size: Callable[[T], int]
) -> Generator[tuple[T, R | Exception], None, None]:
    """Yield each item with what the work returns or raises, in order; some of it is done ahead of its turn.

    As many items are ahead as fit a bound of requests and one of bytes, by the `size` of each. The Python threads that
    do it end with the iterator.
    """
    source = iter(items)
    ahead: deque[tuple[T, Future[R]]] = deque()
    bytes_ahead = 0
    executor = ThreadPoolExecutor(WINDOW, thread_name_prefix="psthreads-store")
    try:
        while True:
            while len(ahead) < 2 * WINDOW and (not ahead or bytes_ahead < _BYTES_AHEAD):
                if (item := next(source, None)) is None:
                    break
                ahead.append((item, executor.submit(work, item)))
                bytes_ahead += size(item)
            if not ahead:
                return
            item, future = ahead.popleft()
            try:
                result: R | Exception = future.result()
            except Exception as error:  # noqa: BLE001 (for the caller)
                result = error
            bytes_ahead -= size(item)
            yield item, result
    finally:
        executor.shutdown(cancel_futures=True)
