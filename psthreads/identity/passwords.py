"""Passwords: hashed with Argon2id, and not hashed again shortly after they were verified."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from psthreads.identity.password_rules import check_length
from psthreads.system.thread_pool import Pool, off_the_loop

# OWASP's recommendation for Argon2id: some tens of milliseconds and 19 MiB for each guess. With more memory, a few
# sign-ins at once would exhaust a web process.
_TIME_COST: Final = 2
_MEMORY_KIB: Final = 19 * 1024
_LANES: Final = 1

_AT_ONCE: Final = 4  # verifications in one process, so that they take 76 MiB at most

# A hash of no password, which takes as long to verify as a real one; 16 bytes are 22 letters, 32 are 43.
_DUMMY: Final = f"$argon2id$v=19$m={_MEMORY_KIB},t={_TIME_COST},p={_LANES}${'A' * 22}${'A' * 43}"


class Passwords:
    """Hashes and verifies passwords. One for each process; safe to share between threads.

    A right password is cached for `seconds`; of more than `size`, the least recently used is dropped. The cache holds
    an HMAC, under a key that only this process has, of the stored hash and the password. The caller reads the stored
    hash from Redis each time, so a password that was changed, or whose member was removed, is never found again, in any
    process. Wrong passwords are not cached: each guess costs the full time.
    """

    def __init__(self, seconds: float = 300.0, size: int = 10_000) -> None:
        self._seconds = seconds
        self._size = size
        self._hasher = PasswordHasher(_TIME_COST, _MEMORY_KIB, _LANES, hash_len=32, salt_len=16, type=Type.ID)
        self._key = secrets.token_bytes(32)
        self._until: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def hash(self, password: str) -> str:
        """Return the text to store for a new password; raise BadParameter unless it has 10 to 1,024 characters."""
        check_length(password)
        return off_the_loop(lambda: self._hasher.hash(_encoded(password)), Pool.PASSWORDS)

    def verify(
        self,
        stored: str | None,
        password: str,
        admit: Callable[[], None] | None = None,
        count: Callable[[], None] | None = None,
    ) -> bool:
        """Return whether the password matches the stored hash; without a hash, False in the same time.

        Calls `admit` before Argon2 runs, and lets what it raises pass; calls `count` when the password was wrong. At
        most four guesses run at once, so no more than that many are admitted and not yet counted. A cached password
        needs neither call.
        """
        entry = hmac.digest(self._key, f"{stored}\0".encode() + _encoded(password), "sha256")
        if self._is_cached(entry):
            return True
        with self._turn:
            # Of many first requests at once with the same password, all but a few find it cached here.
            if self._is_cached(entry):
                return True
            if admit is not None:
                admit()
            is_right = (
                off_the_loop(lambda: self._matches(stored or _DUMMY, password), Pool.PASSWORDS) and stored is not None
            )
            if count is not None and not is_right:
                count()
        if not is_right:
            return False
        with self._lock:
            self._until[entry] = time.monotonic() + self._seconds
            if len(self._until) > self._size:
                self._until.popitem(last=False)
        return True

    @cached_property
    def _turn(self) -> threading.BoundedSemaphore:
        # Made at first use: one made before gevent patched threading would stop its whole process.
        return threading.BoundedSemaphore(_AT_ONCE)

    def _is_cached(self, entry: bytes) -> bool:
        with self._lock:
            until = self._until.get(entry)
            if until is None:
                return False
            if until < time.monotonic():
                del self._until[entry]
                return False
            self._until.move_to_end(entry)
            return True

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, _encoded(password))
        except (VerificationError, InvalidHashError):
            return False


def generate() -> str:
    """Return a new random password: 144 bits in 24 letters, digits, `-` and `_`."""
    return secrets.token_urlsafe(18)


def _encoded(password: str) -> bytes:
    # Keyboards differ in how they compose accents, and a request may hold what is no UTF-8 at all.
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
