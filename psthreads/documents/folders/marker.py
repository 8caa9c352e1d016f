"""What the documents' store knows of the installation: its id, how far Redis's ticks had come, the ids in use.

All of it is in the folder `.psthreads` of the documents' root. Files appear whole or not at all, for all machines that
share the folder.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from psthreads.documents.folders.folder import Folder
from psthreads.documents.storage import StoreRecord

_FOLDER: Final = ".psthreads"
_ID: Final = "installation.json"
_TICKS: Final = "ticks"
_LONGEST: Final = 1_000  # bytes
# The folders whose entries are named after groups.
_NUMBERED: Final = ("groups", "results", "loading")


class Marker:
    """The store's record. Its methods raise OSError where the store cannot be read or written."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.place = f"folder {self.root}"
        self._folder = self.root / _FOLDER
        self._id_file = str(self._folder / _ID)
        self._last_read: tuple[bytes | None, tuple[str, bool]] = None, ("", False)  # of that file, and what it says

    def read(self) -> StoreRecord | None:
        """Return the record, None for a store without one. Raises OSError also for one that is damaged."""
        try:
            return StoreRecord(*self._read(), *self._counts())
        except FileNotFoundError:
            return None

    def is_of(self, installation: str) -> bool:
        """Tell whether the folder is of this installation: a disk may be unmounted at any moment."""
        try:
            return self._read()[0] == installation
        except OSError:
            return False

    def create(self) -> None:
        """Give the store a new id, not yet confirmed, unless it has one."""
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        folder = Folder.at(self._folder)
        with suppress(FileExistsError):
            # A file that is made aside and then named: two processes never make two, nor read half of one.
            name = self._write(folder, _record(secrets.token_hex(16), confirmed=False))
            try:
                os.link(name, _ID, src_dir_fd=folder.fd, dst_dir_fd=folder.fd)
                os.fsync(folder.fd)
            finally:
                os.unlink(name, dir_fd=folder.fd)

    def replace(self, installation: str) -> None:
        """Give the store this id, confirmed, whatever it had."""
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        folder = Folder.at(self._folder)
        os.replace(
            self._write(folder, _record(installation, confirmed=True)), _ID, src_dir_fd=folder.fd, dst_dir_fd=folder.fd
        )
        os.fsync(folder.fd)

    def note_ticks(self, ticks: int, claims: int = 0) -> None:
        """Note how far Redis's counts have come. Not synced: after a power failure they may be older numbers."""
        folder = Folder.at(self._folder)
        name = self._write(folder, f"{ticks} {claims}", sync=False)
        os.replace(name, _TICKS, src_dir_fd=folder.fd, dst_dir_fd=folder.fd)

    def has_files(self) -> bool:
        """Return whether the store holds a folder of a group, whichever."""
        return any(True for kind in _NUMBERED for _ in _entries(self.root / kind))

    # Ids of groups and members.

    def highest(self, kind: str) -> int:
        """Return the highest id of a "group" or "member" that was noted, 0 for none."""
        prefix = f"{kind}-"
        names = [
            entry.name.removeprefix(prefix) for entry in _entries(self._folder / "ids") if entry.name.startswith(prefix)
        ]
        return max((int(name) for name in names if name.isdecimal()), default=0)

    def note_id(self, kind: str, number: int) -> None:
        """Note that this id of a "group" or "member" is in use."""
        ids = self._folder / "ids"
        ids.mkdir(mode=0o750, exist_ok=True)
        (ids / f"{kind}-{number}").touch(mode=0o640)
        # Each number is a file of its own, so that of two processes at once none forgets the other's.
        for lower in list(_entries(ids)):
            rest = lower.name.removeprefix(f"{kind}-")
            if rest != lower.name and rest.isdecimal() and int(rest) < number:
                Path(lower.path).unlink(missing_ok=True)

    def note_ids_of_folders(self) -> None:
        """Note the highest ids that folders are named after. Reads all folders of groups and of loading zones."""
        groups = [0, *(number for kind in _NUMBERED for number in _numbers(self.root / kind))]
        loading = self.root / "loading"
        members = [0, *(number for group in _numbers(loading) for number in _numbers(loading / str(group)))]
        for kind, highest in (("group", max(groups)), ("member", max(members))):
            if highest > self.highest(kind):
                self.note_id(kind, highest)

    def _read(self) -> tuple[str, bool]:
        # Each thread looks twice, and so without the cost of a file object, of a path and of reading JSON again.
        fd = os.open(self._id_file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = os.read(fd, _LONGEST)
        finally:
            os.close(fd)
        if content == self._last_read[0]:
            return self._last_read[1]
        try:
            record = json.loads(content)
            self._last_read = content, (str(record["installation"]), bool(record["confirmed"]))
            return self._last_read[1]
        except (ValueError, KeyError, TypeError):
            raise OSError(f"{self._folder / _ID} is damaged") from None

    def _content(self, name: str) -> bytes:
        with (self._folder / name).open("rb") as file:
            return file.read(_LONGEST)

    def _counts(self) -> tuple[int, int]:
        try:
            ticks, claims, *_ = (*map(int, self._content(_TICKS).split()), 0, 0)
        except (FileNotFoundError, ValueError):
            return 0, 0
        return ticks, claims

    @staticmethod
    def _write(folder: Folder, text: str, *, sync: bool = True) -> str:
        name = f".{secrets.token_hex(8)}"
        fd = folder.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            os.write(fd, text.encode())
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
        return name


def _record(installation: str, *, confirmed: bool) -> str:
    text = "This folder belongs to one psthreads installation: docs/backup.md says what this file is for."
    return json.dumps({"installation": installation, "confirmed": confirmed, "about": text})


def _entries(path: Path) -> Iterator[os.DirEntry[str]]:
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(path) as scan:
        yield from scan


def _numbers(path: Path) -> Iterator[int]:
    return (int(entry.name) for entry in _entries(path) if entry.name.isdecimal() and entry.name.isascii())
