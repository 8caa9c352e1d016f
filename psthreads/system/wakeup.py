"""Waiting that a signal, or another Python thread, can end: the self-pipe trick."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress


class Wakeup:
    """A bell: `wait` returns when it was rung or the time is up. Owns two file descriptors."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def ring_on_signals(self) -> None:
        """Let every signal with a handler in Python ring. For the main Python thread."""
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def ring(self) -> None:
        """End the wait, from whichever Python thread or signal handler."""
        with suppress(BlockingIOError):  # The pipe is full: it has been rung often enough.
            os.write(self._write, b".")

    def wait(self, seconds: float) -> None:
        """Wait until the bell was rung, at most that long."""
        select.select([self._read], [], [], max(0.0, seconds))
        with suppress(BlockingIOError):
            while os.read(self._read, 4096):
                pass

    def drop(self) -> None:
        """Let go of the bell in a forked process."""
        signal.set_wakeup_fd(-1)
        os.close(self._read)
        os.close(self._write)
