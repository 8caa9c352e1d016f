"""What a child is at, in memory that it shares with its parent, which so knows why it had to die."""

from __future__ import annotations

import mmap
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

_SIZE: Final = 32 * 1024
_HEAD: Final = struct.Struct("<ddIII")  # deadline, seconds, the number of the work, and the sizes of two texts


@dataclass(frozen=True, slots=True)
class Stage:
    """The stage at which a child works or died: an action such as "compile", and the path of a schema or "".

    `deadline` is a time of the monotonic clock, 0 for none, and `seconds` the time that it had. `number` counts the
    pieces of work that the child began.
    """

    action: str
    subject: str
    deadline: float
    seconds: float
    number: int


class StageBoard:
    """The stage that a child writes and its parent reads. Made before the fork."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SIZE)
        self._number = 0
        self._current = (0.0, 0.0, b"", b"")

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()

    def read(self) -> Stage:
        """Return the stage."""
        deadline, seconds, number, action, subject = _HEAD.unpack_from(self._memory)
        at, end = _HEAD.size, _HEAD.size + min(action, _SIZE)
        names = bytes(self._memory[at : end + min(subject, _SIZE)])
        return Stage(*_texts(names, action), deadline, seconds, number)

    def begin(self, action: str, seconds: float) -> None:
        """Begin the next piece of work, which may take so many seconds."""
        self._number += 1
        self._put(time.monotonic() + seconds, seconds, action.encode(), b"")

    def rest(self) -> None:
        """Have no deadline: the parent's turn has come."""
        self._put(0.0, 0.0, b"", b"")

    @contextmanager
    def within(self, action: str, subject: str, seconds: float = 0.0) -> Iterator[None]:
        """Name what is done in the block; with seconds, it has so many, and the time around it stands still."""
        before = self._current
        deadline, left = before[0], before[1]
        now = time.monotonic()
        if seconds:
            deadline, left = now + seconds, seconds
        self._put(deadline, left, action.encode(), subject.encode(errors="replace"))
        try:
            yield
        finally:
            if seconds and before[0]:
                before = (before[0] + time.monotonic() - now, *before[1:])
            if not isinstance(sys.exception(), MemoryError):  # It ends the child, and this is what it was at.
                self._put(*before)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let the time stand still in the block, in which the parent is at work."""
        before = self._current
        now = time.monotonic()
        self._put(0.0, *before[1:])
        try:
            yield
        finally:
            self._put(before[0] and before[0] + time.monotonic() - now, *before[1:])

    def _put(self, deadline: float, seconds: float, action: bytes, subject: bytes) -> None:
        self._current = (deadline, seconds, action, subject)
        head = _HEAD.pack(deadline, seconds, self._number, len(action), len(subject))
        data = head + action + subject
        self._memory[: len(data)] = data


def _texts(names: bytes, size: int) -> tuple[str, str]:
    return names[:size].decode(errors="replace"), names[size:].decode(errors="replace")
