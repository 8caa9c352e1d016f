"""How many requests one web process keeps waiting for something to happen: event streams and long polls."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Slots:
    """A number of places, each for one request that waits."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open = 0
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take a place; False when there is none."""
        with self._lock:
            is_free = self._open < self._most
            self._open += is_free
            return is_free

    def give_back(self) -> None:
        """Give a place back."""
        with self._lock:
            self._open -= 1

    @contextmanager
    def one(self) -> Iterator[bool]:
        """A place within the block, if there is one."""
        is_free = self.take()
        try:
            yield is_free
        finally:
            if is_free:
                self.give_back()
