"""The limit on the memory of a thread's processes, which the worker watches once a second."""

from __future__ import annotations

from typing import Final

from psthreads.system.memory import excess

SECONDS: Final = 1.0
"""How often the worker looks, at least."""


class MemoryLimit:
    """The limit, in bytes, 0 for none; and what the present thread was found to use."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._next = 0.0
        self.sentence = ""

    def begin(self) -> None:
        """Begin another thread."""
        self.sentence, self._next = "", 0.0

    def is_exceeded(self, horse_pid: int, now: float) -> bool:
        """Return whether the horse and all that it started use more; `sentence` then says so."""
        if now >= self._next and not self.sentence:
            self._next = now + SECONDS
            self.sentence = excess(horse_pid, self._limit)
        return bool(self.sentence)
