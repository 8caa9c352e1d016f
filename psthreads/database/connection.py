"""The connection to Redis: with retries, time limits and a bounded pool."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, cast

from redis import BlockingConnectionPool, Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from psthreads.domain.errors import Unavailable

# redis-py has no class of its own for these: the disk is full, a replica is missing, a script runs on.
_REFUSALS: Final = ("MISCONF", "NOREPLICAS", "MASTERDOWN", "BUSY ")
_ANSWER_SECONDS: Final = 10.0
_CONNECT_SECONDS: Final = 5.0


def connect(url: str, connections: int = 64) -> Redis:
    """Return a client for the Redis at this URL. Nothing is sent before its first use.

    A lost connection is retried three times within about half a second; an answer may take 10 s, once.
    At most `connections` are open at once, and a request for one more waits.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=_ANSWER_SECONDS,
        socket_timeout=_ANSWER_SECONDS,
        socket_connect_timeout=_CONNECT_SECONDS,
        # redis-py's clients made from a URL do not retry by themselves.
        # A request that timed out is not sent again: each time would take as long.
        retry=Retry(ExponentialBackoff(cap=0.25, base=0.05), 3, supported_errors=(RedisConnectionError,)),
    )
    return Redis.from_pool(pool)


def durability_warning(redis: Redis) -> str:
    """Return one sentence where this Redis may lose acknowledged writes, else an empty text.

    Raises Unavailable. A Redis that does not show its settings gets no warning.
    """
    with translate_errors(redis):
        try:
            settings = cast("dict[str, str]", redis.config_get("appendonly", "appendfsync", "maxmemory-policy"))
        except ResponseError:
            return ""
    if settings.get("appendonly") != "yes":
        return "Redis keeps no append-only file: accepted threads are lost when it crashes. Set appendonly yes."
    if settings.get("appendfsync") != "always":
        return "Redis may lose up to a second of accepted threads in a power failure. Set appendfsync always."
    if settings.get("maxmemory-policy", "noeviction") != "noeviction":
        return "Redis may drop accepted threads when its memory is full. Set maxmemory-policy noeviction."
    return ""


@contextmanager
def translate_errors(redis: Redis) -> Iterator[None]:
    """Raise Unavailable for errors of redis-py that mean that Redis is away or takes no writes."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError, OutOfMemoryError) as error:
        raise Unavailable from error
    except ResponseError as error:
        if isinstance(error, ReadOnlyError) or str(error).startswith(_REFUSALS):
            # After a failover the old connections lead to a server that is no master any more.
            redis.connection_pool.disconnect()
            raise Unavailable from error
        raise
