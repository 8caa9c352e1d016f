"""Reads an uploaded zip file without trust: everything in it is checked before it is used.

The standard library only reads single entries here. It does not check how much an archive unpacks to, where a name
leads, or whether entries overlap.
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
"""The files of an archive, and the folders that they need, at most."""

MOST_BYTES: Final = 10 * 1024 * 1024 * 1024
"""The unpacked size of an archive, at most."""

MOST_RATIO: Final = 200
"""The unpacked size by the packed one, of a file and of an archive, at most; XML rarely reaches 50."""

ALWAYS_FINE: Final = 16 * 1024 * 1024
"""The unpacked bytes that are accepted at any ratio."""

MOST_LISTED: Final = 16 * 1024 * 1024
"""The bytes of an archive's list of entries, at most; it is held in memory."""

_CHUNK: Final = 256 * 1024
_SMALL: Final = 1024 * 1024  # bytes, packed and unpacked, up to which an entry is read at once
_MARK: Final = b"PK\x03\x04"
_ENCRYPTED, _UTF_8 = 0x1, 0x800
_LOCAL: Final = struct.Struct("<4s22xHH")
_ABSOLUTE: Final = re.compile(r"/|[A-Za-z]:")
_BROKEN: Final = (BadZipFile, NotImplementedError, RuntimeError, ValueError, OverflowError, struct.error, EOFError)


class Damaged(Exception):
    """An archive or an entry cannot be read. The text is the reason, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """An entry of an archive. `path` is its name in the form of a path, with a leading slash, and unchecked."""

    name: str
    path: str
    info: ZipInfo

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder's entry, without content."""
        return self.name.endswith("/")


class ZipReader:
    """Reads a zip file; raises Damaged if it is not one, or only a part of one."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, io.SEEK_END)
        try:
            self._zip = ZipFile(cast("IO[bytes]", _Bounded(file)))
        except UnicodeDecodeError as error:
            name = printable(error.object.decode(errors="replace"))
            raise Damaged(f"the name of entry '{name}' is marked as UTF-8 and is not: pack it again") from None
        except (*_BROKEN, OSError):
            raise Damaged("it is not a zip file, or only a part of one: upload it again") from None
        self.entries = [_entry(info) for info in self._zip.infolist()]

    @property
    def files(self) -> list[ZipEntry]:
        """The entries that are files."""
        return [entry for entry in self.entries if not entry.is_folder]

    @property
    def unpacked_size(self) -> int:
        """The unpacked size in bytes that the archive declares; unpacking never exceeds it."""
        return sum(entry.info.file_size for entry in self.entries)

    def problems(self) -> Iterator[str]:
        """Yield the reasons not to unpack the archive as a whole, each as the end of a sentence."""
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
        """Yield the entries that are not unpacked, each once, with the reason as the end of a sentence."""
        paths: set[str] = set()
        folders = self._folders()
        misplaced = self._misplaced()
        for entry in self.entries:
            reason = _problem(entry) or misplaced.get(id(entry), "")
            if not reason and not entry.is_folder:
                if entry.path in paths:
                    reason = "another entry has the same name"
                elif entry.path in folders:
                    reason = "other entries use it as a folder"
                paths.add(entry.path)
            if reason:
                yield entry, reason

    def content(self, entry: ZipEntry) -> Iterator[bytes]:
        """Yield an entry's content; raises Damaged if its size or its checksum is wrong."""
        left = entry.info.file_size
        try:
            if max(left, entry.info.compress_size) <= _SMALL:
                yield self._small(entry.info)
                return
            with self._zip.open(entry.info) as source:
                while chunk := source.read(_CHUNK):
                    left -= len(chunk)
                    yield chunk
        except (*_BROKEN, zlib.error):
            left = -1
        if left:
            raise Damaged("its content is damaged: pack the archive again")

    def _small(self, info: ZipInfo) -> bytes:
        """Return an entry's content; ZipFile does the same in many steps, which take longer than the work itself."""
        self._file.seek(info.header_offset)
        mark, name, extra = _LOCAL.unpack(self._file.read(_LOCAL.size))
        encoding = "utf-8" if info.flag_bits & _UTF_8 else "cp437"
        if mark != _MARK or self._file.read(name).decode(encoding) != info.orig_filename:
            raise BadZipFile("The place of the entry contains another one")
        content = self._file.read(extra + info.compress_size)[extra:]
        if info.compress_type == ZIP_DEFLATED:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, info.file_size + 1)
        if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
            raise BadZipFile("The content is not the one that the archive lists")
        return content

    def _folders(self) -> set[str]:
        """Return the folders of the entries, up to just above the limit."""
        folders: set[str] = set()
        for entry in self.entries:
            path = f"{entry.path}/" if entry.is_folder else entry.path
            while (path := path.rpartition("/")[0]) and path not in folders and len(folders) <= MOST_ENTRIES:
                folders.add(path)
        return folders

    def _misplaced(self) -> dict[int, str]:
        """Return the reason against each entry whose bytes belong to another one, or do not exist."""
        reasons: dict[int, str] = {}
        end, previous = 0, ""
        for entry in sorted(self.entries, key=lambda entry: entry.info.header_offset):
            start = entry.info.header_offset
            try:
                self._file.seek(start)
                mark, name, extra = _LOCAL.unpack(self._file.read(_LOCAL.size))
            except (OSError, ValueError, struct.error):
                mark = b""
            if mark != _MARK:
                reasons[id(entry)] = "its place in the archive contains something else"
                continue
            if start < end:
                reasons[id(entry)] = f"it lies within entry '{previous}'"
            end, previous = start + _LOCAL.size + name + extra + entry.info.compress_size, printable(entry.name)
            if end > self._zip.start_dir:
                reasons[id(entry)] = "it is longer than the archive"
        return reasons


class _Bounded:
    """A file that limits one read to the size of an archive's list of entries: ZipFile reads the list at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size, MOST_LISTED + 1) if size >= 0 else MOST_LISTED + 1)
        if len(data) > MOST_LISTED:
            raise BadZipFile("The list of entries is too long")
        return data

    def close(self) -> None:
        """Do nothing: the caller closes the file."""


def _entry(info: ZipInfo) -> ZipEntry:
    name = info.orig_filename
    if not info.flag_bits & _UTF_8:
        # Many programs write UTF-8 without the flag. Other names are in the encoding of the first zip files.
        try:
            name = name.encode("cp437").decode()
        except UnicodeError:
            name = info.orig_filename
    path = "/".join(part for part in name.split("/") if part not in {"", "."})
    return ZipEntry(name, f"/{path}", info)


def _problem(entry: ZipEntry) -> str:
    """Return the reason against an entry by itself; empty if there is none."""
    info = entry.info
    mode = info.external_attr >> 16
    is_plain = not stat.S_IFMT(mode) or stat.S_ISREG(mode) or stat.S_ISDIR(mode)
    rules = (
        (info.flag_bits & _ENCRYPTED, "it is encrypted: pack it without a password"),
        (
            info.compress_type not in {ZIP_STORED, ZIP_DEFLATED},
            f"it is packed by method {info.compress_type}, and only deflate is supported: pack it with that",
        ),
        (stat.S_ISLNK(mode), "it is a symbolic link"),
        (not is_plain, "it is neither a file nor a folder"),
        (_ABSOLUTE.match(entry.name), "its name is absolute"),
        (entry.path == "/" and not entry.is_folder, "it has no name"),
        (entry.is_folder and info.file_size, "it is a folder, and yet has content"),
        (
            info.file_size > max(ALWAYS_FINE, MOST_RATIO * info.compress_size),
            f"it unpacks to more than {MOST_RATIO} times its size, as no document does",
        ),
    )
    return next((reason for is_broken, reason in rules if is_broken), "")
