"""Rate limits for wrong credentials, counted in Redis for all web processes together.

The package `limits` counts, with an exact moving window. Flask-Limiter, which is built on it, counts requests before
they are handled; here the result of a request counts.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

from limits import RateLimitItem, parse
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter

from psthreads.database.connection import translate_errors
from psthreads.database.scripts import SafeScript
from psthreads.domain.errors import TooManyGuesses

if TYPE_CHECKING:
    from redis import Redis

    from psthreads.domain.config import Config

_KEYS: Final = "ps:limit"
_REMEMBERED: Final = 300.0  # seconds
_MOST_REMEMBERED: Final = 10_000
_GUESSES: Final = "Too many wrong passwords, secrets or tokens: try again in {} s."


@dataclass(frozen=True, slots=True)
class _Limit:
    """A rate limit, and whom it limits."""

    rate: RateLimitItem
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Guess:
    """A password for an account, by its username in lower case, from an address.

    `device` is as in `Password`; `was_right` says whether a password for the account was right from there lately.
    """

    account: str
    address: str
    device: str = ""
    was_right: bool = False

    @property
    def is_trusted(self) -> bool:
        """Return whether the guess is probably the member's own."""
        return bool(self.device) or self.was_right


class Throttles:
    """The rate limits of the settings."""

    def __init__(self, redis: Redis, config: Config) -> None:
        self._redis = redis
        # The URL only says which kind of Redis this is.
        storage = RedisStorage("redis://", connection_pool=redis.connection_pool, key_prefix=_KEYS)
        storage.lua_moving_window = SafeScript(redis, storage.SCRIPT_MOVING_WINDOW)
        # Guesses are counted in a Redis that is full, too: sign-ins go on there.
        count = SafeScript(redis, storage.SCRIPT_ACQUIRE_MOVING_WINDOW.decode())
        storage.lua_acquire_moving_window = partial(count, even_full=True)  # type: ignore[assignment] # called as a script is
        self._key, self._lock = secrets.token_bytes(32), threading.Lock()
        self._wrong: OrderedDict[bytes, float] = OrderedDict()
        self._windows = MovingWindowRateLimiter(storage)
        self._per_account = parse(config.failures_per_account)
        self._per_address = parse(config.failures_per_address)

    def admit_guess(self, guess: Guess) -> None:
        """Raise TooManyRequests after too many wrong guesses at the account, existing or not, or from the address.

        Those of others do not count for a guess that is trusted, which has a limit of its own.
        """
        with translate_errors():
            for limit in self._of_guess(guess):
                if not self._windows.test(limit.rate, limit.kind, limit.name):
                    raise self._too_many_guesses(limit)

    def count_guess(self, guess: Guess) -> None:
        """Count a wrong password."""
        with translate_errors():
            for limit in self._of_guess(guess):
                self._windows.hit(limit.rate, limit.kind, limit.name)

    def count_wrong(self, address: str, secret: str) -> None:
        """Count a wrong token or secret; raise TooManyRequests where that was one too many.

        They count apart from passwords, and the same one once: it is no guess, but a program that nobody looks after. A
        right one is never refused: nobody guesses 256 bits, and its holder should not wait for the guesses of others.
        """
        if self.was_wrong(address, secret):
            return
        limit = _Limit(self._per_address, "tokens", network(address))
        with translate_errors():
            if not self._windows.hit(limit.rate, limit.kind, limit.name):
                raise self._too_many_guesses(limit)
        self.note_wrong(address, secret)

    def was_wrong(self, address: str, secret: str) -> bool:
        """Return whether this secret came from the address lately, and was wrong."""
        with self._lock:
            return self._wrong.get(self._entry(address, secret), 0.0) > time.monotonic()

    def note_wrong(self, address: str, secret: str) -> None:
        """Note that this secret is wrong: for five minutes, in this process, by a keyed hash."""
        with self._lock:
            self._wrong[self._entry(address, secret)] = time.monotonic() + _REMEMBERED
            if len(self._wrong) > _MOST_REMEMBERED:
                self._wrong.popitem(last=False)

    def _entry(self, address: str, secret: str) -> bytes:
        return hmac.digest(self._key, f"{network(address)} {secret}".encode(errors="replace"), "sha256")

    def _of_guess(self, guess: Guess) -> tuple[_Limit, ...]:
        # Hashed, since anything can be typed as a username.
        if guess.is_trusted:
            place = guess.device or network(guess.address)
            return (_Limit(self._per_account, "trusted", _hashed(f"{guess.account} {place}")),)
        address = _Limit(self._per_address, "address", network(guess.address))
        return _Limit(self._per_account, "account", _hashed(guess.account)), address

    def _too_many_guesses(self, limit: _Limit) -> TooManyGuesses:
        reset = self._windows.get_window_stats(limit.rate, limit.kind, limit.name).reset_time
        seconds = max(1, int(reset - time.time()) + 1)
        return TooManyGuesses(_GUESSES.format(seconds), seconds)


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def network(address: str) -> str:
    """Return what counts as one address: of IPv6 the network, since one subscriber has 2**64 addresses."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or (int(parsed) >> 64))
