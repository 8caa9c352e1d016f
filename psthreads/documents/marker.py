"""What the documents' storage knows of the installation: its id, how far Redis's ticks had come, the ids in use."""

from __future__ import annotations

import errno
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from psthreads.documents.records import KINDS, OWN, Records

NUMBERED: Final = ("group", "member")
"""What has ids that documents and zones are named after."""

_ID: Final = f"{OWN}/installation.json"
_TICKS: Final = f"{OWN}/ticks"
_IDS: Final = f"{OWN}/ids"
_ABOUT: Final = "These documents belong to one psthreads installation: docs/backup.md says what this is for."
_NEVER: Final = float("-inf")


@dataclass(frozen=True, slots=True)
class StoreRecord:
    """The marker as the storage has it: the installation's id, whether Redis has it for certain, and the ticks it had.

    `claims` is how many threads workers had taken when Redis was last found to be an older copy.
    """

    id: str
    is_confirmed: bool
    ticks: int
    claims: int


class Marker:
    """The storage's marker of the installation. Methods raise OSError where it cannot be read or written."""

    def __init__(self, records: Records) -> None:
        self.place = records.place
        self.records = records
        self._last_read: tuple[bytes | None, tuple[str, bool]] = None, ("", False)  # of the id, and what it says
        self._seen = _NEVER

    def read(self) -> StoreRecord | None:
        """Return the record, None for a storage without one. Raises OSError also for one that is damaged."""
        try:
            return StoreRecord(*self._identity(), *self._counts())
        except FileNotFoundError:
            return None

    def is_of(self, installation: str) -> bool:
        """Tell whether the storage is of this installation, as far as it was looked at within a few seconds."""
        try:
            is_recent = time.monotonic() - self._seen < self.records.believed_seconds
            return (self._last_read[1] if is_recent else self._identity())[0] == installation
        except OSError:
            return False

    def create(self) -> None:
        """Give the storage a new id, not yet confirmed, unless it has one: of two at once, one wins."""
        self.records.prepare()
        with suppress(FileExistsError):
            self.records.write(_ID, _record(secrets.token_hex(16), confirmed=False), create=True)

    def replace(self, installation: str) -> None:
        """Give the storage this id, confirmed, whatever it had."""
        self.records.prepare()
        self.records.write(_ID, _record(installation, confirmed=True))

    def note_ticks(self, ticks: int, claims: int = 0) -> None:
        """Note how far Redis's counts have come. After a power failure they may be older numbers."""
        self.records.write(_TICKS, f"{ticks} {claims}", sync=False)

    def has_files(self) -> bool:
        """Return whether the storage holds anything of a group, whichever."""
        return any(True for kind in KINDS for _ in self.records.names(kind))

    def highest(self, kind: str) -> int:
        """Return the highest id of a "group" or "member" that was noted, 0 for none."""
        return max(self._noted(kind), default=0)

    def note_id(self, kind: str, number: int) -> None:
        """Note that this id of a "group" or "member" is in use."""
        lower = [each for each in self._noted(kind) if each < number]
        # Each number is a record of its own, so that of two processes at once none forgets the other's.
        self.records.write(f"{_IDS}/{kind}-{number}", "", sync=False)
        self.records.remove([f"{_IDS}/{kind}-{each}" for each in lower])

    def note_ids_of_folders(self) -> None:
        """Note the highest ids that documents and zones are named after. Looks at all groups and zones."""
        groups = {number for kind in KINDS for number in self._numbers(kind)}
        members = {number for group in self._numbers("loading") for number in self._numbers(f"loading/{group}")}
        for kind, numbers in zip(NUMBERED, (groups, members), strict=True):
            if (highest := max(numbers, default=0)) > self.highest(kind):
                self.note_id(kind, highest)

    def _identity(self) -> tuple[str, bool]:
        """Return the id and whether it is confirmed. Each thread looks twice, and so without reading JSON again."""
        self._seen = _NEVER
        content = self.records.read(_ID)
        if content != self._last_read[0]:
            try:
                record = json.loads(content)
                self._last_read = content, (str(record["installation"]), bool(record["confirmed"]))
            except (ValueError, KeyError, TypeError):
                raise OSError(errno.EIO, f"{_ID} is damaged") from None
        self._seen = time.monotonic()
        return self._last_read[1]

    def _counts(self) -> tuple[int, int]:
        try:
            ticks, claims, *_ = (*map(int, self.records.read(_TICKS).split()), 0, 0)
        except (FileNotFoundError, ValueError):
            return 0, 0
        return ticks, claims

    def _noted(self, kind: str) -> list[int]:
        names = [name.partition("-") for name in self.records.names(_IDS)]
        return [int(number) for name, _, number in names if name == kind and number.isdecimal()]

    def _numbers(self, path: str) -> Iterator[int]:
        """Yield the ids that folders are named after; of a zone, an upload's follows its member's."""
        names = (name.partition("~")[0] for name in self.records.names(path))
        return (int(name) for name in names if name.isdecimal() and name.isascii())


def _record(installation: str, *, confirmed: bool) -> str:
    return json.dumps({"installation": installation, "confirmed": confirmed, "about": _ABOUT})
