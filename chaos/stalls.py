"""Notes when this computer gave a program that wanted it no turn, so that nobody is blamed for being late then."""

from __future__ import annotations

import threading
import time
from typing import Final

_STEP_SECONDS: Final = 0.02
_LEAST_SECONDS: Final = 0.1  # shorter ones are of no account


class Stalls:
    """Sleeps for a fiftieth of a second again and again, and notes each sleep that lasted longer."""

    def __init__(self) -> None:
        self._stalls: list[tuple[float, float]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="stalls")

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def end(self) -> None:
        """Stop looking."""
        self._ended.set()
        self._thread.join()

    def between(self, first: float, last: float) -> float:
        """Return for how many seconds between these times, which are the monotonic clock's, there was no turn."""
        return sum(max(0.0, min(end, last) - max(begin, first)) for begin, end in self._stalls)

    def _serve(self) -> None:
        before, ended = time.monotonic(), False
        while not ended:
            ended = self._ended.wait(_STEP_SECONDS)
            now = time.monotonic()
            if now - before > _LEAST_SECONDS:
                self._stalls.append((before, now))
            before = now
