"""Reading one object from any place."""

from __future__ import annotations

import io
from typing import BinaryIO, Final, cast

from psthreads.documents.objects.client import ObjectStore, StoredObject

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

    def readall(self) -> bytes:
        """Return the rest in one request: the base class would make one for each 8 KiB."""
        data = self._store.get_range(self._stored.key, self._at, self._stored.size, self._stored.etag)
        self._at = max(self._at, self._stored.size)
        return data

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
