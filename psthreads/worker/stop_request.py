"""The request to stop, from a worker to its horse: a reason in memory that both share, and a signal to look there.

A signal alone says too little: a process may send it to itself, and so may a library or an operator. One without a
request changes nothing, and a request for one execution nothing of the next.
"""

from __future__ import annotations

import _thread
import mmap
import os
import signal
import struct
import threading
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
        self._context: Context | None = None
        self._reminder: _thread.LockType | None = None

    @property
    def reason(self) -> type[Interrupted] | None:
        """The reason to stop the execution that `listen` named, None where there is none."""
        execution, reason = divmod(_CELL.unpack_from(self._memory)[0], 1 << _BITS)
        return _REASONS[reason - 1] if execution == self._execution and reason else None

    # In the worker.

    def send(self, horse: int, execution: int, reason: type[Interrupted]) -> None:
        """Ask the horse with this process id to stop this execution; raises ProcessLookupError where it is gone."""
        self._write(execution, reason)
        os.kill(horse, WAKE)

    def _write(self, execution: int, reason: type[Interrupted]) -> None:
        _CELL.pack_into(self._memory, 0, execution << _BITS | _REASONS.index(reason) + 1)

    # In the horse, in its main Python thread.

    def prepare(self) -> None:
        """Take the signal from now on."""
        signal.signal(WAKE, self._interrupt)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {WAKE})

    def listen(self, execution: int, context: Context) -> None:
        """Interrupt the process of this context when a request for this execution comes, or has come, until `end`.

        One that the process swallows is raised again, until its function has ended.
        """
        self._execution, self._context = execution, context
        if self.reason is not None:
            signal.raise_signal(WAKE)

    def end(self) -> None:
        """Interrupt nothing any more."""
        self._context = None
        if self._reminder is not None:
            self._reminder.release()
            self._reminder = None

    def stop_here(self) -> None:
        """Interrupt the process of this horse, on any Python thread: its thread is cancelled, or another one's.

        The worker does the same, but later, and not at all if it hangs.
        """
        main = threading.main_thread().ident
        if self.reason is None and main is not None and signal.getsignal(WAKE) == self._interrupt:
            self._write(self._execution, Cancelled)
            signal.pthread_kill(main, WAKE)

    def _interrupt(self, _number: int, frame: FrameType | None) -> None:
        context = self._context
        if context is None or (reason := self.reason) is None:
            return
        if self._reminder is None and not context.is_interrupted and context.is_own_process:
            self._reminder = _thread.allocate_lock()
            self._reminder.acquire()
            with suppress(RuntimeError):  # There may be no room for another Python thread.
                # Not by the module `threading`, whose locks the interrupted code may hold.
                _thread.start_new_thread(_remind, (context, threading.get_ident(), self._reminder))
        context.interrupt(reason(), frame)


def _remind(context: Context, main: int, is_over: _thread.LockType) -> None:
    while not is_over.acquire(timeout=_AGAIN_SECONDS):
        if context.is_interruptible:
            signal.pthread_kill(main, WAKE)
