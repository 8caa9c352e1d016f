"""The page of memory that a worker shares with its horse and its supervisor: what it runs, and how long it may.

The worker writes it, and the others read it at any moment, also when the worker is dead or stopped. Each value is so
short that it is written whole. Times are seconds on the clock `steady`.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from dataclasses import dataclass
from typing import Final, Self

from psthreads.system.clock import steady
from psthreads.threads.leases import INTERRUPTED, KILLED

_NEVER: Final = float("inf")
_TIME: Final = struct.Struct("@d")
_NAME: Final = struct.Struct("@40s")
_EXECUTION: Final = struct.Struct("@40s40s")  # a thread's id and a token, hexadecimal
_CUT_AT, _KILL_AT, _LOOP_AT, _NAME_AT, _EXECUTION_AT, _SHORTAGE_AT = 0, 8, 16, 24, 64, 144


@dataclass(frozen=True, slots=True)
class Execution:
    """What a worker runs, or was about to run."""

    thread_id: str
    token: str


class SharedState:
    """One page of shared memory. Without a descriptor it is shared with forked processes alone."""

    def __init__(self, fd: int = -1) -> None:
        self._page = mmap.mmap(fd, mmap.PAGESIZE)
        self.end()

    @classmethod
    def share(cls) -> tuple[Self, int]:
        """Return a new page, and a descriptor by which another program can map it; the caller closes it.

        Raises OSError where the system has no room for it.
        """
        if hasattr(os, "memfd_create"):
            fd = os.memfd_create("psthreads-state")
        else:
            with tempfile.TemporaryFile() as file:
                fd = os.dup(file.fileno())
        try:
            os.ftruncate(fd, mmap.PAGESIZE)
            return cls(fd), fd
        except BaseException:
            os.close(fd)
            raise

    # For the worker.

    def introduce(self, name: str) -> None:
        """Note the name by which Redis knows the worker."""
        _NAME.pack_into(self._page, _NAME_AT, name.encode())

    def begin(self, execution: Execution) -> None:
        """Note what is about to run."""
        _EXECUTION.pack_into(self._page, _EXECUTION_AT, execution.thread_id.encode(), execution.token.encode())

    def renew(self, sent: float, lease: float) -> None:
        """Note that a request that was sent then has renewed the lease of so many seconds."""
        self._write(_KILL_AT, sent + KILLED * lease)
        self._write(_CUT_AT, sent + INTERRUPTED * lease)

    def tick(self) -> None:
        """Note that the loop that watches the horse goes round."""
        self._write(_LOOP_AT, steady())

    def rest(self) -> None:
        """Note that the code has ended; its end may have to be written still."""
        for position in (_CUT_AT, _KILL_AT, _LOOP_AT):
            self._write(position, _NEVER)

    def end(self) -> None:
        """Note that nothing runs."""
        self.rest()
        self._page[_SHORTAGE_AT] = 0
        self.begin(Execution("", ""))

    def note_shortage(self) -> None:
        """Note, in the horse, that it cannot start a Python thread, and has not begun."""
        self._page[_SHORTAGE_AT] = 1

    # For all.

    @property
    def is_short_of_threads(self) -> bool:
        """Whether the horse noted that it could not start a Python thread."""
        return bool(self._page[_SHORTAGE_AT])

    @property
    def cut_at(self) -> float:
        """When the code is to be interrupted, unless the lease is renewed."""
        return self._read(_CUT_AT)

    @property
    def kill_at(self) -> float:
        """When the code is to be dead, unless the lease is renewed."""
        return self._read(_KILL_AT)

    @property
    def loop_at(self) -> float:
        """When the loop that watches the horse last went round; infinite where there is no horse."""
        return self._read(_LOOP_AT)

    @property
    def is_cut_off(self) -> bool:
        """Whether the lease has not been renewed for so long that the code must not go on."""
        return steady() >= self.cut_at

    @property
    def execution(self) -> Execution | None:
        """What runs, or is about to; None for nothing."""
        thread_id, token = map(_text, _EXECUTION.unpack_from(self._page, _EXECUTION_AT))
        return Execution(thread_id, token) if thread_id else None

    @property
    def worker(self) -> str:
        """The name by which Redis knows the worker; empty before it has one."""
        return _text(_NAME.unpack_from(self._page, _NAME_AT)[0])

    def _read(self, position: int) -> float:
        return float(_TIME.unpack_from(self._page, position)[0])

    def _write(self, position: int, value: float) -> None:
        _TIME.pack_into(self._page, position, value)


def _text(field: bytes) -> str:
    return field.rstrip(b"\0").decode(errors="replace")
