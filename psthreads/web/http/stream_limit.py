"""The limit on requests that one web process keeps open while they wait: event streams and long polls."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class StreamLimit:
    """A semaphore that refuses instead of blocking."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open = 0
        self._lock = threading.Lock()

    def acquire(self) -> bool:
        """Take a slot; return False where none is free."""
        with self._lock:
            is_free = self._open < self._most
            self._open += is_free
            return is_free

    def release(self) -> None:
        """Free a slot."""
        with self._lock:
            self._open -= 1

    @contextmanager
    def slot(self) -> Iterator[bool]:
        """Hold a slot within the block; yield False where none is free."""
        is_free = self.acquire()
        try:
            yield is_free
        finally:
            if is_free:
                self.release()
