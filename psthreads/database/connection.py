"""The connection to Redis: with retries, time limits and a bounded pool. Its errors are explained in refusals.py."""

from __future__ import annotations

import select
import sys
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, cast

from redis import Connection, Redis
from redis.backoff import ExponentialBackoff
from redis.connection import parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from psthreads.database import refusals
from psthreads.database.pool import LeanPool
from psthreads.database.sentinels import PrimaryPool, connections_to_primary
from psthreads.domain.errors import ConfigError, StoreRefuses, Unavailable
from psthreads.domain.redis_url import sentinels

_LEAST_VERSION: Final = (7, 0)
_ANSWER_SECONDS: Final = 10.0
_CONNECT_SECONDS: Final = 5.0
_FAILOVER_SECONDS: Final = 20.0
_AGAIN_SECONDS: Final = 0.25

FULL: Final = 100
"""The percentage of its memory at which a Redis refuses to write."""

NEARLY_FULL: Final = 90
"""The percentage of its memory from which on a Redis is called nearly full."""


def connect(url: str, connections: int = 64, answer_seconds: float = _ANSWER_SECONDS) -> Redis:
    """Return a client for the Redis at this URL, or for the primary that its Sentinels name. Nothing is sent yet.

    A lost connection is retried three times within about half a second; an answer may take so long, once.
    At most `connections` are open at once, and a request for one more waits. Raises ConfigError for a URL that redis-py
    cannot read.
    """
    address = sentinels(url)
    try:
        options: dict[str, Any] = parse_url(address.options_url if address else url)  # type: ignore[no-untyped-call] # redis-py's own
        kind = options.pop("connection_class", Connection)
        kind(**options)  # Only to see whether it takes these: the pool would do so in the middle of a request.
    except (ValueError, TypeError, RedisError) as error:
        raise ConfigError(f"REDIS_URL cannot be used: {error}.") from None
    options = {
        "max_connections": connections,
        "timeout": answer_seconds,
        "socket_timeout": answer_seconds,
        "socket_connect_timeout": min(answer_seconds, _CONNECT_SECONDS),
        # redis-py's clients made from a URL do not retry by themselves.
        # A request that timed out is not sent again: each time would take as long.
        "retry": Retry(ExponentialBackoff(cap=0.25, base=0.05), 3, supported_errors=(RedisConnectionError,)),
        **options,
    }
    if address is not None:
        to_primary = _quick_to_check(_self_closing(connections_to_primary(kind)))
        return _LeanClient.from_pool(PrimaryPool(address, kind, answer_seconds, connection_class=to_primary, **options))
    own = _quick_to_check(_self_closing(kind))
    return _LeanClient.from_pool(LeanPool(connection_class=own, **options))  # type: ignore[no-untyped-call] # as above


class _LeanClient(Redis):
    """A client that measures nothing: that takes redis-py more time than all else of a command."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        connection: Any = self.connection_pool.get_connection()

        def exchange() -> Any:
            connection.send_command(*args, **options)
            return self.parse_response(connection, args[0], **options)  # type: ignore[no-untyped-call] # redis-py's own

        try:
            return connection.retry.call_with_retry(exchange, lambda _: connection.disconnect())
        finally:
            try:
                if connection.should_reconnect():
                    connection.disconnect()
                    connection.connect()
            finally:
                self.connection_pool.release(connection)


def descriptors(redis: Redis) -> set[int]:
    """Return the file descriptors of the client's connections."""
    sockets = (getattr(connection, "_sock", None) for connection in redis.connection_pool._connections)  # type: ignore[attr-defined] # noqa: SLF001 (no other list of them)
    return {socket.fileno() for socket in sockets if socket is not None}


def ride_out_failover(redis: Redis) -> None:
    """Wait until the Sentinels name a primary that answers, 20 s at most; do nothing for the address of one server.

    It is for programs that do their work once and end: a failover takes some seconds.
    """
    if not isinstance(redis.connection_pool, PrimaryPool):
        return
    deadline = time.monotonic() + _FAILOVER_SECONDS
    while time.monotonic() < deadline:
        try:
            redis.ping()
        except (RedisConnectionError, RedisTimeoutError):
            time.sleep(_AGAIN_SECONDS)
        except RedisError:
            return
        else:
            return


def check_server(redis: Redis) -> None:
    """Raise ConfigError, with one sentence, where psthreads can never use this Redis; not where it is only away."""
    try:
        with translate_errors():
            server = redis.info("server")
    except StoreRefuses as error:
        if not isinstance(
            error.__cause__, NoPermissionError
        ):  # A user who may not ask may still do all that it has to.
            raise ConfigError(error.message) from error
        return
    except Unavailable:
        return
    if (mode := server.get("redis_mode") or server.get("server_mode")) not in {None, "standalone"}:
        raise ConfigError(
            "REDIS_URL names a Sentinel as if it were a Redis: write redis+sentinel://HOST:PORT,HOST:PORT/NAME/0."
            if mode == "sentinel"
            else f"This Redis is a {mode}, which psthreads cannot use: name a single Redis in REDIS_URL."
        )
    text = str(server.get("redis_version", "0"))
    if tuple(int(part) for part in text.split(".")[:2] if part.isdecimal()) < _LEAST_VERSION:
        raise ConfigError(f"Redis is of version {text}, and too old: use Redis 7.0 or newer, or Valkey.")


def durability_warning(redis: Redis) -> str:
    """Return one sentence where this Redis may lose acknowledged writes, else an empty text.

    Raises Unavailable. A Redis that does not show its settings gets no warning.
    """
    with translate_errors():
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


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory of a Redis in bytes: how much it uses, and how much it may, 0 for no limit."""

    used: int
    limit: int

    @property
    def percentage(self) -> int:
        """How full it is, 100 and more where it refuses to write."""
        return 100 * self.used // self.limit if self.limit else 0

    def __str__(self) -> str:
        return f"{self.percentage} % full: it uses {self.used / 1024**2:,.0f} of {self.limit / 1024**2:,.0f} MiB"


def memory(redis: Redis) -> Memory:
    """Return the memory of this Redis. Raises Unavailable."""
    with translate_errors():
        try:
            values = cast("dict[str, int]", redis.info("memory"))
        except NoPermissionError:
            return Memory(0, 0)
    return Memory(values.get("used_memory", 0), values.get("maxmemory", 0))


def translate_errors() -> AbstractContextManager[None]:
    """Raise Unavailable, with the reason as its message, for errors of redis-py that are not our own mistakes."""
    return _TRANSLATION


class _Translation(AbstractContextManager[None]):
    """Raise Unavailable for errors of redis-py. There is one for all, since each command enters it."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, RedisError) and (problem := refusals.explain(error)) is not None:
            raise problem from error


_TRANSLATION: Final = _Translation()


def _self_closing(kind: type[Any]) -> type[Any]:
    """Return a class of connections that close once their server turns out not to be the one that takes writes.

    After a failover the old connections lead to a server that is no primary any more. Each closes when it comes back
    to the pool: to close those of others, which wait for an answer, would end their requests as well.
    """

    class SelfClosing(kind):  # type: ignore[misc] # one of redis-py's three classes
        def read_response(self, *args: Any, **options: Any) -> Any:
            try:
                return super().read_response(*args, **options)
            except ResponseError as error:
                if refusals.is_misdirected(error):
                    self.mark_for_reconnect()
                raise

    return SelfClosing


def _quick_to_check(kind: type[Any]) -> type[Any]:
    """Return a class of connections for which the pool's check before each use costs next to nothing.

    gevent's own poll starts and stops a watcher of its event loop, which takes longer than an answer of Redis.
    """
    # This module does not import gevent, and sees from the loaded modules whether it is in use.
    monkey = sys.modules.get("gevent.monkey")
    make_poll = monkey.get_original("select", "poll") if monkey else getattr(select, "poll", None)

    class QuickToCheck(kind):  # type: ignore[misc] # one of redis-py's three classes
        def can_read(self, timeout: float = 0) -> bool:
            reader = getattr(self._parser, "_reader", None)  # of hiredis
            if timeout or reader is None or make_poll is None or hasattr(self._sock, "pending") or reader.has_data():
                return bool(super().can_read(timeout))
            poll = make_poll()
            poll.register(self._sock, select.POLLIN)
            return bool(poll.poll(0)) and bool(super().can_read(timeout))

    return QuickToCheck
