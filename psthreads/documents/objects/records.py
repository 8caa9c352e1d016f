"""Records of the storage as small objects."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from psthreads.documents.objects.client import ObjectStore
from psthreads.documents.records import LONGEST
from psthreads.domain.errors import StorageFailed


class ObjectRecords:
    """The records below a prefix; see `Records`."""

    believed_seconds = 3.0  # Nobody unmounts a bucket.

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.place = f"object store {store.url}"

    def prepare(self) -> None:
        """Do nothing: a record's folder needs no object."""

    def read(self, path: str) -> bytes:
        """Do as Records."""
        with _as_os_error():
            return self._store.get(path, LONGEST)[1] or b""

    def write(self, path: str, text: str, *, create: bool = False, sync: bool = True) -> None:  # noqa: ARG002 (as Records has it)
        """Do as Records."""
        with _as_os_error():
            self._store.put(path, text.encode(), create=create)

    def remove(self, paths: Collection[str]) -> None:
        """Do as Records."""
        with _as_os_error():
            self._store.delete(paths)

    def names(self, path: str) -> Iterator[str]:
        """Do as Records."""
        with _as_os_error():
            folders, objects = self._store.level(path)
        yield from folders
        for each in objects:
            yield each.key.rpartition("/")[2]


@contextmanager
def _as_os_error() -> Iterator[None]:
    """Raise OSError where the store fails: who compares Redis with the store waits until it answers."""
    try:
        yield
    except StorageFailed as error:
        raise OSError(errno.EIO, str(error)) from None
