"""Reads an uploaded tar archive without trust, packed or not: everything in it is checked before it is used.

The standard library reads the headers only. It does not bound their size, nor what a packed archive unpacks to, and it
takes a damaged header in the middle of an archive for the end of it.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, BinaryIO, Final, Protocol, cast

from psthreads.documents.paths import printable
from psthreads.processes.archives import entries as _entries
from psthreads.processes.archives import names as _names
from psthreads.processes.archives.entries import Archive, ArchiveEntry, Damaged, credible, path_of, problem_of
from psthreads.processes.archives.names import PackedName

_CHUNK: Final = 256 * 1024
_BLOCK: Final = 512
_MOST_HEADER: Final = 256 * 1024  # bytes of one entry, with its long name and other extensions
_HEADERS: Final = 4 * 1024  # bytes of an entry's headers on average, at most
_DICTIONARY: Final = 256 * 1024 * 1024  # bytes of memory to unpack xz; its best compression needs 65 MiB
_BROKEN: Final = (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, RecursionError)


class _UnpackedFile(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def seek(self, offset: int, /) -> int: ...
    def tell(self) -> int: ...


@dataclass(frozen=True, slots=True)
class TarEntry(ArchiveEntry):
    """An entry of a tar archive, with the place of its content in the unpacked archive."""

    offset: int


class TarReader(Archive):
    """Reads a tar archive, packed by `packing` or, if that is empty, not; raises Damaged for anything else."""

    def __init__(self, file: BinaryIO, packing: str, encoding: str) -> None:
        super().__init__(file.seek(0, io.SEEK_END))
        file.seek(0)
        most = min(_entries.MOST_BYTES, self.most_unpacked) + _HEADERS * _entries.MOST_ENTRIES
        self._stream = _Stream(_UNPACKED[packing](file), most)
        try:
            members = self._members()
        except _BROKEN:
            what = f"it is packed by {packing}, and what is in it" if packing else "it"
            raise Damaged(f"{what} is not a tar archive, or only a part of one: upload it again") from None
        decoded = _names.read([name for name, _ in members], encoding)
        self.guess = decoded.guess
        named = [_entry(member, *name) for (_, member), name in zip(members, decoded.names, strict=True)]
        self.entries = [entry for entry in named if not _names.is_clutter(entry.name)]
        self.clutter = len(named) - len(self.entries)

    def content(self, entry: ArchiveEntry) -> Iterator[bytes]:
        """Yield an entry's content; raises Damaged if it is not there."""
        left = entry.size
        try:
            self._stream.seek(cast("TarEntry", entry).offset)
            while left and (chunk := self._stream.data(min(left, _CHUNK))):
                left -= len(chunk)
                yield chunk
        except _BROKEN:
            left = -1
        if left:
            raise Damaged("its content is damaged: pack the archive again")

    def _members(self) -> list[tuple[PackedName, tarfile.TarInfo]]:
        """Return what is listed, up to just above the limits; raises Damaged or what `tarfile` does."""
        members: list[tuple[PackedName, tarfile.TarInfo]] = []
        stream = self._stream
        listed = total = 0
        stream.headers_left = _MOST_HEADER
        tar = _TarHeaders(fileobj=cast("IO[bytes]", stream), encoding="utf-8", errors="surrogateescape")
        end = -1
        while (member := tar.next()) is not None:
            if member.size < 0 or tar.offset <= end:
                raise tarfile.ReadError("The entry ends before it begins")
            end = tar.offset
            tar.members.clear()  # It would keep them all, with all of their headers.
            name = _packed_name(member)
            member.pax_headers = {}
            members.append((name, member))
            listed += len(name.raw)
            total += member.size
            if listed > _entries.MOST_LISTED:
                raise Damaged("its list of names is too long: pack it in several archives")
            if len(members) > _entries.MOST_ENTRIES or total > min(_entries.MOST_BYTES, self.most_unpacked):
                return members
            stream.headers_left = _MOST_HEADER
        stream.seek(tar.offset)
        if stream.data(_BLOCK).strip(b"\0") or stream.tell() == tar.offset:
            after = f" after entry '{printable(members[-1][1].name)}'" if members else ""
            raise Damaged(f"it is damaged, or ends{after} before its end: upload it again")
        stream.most = tar.offset + _entries.ALWAYS_FINE  # Archives are filled up, but not with so much.
        while stream.data(_CHUNK):  # To the end, where the checksum is.
            pass
        return members


class _TarHeaders(tarfile.TarFile):
    """The headers of an archive."""

    members: list[tarfile.TarInfo]  # Those so far, which the type stubs do not name.


class _Stream:
    """The unpacked archive, up to `most` bytes. `headers_left` bounds what is read of the headers of an entry."""

    def __init__(self, source: _UnpackedFile, most: int) -> None:
        self.headers_left = 0
        self._source = source
        self.most = most
        self.tell = source.tell

    def read(self, size: int) -> bytes:
        """Read a part of a header."""
        if not 0 <= size <= self.headers_left:
            raise Damaged(f"the headers of an entry in it have more than {_MOST_HEADER:,} bytes")
        self.headers_left -= size
        return self.data(size)

    def data(self, size: int) -> bytes:
        """Read anything else."""
        if self.tell() > self.most:
            raise Damaged("it unpacks to more than its entries take, as no archive does")
        return self._source.read(size)

    def seek(self, offset: int) -> int:
        """Go to a place in the unpacked archive."""
        if not 0 <= offset <= self.most:
            raise Damaged("it unpacks to more than its entries take, as no archive does")
        return self._source.seek(offset)


class _Xz(io.RawIOBase):
    """A file that is packed by xz. That of the standard library has no limit on its memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._restart()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence == io.SEEK_CUR:
            offset += self._at
        if offset < self._at:
            self._restart()
        while self._at < offset and self._next(min(_CHUNK, offset - self._at)):
            pass
        return self._at

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        chunk = self._next(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def _restart(self) -> None:
        self._file.seek(0)
        self._at = 0
        self._unpacker = self._new()

    @staticmethod
    def _new() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_DICTIONARY)

    def _next(self, size: int) -> bytes:
        """Return the next bytes, at most so many; none at the end."""
        while True:
            packed = b""
            if self._unpacker.eof:  # Another stream may follow, after a padding of zeros.
                packed = self._unpacker.unused_data.lstrip(b"\0")
                while not packed:
                    if not (more := self._file.read(_CHUNK)):
                        return b""
                    packed = more.lstrip(b"\0")
                self._unpacker = self._new()
            elif self._unpacker.needs_input and not (packed := self._file.read(_CHUNK)):
                raise EOFError
            if chunk := self._unpacker.decompress(packed, size):
                self._at += len(chunk)
                return chunk


_UNPACKED: Final[dict[str, Callable[[BinaryIO], _UnpackedFile]]] = {
    "": lambda file: file,
    "gzip": lambda file: cast("_UnpackedFile", gzip.GzipFile(fileobj=file, mode="rb")),
    "bzip2": lambda file: cast("_UnpackedFile", bz2.BZ2File(file)),
    "xz": lambda file: cast("_UnpackedFile", io.BufferedReader(_Xz(file), _CHUNK)),
}


def _packed_name(member: tarfile.TarInfo) -> PackedName:
    raw = member.name.encode("utf-8", "surrogateescape")
    is_certain = "path" in member.pax_headers and raw.decode(errors="ignore") == member.name
    return PackedName(raw, member.name if is_certain else None)


def _entry(member: tarfile.TarInfo, name: str, problem: str) -> TarEntry:
    is_folder = member.isdir()
    rules = (
        (member.issym() or member.islnk(), "it is a link"),
        (member.issparse(), "it is a sparse file, with holes in it: pack it without them"),
        (not member.isreg() and not is_folder, "it is neither a file nor a folder"),
    )
    problem = problem or next((reason for is_broken, reason in rules if is_broken), "")
    path = path_of(name)
    return TarEntry(
        name=name,
        path=path,
        size=member.size,
        modified=credible(member.mtime),
        is_folder=is_folder,
        problem=problem or problem_of(name, path, member.size, is_folder=is_folder),
        offset=member.offset_data,
    )
