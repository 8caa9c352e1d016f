"""What the object store knows of the installation: its id, how far Redis's ticks had come, the ids in use."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from psthreads.documents.objects.client import ObjectStore
from psthreads.documents.storage import KINDS, StoreRecord
from psthreads.domain.errors import StorageFailed

FOLDER: Final = ".psthreads"

_ID: Final = f"{FOLDER}/installation.json"
_TICKS: Final = f"{FOLDER}/ticks"
_IDS: Final = f"{FOLDER}/ids"
_LONGEST: Final = 1_000  # bytes
_BELIEVED_SECONDS: Final = 3.0
_ABOUT: Final = "These objects belong to one psthreads installation: docs/backup.md says what this one is for."


class ObjectMarker:
    """The store's record; see `StorageMarker`."""

    def __init__(self, store: ObjectStore) -> None:
        self.place = f"object store {store.url}"
        self._store = store
        self._id = ""
        self._seen = float("-inf")

    def read(self) -> StoreRecord | None:
        """Do as StorageMarker."""
        with _as_os_error():
            try:
                record = json.loads(self._content(_ID))
                stored = StoreRecord(str(record["installation"]), bool(record["confirmed"]), *self._counts())
            except FileNotFoundError:
                self._id = ""
                return None
            except (ValueError, KeyError, TypeError):
                raise OSError(5, f"{_ID} is damaged") from None
        self._id, self._seen = stored.id, time.monotonic()
        return stored

    def is_of(self, installation: str) -> bool:
        """Do as StorageMarker: nobody unmounts a bucket, so that it is not read each time."""
        if time.monotonic() - self._seen > _BELIEVED_SECONDS:
            try:
                self.read()
            except OSError:
                return False
        return self._id == installation

    def create(self) -> None:
        """Do as StorageMarker."""
        with _as_os_error(), suppress(FileExistsError):
            self._store.put(_ID, _record(secrets.token_hex(16), confirmed=False), create=True)

    def replace(self, installation: str) -> None:
        """Do as StorageMarker."""
        with _as_os_error():
            self._store.put(_ID, _record(installation, confirmed=True))

    def note_ticks(self, ticks: int, claims: int = 0) -> None:
        """Do as StorageMarker."""
        with _as_os_error():
            self._store.put(_TICKS, f"{ticks} {claims}".encode())

    def has_files(self) -> bool:
        """Do as StorageMarker."""
        with _as_os_error():
            return any(self._store.has_any(kind) for kind in KINDS)

    def highest(self, kind: str) -> int:
        """Do as StorageMarker."""
        with _as_os_error():
            return max(self._noted(kind), default=0)

    def note_id(self, kind: str, number: int) -> None:
        """Do as StorageMarker. Each number is an object of its own, so that of two at once none is forgotten."""
        with _as_os_error():
            lower = [each for each in self._noted(kind) if each < number]
            self._store.put(f"{_IDS}/{kind}-{number}", b"")
            if lower:
                self._store.delete([f"{_IDS}/{kind}-{each}" for each in lower])

    def note_ids_of_folders(self) -> None:
        """Do as StorageMarker."""
        with _as_os_error():
            groups = {number for kind in KINDS for number in self._numbers(kind)}
            members = {number for group in self._numbers("loading") for number in self._numbers(f"loading/{group}")}
        for kind, numbers in (("group", groups), ("member", members)):
            if (highest := max(numbers, default=0)) > self.highest(kind):
                self.note_id(kind, highest)

    def _noted(self, kind: str) -> list[int]:
        names = [each.key.rpartition("/")[2].partition("-") for each in self._store.each(_IDS)]
        return [int(number) for name, _, number in names if name == kind and number.isdecimal()]

    def _numbers(self, prefix: str) -> list[int]:
        folders, _ = self._store.level(prefix)
        names = [name.partition("~")[0] for name in folders]
        return [int(name) for name in names if name.isdecimal() and name.isascii()]

    def _content(self, key: str) -> bytes:
        return self._store.get(key, _LONGEST)[1] or b""

    def _counts(self) -> tuple[int, int]:
        try:
            ticks, claims, *_ = (*map(int, self._content(_TICKS).split()), 0, 0)
        except (FileNotFoundError, ValueError):
            return 0, 0
        return ticks, claims


@contextmanager
def _as_os_error() -> Iterator[None]:
    """Raise OSError where the store fails: who compares Redis with the store waits until it answers."""
    try:
        yield
    except StorageFailed as error:
        raise OSError(5, str(error)) from None


def _record(installation: str, *, confirmed: bool) -> bytes:
    return json.dumps({"installation": installation, "confirmed": confirmed, "about": _ABOUT}).encode()
