"""Interrupts end a running process: an exception, raised once in its own code, never within a report."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from types import TracebackType


class Interrupted(BaseException):
    """Raised in a process's code to end it. It is not an Exception, so that `except Exception` does not catch it."""


class Cancelled(Interrupted):
    """A member asked to cancel the thread."""


class TimedOut(Interrupted):
    """The thread ran past its process's time limit."""


class ShutDown(Interrupted):
    """The worker is stopping."""


class Interrupts:
    """The interrupt of a process, if one came, and the blocks that defer it.

    As a context manager, which can be nested, it defers an interrupt to the end of the outermost block. If the process
    swallowed the interrupt, the end of the next block raises it again, but not while it propagates: then the block
    belongs to a `finally` or an `except` that still reports. In an operating system process that was forked since,
    entering raises RuntimeError. Only the Python thread that made this object is interrupted. `on_first` is called when
    an interrupt comes, in the signal handler.
    """

    __slots__ = ("_forks", "_inside", "_main", "_on_first", "is_over", "reason")

    def __init__(self, on_first: Callable[[], None]) -> None:
        self.reason: Interrupted | None = None
        self.is_over = False
        self._inside = 0
        self._main = threading.get_ident()
        self._on_first = on_first
        self._forks = _Forks.count

    @property
    def is_forked(self) -> bool:
        """True in an operating system process that the one that runs the thread has forked."""
        return self._forks != _Forks.count

    def deliver(self, reason: Interrupted) -> None:
        """Raise the reason: now, or at the end of the block that defers it.

        For a signal handler in the main Python thread. Only the first reason counts, and it is raised once: a second
        exception would cut the `finally` blocks short.
        """
        if self.reason is None and not self.is_over:
            self.reason = reason
            self._on_first()
            if not self._inside:
                raise reason

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
    while error is not None:
        if error is reason:
            return True
        error = error.__context__
    return False
