"""The request to stop, from a worker to its horse: a reason in memory that both share, and a signal to look there.

A signal alone says too little: a process may send it to itself, and so may a library or an operator. One without a
request changes nothing.
"""

from __future__ import annotations

import _thread
import mmap
import os
import signal
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Final

from psthreads.authoring.context import Cancelled, Context, Interrupted, ShutDown, TimedOut
from psthreads.authoring.interrupts import WAKE

_REASONS: Final[tuple[type[Interrupted], ...]] = (Cancelled, ShutDown, TimedOut)
_CELL: Final = struct.Struct("@Q")  # the execution's number and the reason, which are written in one step
_BITS: Final = 8  # of the reason
_AGAIN_SECONDS: Final = 0.5  # after which an interrupt is raised again that the process has swallowed


class StopRequest:
    """The reason for which an execution is to stop, if any. The worker makes it before it forks its horse.

    It lies in memory and not in a pipe, since a process may close every descriptor that it finds.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _CELL.size)
        self._execution = 0
        self._handler: Callable[[int, FrameType | None], None] | None = None

    @property
    def reason(self) -> type[Interrupted] | None:
        """The reason to stop this execution, None where there is none."""
        execution, reason = divmod(_CELL.unpack_from(self._memory)[0], 1 << _BITS)
        return _REASONS[reason - 1] if execution == self._execution and reason else None

    # In the worker.

    def begin(self) -> None:
        """Begin another execution: a request for the last one does not count for it. Call it before the fork."""
        self._execution += 1

    def send(self, horse: int, reason: type[Interrupted]) -> None:
        """Ask the horse with this process id to stop; raises ProcessLookupError where it is gone."""
        self._write(reason)
        os.kill(horse, WAKE)

    def _write(self, reason: type[Interrupted]) -> None:
        _CELL.pack_into(self._memory, 0, self._execution << _BITS | _REASONS.index(reason) + 1)

    # In the horse.

    def listen(self, context: Context) -> None:
        """From now on, interrupt the process of this context when a request comes, or has come.

        One that the process swallows is raised again, until its function has ended. In the main Python thread.
        """

        def interrupt(_number: int, frame: FrameType | None) -> None:
            if (reason := self.reason) is None:
                return
            if not context.is_interrupted and context.is_own_process:
                with suppress(RuntimeError):  # There may be no room for another Python thread.
                    # Not by the module `threading`, whose locks the interrupted code may hold.
                    _thread.start_new_thread(_remind, (context, threading.get_ident()))
            context.interrupt(reason(), frame)

        self._handler = interrupt
        signal.signal(WAKE, interrupt)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {WAKE})

    def stop_here(self) -> None:
        """Interrupt the process of this horse, on any Python thread: its thread is cancelled, or another one's.

        The worker does the same, but later, and not at all if it hangs.
        """
        main = threading.main_thread().ident
        if self.reason is None and main is not None and signal.getsignal(WAKE) is self._handler:
            self._write(Cancelled)
            signal.pthread_kill(main, WAKE)


def _remind(context: Context, main: int) -> None:
    time.sleep(_AGAIN_SECONDS)
    while context.is_interruptible:
        signal.pthread_kill(main, WAKE)
        time.sleep(_AGAIN_SECONDS)
