"""A pipe that loses nothing when its reader dies: what was read stays in shared memory until it is let go of."""

from __future__ import annotations

import mmap
import os
import struct
from contextlib import suppress
from typing import Final

_CAPACITY: Final = 256 * 1024
_CHUNK: Final = 16 * 1024
_LAST_READS: Final = 64  # a program that outlives the reader and keeps writing is not read for ever
_HEADER: Final = struct.Struct("QQ")  # the beginning and the end of what is kept


class OutputPipe:
    """A pipe between a process and its fork, which writes into it and reads from it.

    The fork reads, and lets go of what is safe elsewhere. When it is dead, its parent finds the rest. The memory beyond
    what is kept is zero, so that a death between a read and the note of it loses nothing, either.
    """

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self._memory = mmap.mmap(-1, _HEADER.size + _CAPACITY)
        self._data = memoryview(self._memory)[_HEADER.size :]
        self._base = self._start = 0
        self.position = 0
        """The number of bytes that were read."""

    @property
    def is_full(self) -> bool:
        """True while nothing can be read, since too little was let go of."""
        return self.position - self._base == _CAPACITY

    def read(self) -> bytes:
        """Return what is there, at most 16 KiB; nothing at the end, and where there is no room."""
        if self.is_full:
            return b""
        offset = self.position - self._base
        target = self._data[offset : offset + _CHUNK]
        try:
            count = os.readv(self.reader, [target])
        except BlockingIOError:
            return b""
        self.position += count
        self._note()
        return bytes(target[:count])

    def release(self, position: int) -> None:
        """Let go of the bytes up to a position."""
        if position <= self._start:
            return
        self._start = position
        self._note()
        used, free = self.position - self._base, position - self._base
        if free == used or free > _CAPACITY // 2:
            kept = bytes(self._data[free:used])
            self._data[:used] = kept + bytes(free)
            self._base = position
            self._note()

    def _note(self) -> None:
        _HEADER.pack_into(self._memory, 0, self._start - self._base, self.position - self._base)

    def discard(self) -> None:
        """Forget what is there: a pipe holds no more than is read here, of which all is let go."""
        for _ in range(_LAST_READS):
            self.release(self.position)
            if not self.read():
                break

    def rest(self) -> bytes:
        """Return what a dead reader has kept or not read. For its parent."""
        start, end = _HEADER.unpack_from(self._memory)
        # What a read has put there that is not noted ends before a zero.
        unnoted = self._memory.find(b"\0", _HEADER.size + end) - _HEADER.size
        parts = [bytes(self._data[start : unnoted if unnoted >= 0 else _CAPACITY])]
        with suppress(BlockingIOError):
            for _ in range(_LAST_READS):
                if not (chunk := os.read(self.reader, _CHUNK)):
                    break
                parts.append(chunk)
        return b"".join(parts)

    def close_writer(self) -> None:
        """Close the writing end, in a process that does not write."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def close(self) -> None:
        """Close both ends, and free the memory."""
        self.close_writer()
        os.close(self.reader)
        self._data.release()
        self._memory.close()
