"""Reads an uploaded zip file without trust: everything in it is checked before it is used.

The standard library only reads single entries here. It does not check how much an archive unpacks to, where a name
leads, or whether entries overlap.
"""

from __future__ import annotations

import io
import stat
import struct
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, BinaryIO, Final, cast
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from psthreads.documents.paths import printable
from psthreads.processes.archives import entries as _entries
from psthreads.processes.archives import names as _names
from psthreads.processes.archives.entries import Archive, ArchiveEntry, Damaged, credible, path_of, problem_of
from psthreads.processes.archives.names import PackedName

_CHUNK: Final = 256 * 1024
_SMALL: Final = 1024 * 1024  # bytes, packed and unpacked, up to which an entry is read at once
_MARK: Final = b"PK\x03\x04"
_ENCRYPTED, _UTF_8 = 0x1, 0x800
_WINDOWS: Final = frozenset({0, 10, 11, 14})  # the systems FAT, NTFS by two numbers, and VFAT
_LOCAL: Final = struct.Struct("<4s22xHH")
_UNIX_TIME, _UNIX = 0x5455, struct.Struct("<Bl")
_NTFS_TIME, _NTFS = 0x000A, struct.Struct("<LHHQ")
_NTFS_EPOCH: Final = 11_644_473_600  # seconds from 1601 to 1970
_BROKEN: Final = (BadZipFile, NotImplementedError, RuntimeError, ValueError, OverflowError, struct.error, EOFError)


@dataclass(frozen=True, slots=True)
class ZipEntry(ArchiveEntry):
    """An entry of a zip file."""

    info: ZipInfo


class ZipReader(Archive):
    """Reads a zip file; raises Damaged if it is not one, or only a part of one."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        super().__init__(file.seek(0, io.SEEK_END))
        self._file = file
        try:
            self._zip = ZipFile(cast("IO[bytes]", _Bounded(file)))
        except UnicodeDecodeError as error:
            name = printable(error.object.decode(errors="replace"))
            raise Damaged(f"the name of entry '{name}' is marked as UTF-8 and is not: pack it again") from None
        except (*_BROKEN, OSError):
            raise Damaged("it is not a zip file, or only a part of one: upload it again") from None
        infos = self._zip.infolist()
        decoded = _names.read([_packed_name(info) for info in infos], encoding)
        self.guess = decoded.guess
        self._heads: dict[int, int] = {}  # the sizes of the entries' own headers, by where they begin
        misplaced = self._misplaced(infos)
        entries = [
            _entry(info, name, problem or misplaced.get(id(info), ""))
            for info, (name, problem) in zip(infos, decoded.names, strict=True)
        ]
        self.entries = [entry for entry in entries if not _names.is_clutter(entry.name)]
        self.clutter = len(entries) - len(self.entries)

    def content(self, entry: ArchiveEntry) -> Iterator[bytes]:
        """Yield an entry's content; raises Damaged if its size or its checksum is wrong."""
        left, info = entry.size, cast("ZipEntry", entry).info
        try:
            if max(left, info.compress_size) <= _SMALL:
                yield self._small(info)
                return
            with self._zip.open(info) as source:
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
        head = self._heads[info.header_offset]
        data = self._file.read(head + info.compress_size)
        mark, name, _ = _LOCAL.unpack_from(data)
        if mark != _MARK or data[_LOCAL.size : _LOCAL.size + name] != _raw_name(info):
            raise BadZipFile("The place of the entry contains another one")
        content = data[head:]
        if info.compress_type == ZIP_DEFLATED:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, info.file_size + 1)
        if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
            raise BadZipFile("The content is not the one that the archive lists")
        return content

    def _misplaced(self, infos: Iterable[ZipInfo]) -> dict[int, str]:
        """Return the reason against each entry whose bytes belong to another one, or do not exist."""
        reasons: dict[int, str] = {}
        end, previous = 0, ""
        for info in sorted(infos, key=lambda info: info.header_offset):
            start = info.header_offset
            try:
                self._file.seek(start)
                mark, name, extra = _LOCAL.unpack(self._file.read(_LOCAL.size))
            except (OSError, ValueError, struct.error):
                mark = b""
            if mark != _MARK:
                reasons[id(info)] = "its place in the archive contains something else"
                continue
            if start < end:
                reasons[id(info)] = f"it lies within entry '{printable(previous)}'"
            self._heads[start] = _LOCAL.size + name + extra
            end, previous = start + self._heads[start] + info.compress_size, info.orig_filename
            if end > self._zip.start_dir:
                reasons[id(info)] = "it is longer than the archive"
        return reasons


class _Bounded:
    """A file that limits one read to the size of an archive's list of entries: ZipFile reads the list at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        most = _entries.MOST_LISTED
        data = self._file.read(min(size, most + 1) if size >= 0 else most + 1)
        if len(data) > most:
            raise BadZipFile("The list of entries is too long")
        return data

    def close(self) -> None:
        """Do nothing: the caller closes the file."""


def _packed_name(info: ZipInfo) -> PackedName:
    raw = _raw_name(info)
    return PackedName(raw, info.orig_filename if info.flag_bits & _UTF_8 else _names.unicode_path(raw, info.extra))


def _raw_name(info: ZipInfo) -> bytes:
    name = info.orig_filename
    # As ZipFile decodes it, each byte as one character.
    return name.encode("utf-8" if info.flag_bits & _UTF_8 or name.isascii() else "cp437")


def _entry(info: ZipInfo, name: str, problem: str) -> ZipEntry:
    if info.create_system in _WINDOWS and "/" not in name[:-1]:
        name = name.replace("\\", "/")  # Some programs write names as Windows has them.
    is_folder, path = name.endswith("/"), path_of(name)
    return ZipEntry(
        name=name,
        path=path,
        size=info.file_size,
        modified=_modified(info),
        is_folder=is_folder,
        problem=_problem(info) or problem or problem_of(name, path, info.file_size, is_folder=is_folder) or _bomb(info),
        info=info,
    )


def _problem(info: ZipInfo) -> str:
    """Return the reason against an entry by itself; empty if there is none."""
    if info.flag_bits & _ENCRYPTED:
        return "it is encrypted: pack it without a password"
    if info.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
        return f"it is packed by method {info.compress_type}, and only deflate is supported: pack it with that"
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "it is a symbolic link"
    return "" if kind in {0, stat.S_IFREG, stat.S_IFDIR} else "it is neither a file nor a folder"


def _bomb(info: ZipInfo) -> str:
    most = max(_entries.ALWAYS_FINE, _entries.MOST_RATIO * info.compress_size)
    if info.file_size <= most:
        return ""
    return f"it unpacks to more than {_entries.MOST_RATIO} times its size, as no document does"


def _modified(info: ZipInfo) -> float | None:
    """Return when an entry was modified, as exactly as the archive says it."""
    for kind, field in _names.fields(info.extra):
        if kind == _UNIX_TIME and len(field) >= _UNIX.size and field[0] & 1:
            return credible(_UNIX.unpack_from(field)[1])
        if kind == _NTFS_TIME and len(field) >= _NTFS.size:
            _, tag, size, ticks = _NTFS.unpack_from(field)
            if (tag, size) == (1, 24):
                return credible(ticks / 10_000_000 - _NTFS_EPOCH)
    try:
        return credible(time.mktime((*info.date_time, 0, 0, -1)))
    except (ValueError, OverflowError):
        return None
