"""Connections to the primary that Sentinels name: each new one asks them, and whether it has come to a primary."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from redis import Redis, SSLConnection
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import (
    MasterNotFoundError,
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from psthreads.database.pool import LeanPool
from psthreads.domain.redis_url import SentinelAddress

_SENTINEL_SECONDS: Final = 1.0  # for one that does not answer, before the next is asked


def connections_to_primary(kind: type[Any]) -> type[Any]:
    """Return the class of connections to a primary that Sentinels name, for redis-py's class of the same without."""
    managed = SentinelManagedSSLConnection if issubclass(kind, SSLConnection) else SentinelManagedConnection

    class ToPrimary(managed):  # type: ignore[misc, valid-type] # chosen above
        def on_connect_check_health(self, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 (redis-py's signature)
            super().on_connect_check_health(check_health=check_health)
            # A Sentinel that was cut off names the primary that there was before.
            self.send_command("ROLE")
            if self.read_response()[0] not in {b"master", "master"}:
                self.connection_pool.sentinel_manager.distrust()
                raise MasterNotFoundError(f"No master found: the Sentinels name {self.host}:{self.port}, which is none")

    return ToPrimary


class PrimaryPool(SentinelConnectionPool, LeanPool):
    """A bounded pool of connections to the primary of the moment. Those to an earlier one close."""

    def __init__(self, address: SentinelAddress, kind: type[Any], answer_seconds: float, **options: Any) -> None:
        discovery = Discovery(address, kind, min(answer_seconds, _SENTINEL_SECONDS), options)
        for name in ("host", "port"):
            options.pop(name, None)
        super().__init__(address.name, discovery, **options)  # type: ignore[no-untyped-call] # redis-py's own

    def release(self, connection: Any) -> None:
        """Take a connection back; close it where it leads to a primary that there was before."""
        if (connection.host, connection.port) != self.master_address:
            connection.disconnect()
        LeanPool.release(self, connection)

    def owns_connection(self, connection: Any) -> bool:
        """Return whether the connection was made by this process."""
        # SentinelConnectionPool disowns those to an earlier primary, and would keep each of them in a list for ever.
        return bool(LeanPool.owns_connection(self, connection))


class Discovery:
    """Asks the Sentinels, the one that answered last first. No connection to them stays open."""

    def __init__(self, address: SentinelAddress, kind: type[Any], seconds: float, options: dict[str, Any]) -> None:
        self._hosts = address.hosts
        self._options = {
            **{name: value for name, value in options.items() if name.startswith("ssl_")},
            "ssl": issubclass(kind, SSLConnection),
            "username": address.username or None,
            "password": address.password or None,
            "socket_timeout": seconds,
            "socket_connect_timeout": seconds,
            "retry": Retry(NoBackoff(), 0),
        }

    def discover_master(self, name: str) -> tuple[str, int]:
        """Return the primary's host and port. Raises MasterNotFoundError, which is a ConnectionError of redis-py."""
        with Sentinel(self._hosts, sentinel_kwargs=self._options) as sentinel:  # type: ignore[no-untyped-call] # redis-py's own
            try:
                host, port = sentinel.discover_master(name)
            except MasterNotFoundError as error:  # Its text describes each connection at length.
                refuses = "AuthenticationError" in str(error)
                why = "the Sentinels refuse the password" if refuses else f"no Sentinel names one as '{name}'"
                raise MasterNotFoundError(f"No master found: {why}") from None
            self._hosts = _places(sentinel.sentinels)  # in one step: several Python threads may ask at once
        return host, port

    def distrust(self) -> None:
        """Ask the Sentinel last that answered last."""
        self._hosts = (*self._hosts[1:], self._hosts[0])


def _places(clients: Iterable[Redis]) -> tuple[tuple[str, int], ...]:
    options = (client.connection_pool.connection_kwargs for client in clients)
    return tuple((each["host"], each["port"]) for each in options)
