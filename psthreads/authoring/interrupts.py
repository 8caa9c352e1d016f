"""How a running process is told to end: an exception, raised once in its own code, never within a report."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from types import TracebackType


class Interrupted(BaseException):
    """Raised in a process's code to end it. It is no Exception, so that `except Exception` lets it by."""


class Cancelled(Interrupted):
    """Somebody asked that the thread be cancelled."""


class TimedOut(Interrupted):
    """The thread ran past its process's time limit."""


class ShutDown(Interrupted):
    """The worker is being stopped."""


class Interrupts:
    """The interrupt that there is, if any, and the blocks that hold it back.

    Used as a context manager, any number of times and one within the other: an interrupt that comes while such a
    block is open is raised when the outermost one is left. It is raised on leaving, too, when the process
    swallowed it: unless it is on its way just now, for then this is a `finally` or an `except` block that still has
    something to say. Entering raises RuntimeError in an operating system process that was forked meanwhile.
    Other Python threads than the one that made this are never interrupted. `on_first` is called when an
    interrupt comes, in the handler of a signal.
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
        """Whether this is a process that was forked from the one that runs the thread."""
        return self._forks != _Forks.count

    def come(self, reason: Interrupted) -> None:
        """Raise the reason: now, or at the end of the block that holds it back.

        For the handler of a signal, in the main Python thread. Only the first reason counts, and it is
        raised once: a second exception would cut the `finally` blocks short.
        """
        if self.reason is None and not self.is_over:
            self.reason = reason
            self._on_first()
            if not self._inside:
                raise reason

    def stop(self) -> Interrupted | None:
        """From here on nothing is raised any more. Returns the interrupt that there was, if any."""
        self.is_over = True
        return self.reason

    def check(self) -> None:
        """Raise the interrupt if there is one that the process has not yet seen."""
        with self:
            pass

    def refuse_fork(self) -> None:
        """Raise RuntimeError in a process that was forked from the one that runs the thread."""
        if self.is_forked:
            raise RuntimeError("Only the process that runs the thread can report, not one that it forked")

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
        if reason is None or self._inside or self.is_over or error is reason or _is_on_its_way(reason):
            return
        raise reason


class _Forks:
    """How often this process was made by a fork, as far as it knows: cheaper to ask than the process's number."""

    count = 0


def _note_fork() -> None:
    _Forks.count += 1


os.register_at_fork(after_in_child=_note_fork)


def _is_on_its_way(reason: Interrupted) -> bool:
    error = sys.exception()
    while error is not None:
        if error is reason:
            return True
        error = error.__context__
    return False
