"""A zip file that somebody sent, read without trust: nothing in it is believed before it was checked.

Only the standard library's reading of a single entry is used of what it offers; it asks neither how much an
archive unpacks to, nor where a name leads, nor whether entries lie within each other.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, BinaryIO, Final, cast
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from psthreads.documents.paths import printable

MOST_ENTRIES: Final = 100_000
"""Files, and folders that are needed for them, in one archive."""

MOST_BYTES: Final = 10 * 1024 * 1024 * 1024
"""To which an archive may unpack."""

MOST_RATIO: Final = 200
"""How many times its packed size a file, or all of them together, may have; XML hardly comes to 50."""

ALWAYS_FINE: Final = 16 * 1024 * 1024
"""Bytes to which anything may unpack, whatever its ratio."""

MOST_LISTED: Final = 16 * 1024 * 1024
"""Bytes of an archive's list of entries, which is held in memory while it is unpacked."""

_CHUNK: Final = 256 * 1024
_ENCRYPTED, _UTF_8 = 0x1, 0x800
_LOCAL: Final = struct.Struct("<4s22xHH")
_ABSOLUTE: Final = re.compile(r"/|[A-Za-z]:")
_BROKEN: Final = (BadZipFile, NotImplementedError, RuntimeError, ValueError, OverflowError, struct.error, EOFError)


class Damaged(Exception):
    """An archive or an entry cannot be read; the text says why, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """An entry of an archive. `path` is its name as a path that starts with a slash, whatever else it holds."""

    name: str
    path: str
    info: ZipInfo

    @property
    def is_folder(self) -> bool:
        """Whether it stands for a folder, and holds nothing."""
        return self.name.endswith("/")


class ZipReader:
    """A zip file that is being read. Raises Damaged for what is none, or only a part of one."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, io.SEEK_END)
        try:
            self._zip = ZipFile(cast("IO[bytes]", _Bounded(file)))
        except UnicodeDecodeError as error:
            name = printable(error.object.decode(errors="replace"))
            raise Damaged(f"the name of entry '{name}' is said to be UTF-8 and is not: pack it again") from None
        except (*_BROKEN, OSError):
            raise Damaged("it is no zip file, or only a part of one: upload it again") from None
        self.entries = [_entry(info) for info in self._zip.infolist()]

    @property
    def files(self) -> list[ZipEntry]:
        """The entries that are files."""
        return [entry for entry in self.entries if not entry.is_folder]

    @property
    def unpacked_size(self) -> int:
        """The bytes that it says it unpacks to, which is never exceeded."""
        return sum(entry.info.file_size for entry in self.entries)

    def problems(self) -> Iterator[str]:
        """Why the archive as a whole is not unpacked, each as the end of a sentence."""
        total = self.unpacked_size
        if not self.files:
            yield "there is no file in it"
        if len(self.entries) > MOST_ENTRIES or len(self._folders()) + len(self.entries) > MOST_ENTRIES:
            yield f"it has more than {MOST_ENTRIES:,} files and folders: pack them in several archives"
        if total > MOST_BYTES:
            yield f"it unpacks to {total:,} bytes, and {MOST_BYTES:,} are the most: pack it in several archives"
        if total > max(ALWAYS_FINE, MOST_RATIO * self.size):
            yield f"it unpacks to more than {MOST_RATIO} times its size, as no documents do"

    def refused(self) -> Iterator[tuple[ZipEntry, str]]:
        """The entries that are not unpacked, each with the reason as the end of a sentence; never one twice."""
        seen: set[str] = set()
        folders = self._folders()
        overlapping = self._overlapping()
        for entry in self.entries:
            reason = _odd(entry) or overlapping.get(id(entry), "")
            if not reason and not entry.is_folder:
                if entry.path in seen:
                    reason = "another entry has the same name"
                elif entry.path in folders:
                    reason = "other entries take it for a folder"
                seen.add(entry.path)
            if reason:
                yield entry, reason

    def unpack(self, entry: ZipEntry, target: BinaryIO) -> None:
        """Write what an entry holds; raises Damaged where that is not what the archive says."""
        left = entry.info.file_size
        try:
            with self._zip.open(entry.info) as source:
                while chunk := source.read(_CHUNK):
                    left -= len(chunk)
                    target.write(chunk)
        except (*_BROKEN, zlib.error):
            left = -1
        if left:
            raise Damaged("what it holds is damaged: pack the archive again")

    # Inside.

    def _folders(self) -> set[str]:
        """The folders that entries are in or stand for; more than there may be are not looked for."""
        folders: set[str] = set()
        for entry in self.entries:
            path = f"{entry.path}/" if entry.is_folder else entry.path
            while (path := path.rpartition("/")[0]) and path not in folders and len(folders) <= MOST_ENTRIES:
                folders.add(path)
        return folders

    def _overlapping(self) -> dict[int, str]:
        """Of the entries whose bytes are not their own, or not there, why they are refused."""
        reasons: dict[int, str] = {}
        end, before = 0, ""
        for entry in sorted(self.entries, key=lambda entry: entry.info.header_offset):
            start = entry.info.header_offset
            try:
                self._file.seek(start)
                mark, name, extra = _LOCAL.unpack(self._file.read(_LOCAL.size))
            except (OSError, ValueError, struct.error):
                mark = b""
            if mark != b"PK\x03\x04":
                reasons[id(entry)] = "its place in the archive holds something else"
                continue
            if start < end:
                reasons[id(entry)] = f"it lies within entry '{before}'"
            end, before = start + _LOCAL.size + name + extra + entry.info.compress_size, printable(entry.name)
            if end > self._zip.start_dir:
                reasons[id(entry)] = "it is longer than the archive"
        return reasons


class _Bounded:
    """A file of which nobody reads more at once than an archive's list of entries may have."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size, MOST_LISTED + 1) if size >= 0 else MOST_LISTED + 1)
        if len(data) > MOST_LISTED:
            raise BadZipFile("The list of entries is too long")
        return data

    def close(self) -> None:
        """The file belongs to who opened it."""


def _entry(info: ZipInfo) -> ZipEntry:
    name = info.orig_filename
    if not info.flag_bits & _UTF_8:
        # Many programs write UTF-8 and do not say so. What is none is in the encoding of the first zip files.
        try:
            name = name.encode("cp437").decode()
        except UnicodeError:
            name = info.orig_filename
    path = "/".join(part for part in name.split("/") if part not in {"", "."})
    return ZipEntry(name, f"/{path}", info)


def _odd(entry: ZipEntry) -> str:
    """What is wrong with an entry whatever the others are; empty for nothing."""
    info = entry.info
    mode = info.external_attr >> 16
    is_plain = not stat.S_IFMT(mode) or stat.S_ISREG(mode) or stat.S_ISDIR(mode)
    found = (
        (info.flag_bits & _ENCRYPTED, "it is encrypted: pack it without a password"),
        (
            info.compress_type not in {ZIP_STORED, ZIP_DEFLATED},
            f"it is packed by method {info.compress_type}, and only deflate is known: pack it with that",
        ),
        (stat.S_ISLNK(mode), "it is a symbolic link"),
        (not is_plain, "it is neither a file nor a folder"),
        (_ABSOLUTE.match(entry.name), "its name is absolute"),
        (entry.path == "/" and not entry.is_folder, "it has no name"),
        (entry.is_folder and info.file_size, "it is a folder and yet holds something"),
        (
            info.file_size > max(ALWAYS_FINE, MOST_RATIO * info.compress_size),
            f"it unpacks to more than {MOST_RATIO} times its size, as no document does",
        ),
    )
    return next((reason for is_so, reason in found if is_so), "")
