"""Reads the snapshot with which an append-only file may begin, or that its first part is, as commands that make it.

Only what servers from Redis 7 on write is read: https://rdb.fnordig.de/file_format.html and the servers' rdb.c have the
format. Streams are skipped.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from io import BufferedReader
from typing import Final

_MAGICS: Final = (b"REDIS", b"VALKEY")
_MAGIC_SIZE: Final = 9
_EXPIRY_MS, _EXPIRY_S, _DATABASE, _END = 0xFC, 0xFD, 0xFE, 0xFF
_LONGEST: Final = 512 * 1024 * 1024
_PACKED: Final = 2
_DAMAGED: Final = "it is damaged"
_REMEDY: Final = "rewrite the file without one: CONFIG SET aof-use-rdb-preamble no, then BGREWRITEAOF"


class UnknownSnapshot(Exception):
    """A snapshot holds what cannot be read here; the text says what."""


def commands(stream: BufferedReader) -> Iterator[list[bytes]]:
    """Return the commands that make what a snapshot at this place holds; none where there is no snapshot.

    Raises UnknownSnapshot for what is not known here, and EOFError for a snapshot that ends too early.
    """
    if stream.peek(_MAGIC_SIZE)[:_MAGIC_SIZE].startswith(_MAGICS):
        stream.read(_MAGIC_SIZE)
        try:
            yield from _Snapshot(stream).commands()
        except (ValueError, IndexError, KeyError):
            raise UnknownSnapshot(_DAMAGED) from None


class _Snapshot:
    def __init__(self, stream: BufferedReader) -> None:
        self._stream = stream
        self._skipped: dict[int, Callable[[], object]] = {
            0xFA: lambda: (self._text(), self._text()),  # a name and a value about the server
            0xFB: lambda: (self._length(), self._length()),  # the sizes of the database
            0xF9: lambda: self._bytes(1),  # how often the key was used
            0xF8: self._length,  # how long it was not
            0xF5: self._text,  # a library of functions
            0xF4: lambda: (self._length(), self._length(), self._length()),  # the sizes of a slot
        }
        self._values: dict[int, Callable[[], Iterator[list[bytes]]]] = {
            0: lambda: iter([[b"SET", self._text()]]),
            1: lambda: ([b"RPUSH", self._text()] for _ in range(self._length())),
            2: lambda: ([b"SADD", self._text()] for _ in range(self._length())),
            4: lambda: ([b"HSET", self._text(), self._text()] for _ in range(self._length())),
            5: self._sorted_set,
            11: lambda: ([b"SADD", b"%d" % number] for number in _integers(self._text())),
            16: lambda: ([b"HSET", field, value] for field, value in _in_pairs(_packed(self._text()))),
            17: lambda: ([b"ZADD", at, member] for member, at in _in_pairs(_packed(self._text()))),
            18: self._list,
            20: lambda: ([b"SADD", member] for member in _packed(self._text())),
            15: lambda: self._stream_value(1),
            19: lambda: self._stream_value(2),
            21: lambda: self._stream_value(3),
        }

    def commands(self) -> Iterator[list[bytes]]:
        expires = 0
        while (kind := self._bytes(1)[0]) != _END:
            if kind in self._skipped:
                self._skipped[kind]()
            elif kind == _DATABASE:
                yield [b"SELECT", b"%d" % self._length()]
            elif kind == _EXPIRY_MS:
                expires = int.from_bytes(self._bytes(8), "little")
            elif kind == _EXPIRY_S:
                expires = 1000 * int.from_bytes(self._bytes(4), "little")
            elif kind in self._values:
                key = self._text()
                for name, *rest in self._values[kind]():
                    yield [name, key, *rest]
                if expires:
                    yield [b"PEXPIREAT", key, b"%d" % expires]
                expires = 0
            else:
                raise UnknownSnapshot(f"it has values of a kind, {kind}, that is not known here; {_REMEDY}")
        self._bytes(8)  # the checksum

    def _bytes(self, size: int) -> bytes:
        if size > _LONGEST:
            raise UnknownSnapshot(_DAMAGED)
        value = self._stream.read(size)
        if len(value) < size:
            raise EOFError
        return value

    def _length(self) -> int:
        length = self._length_or_encoding()
        if length < 0:
            raise UnknownSnapshot(_DAMAGED)
        return length

    def _length_or_encoding(self) -> int:
        """Return a length; one less than minus the number of an encoding, where there is one instead."""
        first = self._bytes(1)[0]
        kind, rest = first >> 6, first & 0x3F
        if kind == 0:
            return rest
        if kind == 1:
            return rest << 8 | self._bytes(1)[0]
        if kind == 2:
            return int.from_bytes(self._bytes(8 if rest else 4), "big")
        return -1 - rest

    def _text(self) -> bytes:
        length = self._length_or_encoding()
        if length >= 0:
            return self._bytes(length)
        if length >= -3:
            return b"%d" % int.from_bytes(self._bytes(1 << (-1 - length)), "little", signed=True)
        size, _ = self._length(), self._length()
        return _unpacked(self._bytes(size))

    def _sorted_set(self) -> Iterator[list[bytes]]:
        for _ in range(self._length()):
            member = self._text()
            (score,) = struct.unpack("<d", self._bytes(8))
            yield [b"ZADD", b"%.17g" % score, member]

    def _list(self) -> Iterator[list[bytes]]:
        for _ in range(self._length()):
            is_packed = self._length() == _PACKED
            node = self._text()
            yield from ([b"RPUSH", value] for value in (_packed(node) if is_packed else (node,)))

    def _stream_value(self, version: int) -> Iterator[list[bytes]]:
        """Skip a stream."""
        for _ in range(self._length()):
            self._text()
            self._text()
        for _ in range(3 if version == 1 else 8):  # how many entries, which are the last ones, and such
            self._length()
        for _ in range(self._length()):
            self._consumers(version)
        return iter(())

    def _consumers(self, version: int) -> None:
        """Skip a group of consumers."""
        self._text()
        for _ in range(2 if version == 1 else 3):
            self._length()
        for _ in range(self._length()):
            self._bytes(24)
            self._length()
        for _ in range(self._length()):
            self._text()
            self._bytes(8 if version < 3 else 16)
            for _ in range(self._length()):
                self._bytes(16)


def _integers(raw: bytes) -> Iterator[int]:
    """Return the numbers of a set of integers."""
    size = int.from_bytes(raw[:4], "little")
    for begin in range(8, len(raw), size):
        yield int.from_bytes(raw[begin : begin + size], "little", signed=True)


def _in_pairs(values: Iterator[bytes]) -> Iterator[tuple[bytes, bytes]]:
    return zip(values, values, strict=True)


def _packed(raw: bytes) -> Iterator[bytes]:
    """Return the values of a list that is packed into one text."""
    begin = 6
    while raw[begin] != _END:
        value, size = _packed_value(raw, begin)
        yield value
        begin += size + sum(size > most for most in (-1, 127, 16_383, 2_097_151, 268_435_455))


def _packed_value(raw: bytes, begin: int) -> tuple[bytes, int]:
    """Return the value that begins there, and how many bytes it takes."""
    first = raw[begin]
    if first < 0x80:
        return b"%d" % first, 1
    if first < 0xC0:
        size, head = first & 0x3F, 1
    elif first < 0xE0:
        number = (first & 0x1F) << 8 | raw[begin + 1]
        return b"%d" % (number - (0x2000 if number >= 0x1000 else 0)), 2
    elif first < 0xF0:
        size, head = (first & 0x0F) << 8 | raw[begin + 1], 2
    elif first == 0xF0:
        size, head = int.from_bytes(raw[begin + 1 : begin + 5], "little"), 5
    else:
        width = {0xF1: 2, 0xF2: 3, 0xF3: 4, 0xF4: 8}[first]
        return b"%d" % int.from_bytes(raw[begin + 1 : begin + 1 + width], "little", signed=True), 1 + width
    return raw[begin + head : begin + head + size], head + size


def _unpacked(raw: bytes) -> bytes:
    """Return the text that LZF has compressed to this."""
    text, at = bytearray(), 0
    while at < len(raw):
        control = raw[at]
        at += 1
        if control < 0x20:
            text += raw[at : at + control + 1]
            at += control + 1
            continue
        length, high = control >> 5, (control & 0x1F) << 8
        if length == 7:
            length += raw[at]
            at += 1
        begin = len(text) - high - raw[at] - 1
        at += 1
        for position in range(begin, begin + length + 2):  # What it copies may reach into what it writes.
            text.append(text[position])
    return bytes(text)
