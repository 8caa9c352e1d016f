"""Limits on how often something may be tried, counted in Redis for all web processes together.

The counting is that of the package `limits`, with a moving window: exact, and never longer than the limit.
Flask-Limiter, which is made of it, counts requests before they are handled; what counts here is how a request came out.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

from limits import RateLimitItem, parse
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter

from psthreads.database.connection import translated
from psthreads.database.scripts import SafeScript
from psthreads.domain.errors import TooManyRequests

if TYPE_CHECKING:
    from redis import Redis

    from psthreads.domain.config import Config

_KEYS: Final = "ps:limit"
_GUESSES: Final = "Too many wrong passwords, secrets or tokens: try again in {} s."
_STARTS: Final = "Member '{}' has started as many threads as a member may for now: try again in {} s."
_STARTS_IN_GROUP: Final = "As many threads as may be were started in group '{}' for now: try again in {} s."


@dataclass(frozen=True, slots=True)
class _Counted:
    """A limit, and what it is a limit of."""

    limit: RateLimitItem
    kind: str
    name: str


class Throttles:
    """The limits that the settings set. Nothing is sent to Redis where there is none."""

    def __init__(self, redis: Redis, config: Config) -> None:
        self._redis = redis
        # The URL says nothing here but which kind of Redis it is.
        storage = RedisStorage("redis://", connection_pool=redis.connection_pool, key_prefix=_KEYS)
        storage.lua_moving_window = SafeScript(redis, storage.SCRIPT_MOVING_WINDOW)
        storage.lua_acquire_moving_window = SafeScript(redis, storage.SCRIPT_ACQUIRE_MOVING_WINDOW)
        self._windows = MovingWindowRateLimiter(storage)
        self._per_account = parse(config.failures_per_account)
        self._per_address = parse(config.failures_per_address)
        self._per_member = parse(config.starts_per_member) if config.starts_per_member else None
        self._per_group = parse(config.starts_per_group) if config.starts_per_group else None

    def admit_guess(self, account: str, address: str) -> None:
        """Raise TooManyRequests where no more may be guessed: for the account, if it exists or not, or from there."""
        with translated(self._redis):
            for counted in (self._of_account(account), self._of_address(address)):
                if not self._windows.test(counted.limit, counted.kind, counted.name):
                    raise self._refused(counted, _GUESSES)

    def count_guess(self, account: str, address: str) -> None:
        """A password was wrong."""
        with translated(self._redis):
            for counted in (self._of_account(account), self._of_address(address)):
                self._windows.hit(counted.limit, counted.kind, counted.name)

    def count_wrong(self, address: str) -> None:
        """A token or secret was wrong; raises TooManyRequests where that was one too many.

        What is right is never refused: nobody guesses 256 bits, and who holds them should not wait for others' guesses.
        """
        counted = self._of_address(address)
        with translated(self._redis):
            if not self._windows.hit(counted.limit, counted.kind, counted.name):
                raise self._refused(counted, _GUESSES)

    def count_start(self, member_id: int, username: str, group_id: int | None, group: str) -> None:
        """A member starts a thread, in a group or on the server; raises TooManyRequests where that is one too many."""
        some: list[tuple[_Counted, str, str]] = []
        if self._per_member is not None:
            some.append((_Counted(self._per_member, "starts", str(member_id)), _STARTS, username))
        if self._per_group is not None and group_id is not None:
            some.append((_Counted(self._per_group, "starts-in", str(group_id)), _STARTS_IN_GROUP, group))
        if not some:
            return
        with translated(self._redis):
            # Both are looked at before either counts, so that a refusal by one does not use the other up.
            for work in (self._windows.test, self._windows.hit):
                for counted, sentence, name in some:
                    if not work(counted.limit, counted.kind, counted.name):
                        raise self._refused(counted, sentence, name)

    def _of_account(self, account: str) -> _Counted:
        # As a hash, what is typed as a username can be anything.
        return _Counted(self._per_account, "account", hashlib.sha256(account.encode(errors="replace")).hexdigest())

    def _of_address(self, address: str) -> _Counted:
        return _Counted(self._per_address, "address", _network(address))

    def _refused(self, counted: _Counted, sentence: str, *words: str) -> TooManyRequests:
        reset = self._windows.get_window_stats(counted.limit, counted.kind, counted.name).reset_time
        seconds = max(1, int(reset - time.time()) + 1)
        return TooManyRequests(sentence.format(*words, seconds), seconds)


def _network(address: str) -> str:
    """What counts as one address: of IPv6, of which a single subscriber has 2**64, the network."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or (int(parsed) >> 64))
