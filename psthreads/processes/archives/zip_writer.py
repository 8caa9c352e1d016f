"""Writes zip files in bounded memory, whatever the number and the sizes of their entries.

The standard library keeps the list of entries in memory until the end.
"""

from __future__ import annotations

import re
import struct
import time
import zlib
from typing import BinaryIO, Final

SMALL: Final = 256 * 1024
"""The bytes of an entry up to which `ZipWriter.add` is the better choice."""

_LEVEL: Final = 6
_RAW: Final = -15  # zlib's window size for a stream without a header
_CHUNK: Final = 256 * 1024
_DEFLATED, _STORED = 8, 0
_PLAIN_VERSION, _WIDE_VERSION = 20, 45  # the format's version that a reader must support; 45 has ZIP64
_UNIX: Final = 3 << 8
_UTF_8: Final = 0x800
_MODE: Final = 0o100644 << 16
_SHORT: Final = 0xFFFF
_LONG: Final = 0xFFFFFFFF
_ROOM: Final = _LONG  # the largest size in the header of an ordinary entry
_MAY_GROW: Final = 1024 * 1024 * 1024  # a larger entry gets a header with room for more than 4 GB

_LOCAL: Final = struct.Struct("<4s5H3L2H")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_TIME: Final = struct.Struct("<HHBl")
_END: Final = struct.Struct("<4s4H2LH")
_WIDE_END: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR: Final = struct.Struct("<4sLQL")

_PACKED: Final = re.compile(
    r"\.(7z|avi|bz2|docx|epub|flac|gif|gz|jar|jpe?g|m4a|mkv|mov|mp[34]|od[pst]|ogg|png|pptx|rar|web[mp]|woff2?"
    r"|xlsx|xz|zip|zst)\Z",
    re.IGNORECASE,
)
"""The extensions of files that are compressed already."""


class ZipWriter:
    """Writes a zip file from the current position of `file`. `directory` is an empty file for the list of entries.

    Names have no leading slash; `modified` is in milliseconds since the epoch.
    """

    def __init__(self, file: BinaryIO, directory: BinaryIO) -> None:
        self._file = file
        self._directory = directory
        self._at = file.tell()
        self._entries = 0
        self._listed = 0  # bytes of the directory

    def add(self, name: str, modified: int, data: bytes) -> None:
        """Add an entry with this content."""
        checksum, size = zlib.crc32(data), len(data)
        method, packed = _STORED, data
        if not _PACKED.search(name):
            smaller = zlib.compress(data, _LEVEL, _RAW)
            if len(smaller) < size:
                method, packed = _DEFLATED, smaller
        entry = _Entry(name, modified, method, self._at)
        header = entry.local(checksum, len(packed), size)
        self._file.write(header + packed)
        self._at += len(header) + len(packed)
        self._list(entry, checksum, len(packed), size)

    def stream(self, name: str, modified: int, source: BinaryIO, size: int) -> int:
        """Add an entry in pieces; `size` is the expected size in bytes. Returns the actual size."""
        method = _STORED if _PACKED.search(name) else _DEFLATED
        for is_wide in (size > _MAY_GROW, True):
            entry = _Entry(name, modified, method, self._at, is_wide=is_wide)
            self._file.write(entry.local(0, 0, 0))
            checksum, packed, actual = self._copy(source, method)
            if is_wide or max(packed, actual) < _ROOM:
                break
            # It grew past 4 GB while it was read, and the header has no room for its size.
            source.seek(0)
            self._file.seek(self._at)
            self._file.truncate()
        end = self._file.tell()
        self._file.seek(self._at)
        self._file.write(entry.local(checksum, packed, actual))
        self._file.seek(end)
        self._at = end
        self._list(entry, checksum, packed, actual)
        return actual

    def close(self) -> None:
        """Write the list of entries, which completes the zip file. Both files stay open."""
        self._directory.seek(0)
        while chunk := self._directory.read(_CHUNK):
            self._file.write(chunk)
        end = self._at + self._listed
        if self._entries >= _SHORT or end >= _LONG:
            numbers = (self._entries, self._entries, self._listed, self._at)
            self._file.write(_WIDE_END.pack(b"PK\6\6", 44, _UNIX | _WIDE_VERSION, _WIDE_VERSION, 0, 0, *numbers))
            self._file.write(_LOCATOR.pack(b"PK\6\7", 0, end, 1))
        count = min(self._entries, _SHORT)
        self._file.write(_END.pack(b"PK\5\6", 0, 0, count, count, min(self._listed, _LONG), min(self._at, _LONG), 0))

    def _copy(self, source: BinaryIO, method: int) -> tuple[int, int, int]:
        """Copy the content; returns its checksum, its compressed size and its size."""
        checksum = packed = size = 0
        compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW) if method == _DEFLATED else None
        while chunk := source.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
            size += len(chunk)
            packed += self._file.write(compressor.compress(chunk) if compressor else chunk)
        if compressor:
            packed += self._file.write(compressor.flush())
        return checksum, packed, size

    def _list(self, entry: _Entry, checksum: int, packed: int, size: int) -> None:
        self._listed += self._directory.write(entry.central(checksum, packed, size))
        self._entries += 1


class _Entry:
    """The values that both headers of an entry share."""

    __slots__ = ("_at", "_date", "_extra", "_flags", "_is_wide", "_method", "_name", "_time")

    def __init__(self, name: str, modified: int, method: int, at: int, *, is_wide: bool = False) -> None:
        self._name = name.encode()
        self._flags = 0 if name.isascii() else _UTF_8
        self._method = method
        self._at = at
        self._is_wide = is_wide
        seconds = modified // 1000
        self._date, self._time = _stamp(seconds)
        # The exact time, in UTC, for readers that know this field.
        self._extra = _TIME.pack(0x5455, 5, 1, seconds) if 0 <= seconds < 1 << 31 else b""

    def local(self, checksum: int, packed: int, size: int) -> bytes:
        """Return the header before the content."""
        extra, version = self._extra, _PLAIN_VERSION
        if self._is_wide:
            extra += struct.pack("<2H2Q", 1, 16, size, packed)
            version, packed, size = _WIDE_VERSION, _LONG, _LONG
        numbers = (self._method, self._time, self._date, checksum, packed, size, len(self._name), len(extra))
        return _LOCAL.pack(b"PK\3\4", version, self._flags, *numbers) + self._name + extra

    def central(self, checksum: int, packed: int, size: int) -> bytes:
        """Return the header in the list of entries."""
        extra, version, at = self._extra, _PLAIN_VERSION, self._at
        long = [number for number in (size, packed, at) if number >= _LONG]
        if long:
            extra += struct.pack(f"<2H{len(long)}Q", 1, 8 * len(long), *long)
        if long or self._is_wide:
            version = _WIDE_VERSION
        numbers = (checksum, min(packed, _LONG), min(size, _LONG), len(self._name), len(extra), 0, 0, 0, _MODE)
        header = _CENTRAL.pack(
            *(b"PK\1\2", _UNIX | version, version, self._flags, self._method, self._time, self._date),
            *(*numbers, min(at, _LONG)),
        )
        return header + self._name + extra


def _stamp(seconds: int) -> tuple[int, int]:
    """Return the date and the time in a zip file's form: local, in steps of two seconds, from 1980 to 2107."""
    year, month, day, hour, minute, second, *_ = time.localtime(seconds)
    if year < 1980:  # noqa: PLR2004 (see above)
        year, month, day, hour, minute, second = 1980, 1, 1, 0, 0, 0
    elif year > 2107:  # noqa: PLR2004 (see above)
        year, month, day, hour, minute, second = 2107, 12, 31, 23, 59, 59
    return (year - 1980) << 9 | month << 5 | day, hour << 11 | minute << 5 | second // 2
