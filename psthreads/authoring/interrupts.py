"""Interrupts end a running process: an exception, raised in its own code, never within a report or its cleaning up."""

from __future__ import annotations

import concurrent.futures
import ctypes
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import thread as pools
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Final

# A real-time signal from the middle of their range, since libraries take the first and the last ones. macOS has none.
WAKE: Final = signal.SIGRTMIN + 17 if hasattr(signal, "SIGRTMIN") else signal.SIGURG
"""The signal that makes the process of a running thread look for a request to stop."""

_LONGEST_CHAIN: Final = 1_000  # of exceptions; one that was made by hand may lead back to its start
# Both wait without end when a block is left by an exception, where nobody asked them to clean up.
_WAITS: Final = frozenset({concurrent.futures.Executor.__exit__.__code__, subprocess.Popen.__exit__.__code__})
# Private, as there is no other list of a program's executors; without it, only the main Python thread is interrupted.
_QUEUES: Final = getattr(pools, "_threads_queues", {})
_ITEM: Final = getattr(getattr(pools, "_WorkItem", None), "run", None)


class Interrupted(KeyboardInterrupt):
    """Raised in a process's code to end it.

    It is not an Exception, so that `except Exception` does not catch it. It is a KeyboardInterrupt, because event loops
    keep every other exception of a task for themselves.
    """


class Cancelled(Interrupted):
    """A member asked to cancel the thread."""


class TimedOut(Interrupted):
    """The thread ran past its process's time limit."""


class ShutDown(Interrupted):
    """The worker is stopping."""


class Interrupts:
    """The interrupt of a process, if one came, and the blocks that defer it.

    As a context manager, which can be nested, it defers an interrupt to the end of the outermost block. If the process
    swallowed the interrupt, the end of the next block and the next delivery raise it again, but not while it
    propagates: then a `finally` or an `except` is at work. In an operating system process that was forked since,
    entering raises RuntimeError. Only the Python thread that made this object is interrupted. `on_first` is called when
    an interrupt comes, in the signal handler. After `patience` seconds an interrupt also ends the waiting for an
    executor, a subprocess or an event loop whose block it leaves.
    """

    __slots__ = ("_forks", "_inside", "_main", "_on_first", "_patience", "_since", "is_over", "reason")

    def __init__(self, on_first: Callable[[], None], patience: float = 5.0) -> None:
        self.reason: Interrupted | None = None
        self.is_over = False
        self._inside = 0
        self._main = threading.get_ident()
        self._on_first = on_first
        self._patience = patience
        self._since = 0.0
        self._forks = _Forks.count

    @property
    def is_forked(self) -> bool:
        """True in an operating system process that the one that runs the thread has forked."""
        return self._forks != _Forks.count

    def deliver(self, reason: Interrupted, frame: FrameType | None = None) -> None:
        """Raise the reason: now, or at the end of the block that defers it.

        For a signal handler in the main Python thread, with the frame that it interrupts. Only the first reason counts.
        Further calls raise it again where the process swallowed it, and do nothing while it propagates: a second
        exception would cut the `finally` blocks short.
        """
        if self.is_over:
            return
        if self.reason is None:
            self.reason = reason
            self._since = time.monotonic()
            self._on_first()
            if not self.is_forked:
                _stop_executors(type(reason))
        elif _is_propagating(self.reason) and not self._waits_too_long(frame):
            return
        if not self._inside:
            # With its old traceback, one that is swallowed again and again would grow.
            raise self.reason.with_traceback(None)

    def stop(self) -> Interrupted | None:
        """Raise no more interrupts; returns the interrupt that came, if any."""
        self.is_over = True
        return self.reason

    def check(self) -> None:
        """Raise the interrupt if there is one that the process has not yet seen."""
        with self:
            pass

    def refuse_fork(self) -> None:
        """Raise RuntimeError in an operating system process that was forked from the one that runs the thread."""
        if self.is_forked:
            raise RuntimeError("Only the process that runs the thread can report, not a fork of it")

    def _waits_too_long(self, frame: FrameType | None) -> bool:
        if time.monotonic() < self._since + self._patience:
            return False
        while frame is not None:
            # Only in a block that the interrupt leaves: one in a `finally` is left in peace.
            if frame.f_code in _WAITS and frame.f_locals.get("exc_type") is type(self.reason):
                return True
            # An event loop that is left by an exception waits for its tasks, which may have lost their own end by it.
            if frame.f_code.co_name == "_cancel_all_tasks" and frame.f_globals.get("__name__") == "asyncio.runners":
                return True
            frame = frame.f_back
        return False

    def __enter__(self) -> None:
        if self.is_forked:
            self.refuse_fork()
        if threading.get_ident() == self._main:
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if threading.get_ident() != self._main or self.is_forked:
            return
        self._inside -= 1
        reason = self.reason
        if reason is None or self._inside or self.is_over or error is reason or _is_propagating(reason):
            return
        raise reason


class _Forks:
    """The number of forks between the first process and this one: cheaper to read than the process's id."""

    count = 0


def _note_fork() -> None:
    _Forks.count += 1


os.register_at_fork(after_in_child=_note_fork)


def _is_propagating(reason: Interrupted) -> bool:
    error = sys.exception()
    for _ in range(_LONGEST_CHAIN):
        if error is None or error is reason:
            return error is reason
        error = error.__context__
    return False


def _stop_executors(reason: type[BaseException]) -> None:
    """Cancel what waits in a ThreadPoolExecutor, and raise an exception of this class in what runs there.

    For a signal handler: it takes no lock that the interrupted code may hold. Work in C sees the exception when it
    returns.
    """
    with suppress(RuntimeError):  # Another Python thread has just made an executor.
        _stop(list(_QUEUES.items()), reason)


def _stop(executors: Sequence[tuple[threading.Thread, queue.SimpleQueue[Any]]], reason: type[BaseException]) -> None:
    frames = sys._current_frames()  # noqa: SLF001 (public, in spite of its name)
    for thread, items in executors:
        with suppress(queue.Empty):
            while True:
                if (item := items.get_nowait()) is not None:
                    item.future.cancel()
        items.put(None)  # What makes its threads look whether the executor is shut down.
        if thread.ident is not None and _is_at_work(frames.get(thread.ident)):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(reason))


def _is_at_work(frame: FrameType | None) -> bool:
    while frame is not None:
        if _ITEM is not None and frame.f_code is _ITEM.__code__:
            return True
        frame = frame.f_back
    return False
