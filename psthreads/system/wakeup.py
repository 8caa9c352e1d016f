"""A wait that a signal or another Python thread can end: the self-pipe trick."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from typing import Final

_LONGEST_SECONDS: Final = 3600.0


class Wakeup:
    """A wait that another Python thread or a signal can end. Owns two file descriptors."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def wake_on_signals(self) -> None:
        """Have each signal that has a handler in Python end the wait. For the main Python thread."""
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def wake(self) -> None:
        """End the wait, or the next one; for any Python thread or signal handler."""
        with suppress(BlockingIOError):  # The pipe is full, so the wait ends anyway.
            os.write(self._write, b".")

    def wait(self, seconds: float) -> None:
        """Wait until `wake` was called since the last wait, at most so many seconds."""
        # A select takes no infinite time; an early end of the wait harms nobody.
        select.select([self._read], [], [], min(max(0.0, seconds), _LONGEST_SECONDS))
        with suppress(BlockingIOError):
            while os.read(self._read, 4096):
                pass

    def leave_to_parent(self) -> None:
        """Only `wake` from now on, in a forked process: it ends a wait of its parent."""
        signal.set_wakeup_fd(-1)
        os.close(self._read)
