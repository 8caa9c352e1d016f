"""Passwords whose runs of Argon2 can be counted."""

from __future__ import annotations

import threading

from psthreads.identity.passwords import Passwords


class CountingPasswords(Passwords):
    """`verifications` counts how often Argon2 was really run to check a password."""

    def __init__(self, seconds: float = 300.0, size: int = 10_000) -> None:
        super().__init__(seconds, size)
        self.verifications = 0
        self._counting = threading.Lock()

    def _matches(self, stored: str, password: str) -> bool:
        with self._counting:
            self.verifications += 1
        return super()._matches(stored, password)
