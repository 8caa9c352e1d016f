"""A pool of connections that measures nothing: that takes redis-py longer than to hand out a connection."""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, Full
from typing import Any

from redis.connection import BlockingConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError


class LeanPool(BlockingConnectionPool):
    """A bounded pool, in which a request for one connection more waits."""

    def get_connection(self, *arguments: Any, **options: Any) -> Any:
        """Return a connection that is open, with nothing left to read. Raises redis-py's ConnectionError."""
        if self._in_maintenance:
            return super().get_connection(*arguments, **options)  # type: ignore[no-untyped-call] # redis-py's own
        self._checkpid()
        try:
            connection: Any = self.pool.get(timeout=self.timeout)
        except Empty:
            raise RedisConnectionError("No connection available.") from None
        if connection is None:
            connection = self.make_connection()  # type: ignore[no-untyped-call] # as above
        try:
            connection.connect()
            if not _is_silent(connection):
                connection.disconnect()
                connection.connect()
        except BaseException:
            self.release(connection)
            raise
        return connection

    def release(self, connection: Any) -> None:
        """Take a connection back."""
        if self._in_maintenance:
            super().release(connection)  # type: ignore[no-untyped-call] # as above
            return
        self._checkpid()
        is_own = self.owns_connection(connection)
        if not is_own or connection.should_reconnect():
            connection.disconnect()
        with suppress(Full):  # The pool was made anew meanwhile, as after a fork, and has a place for each connection.
            self.pool.put_nowait(connection if is_own else None)


def _is_silent(connection: Any) -> bool:
    """Return whether the server has neither sent anything nor closed the connection."""
    try:
        return not connection.can_read()
    except (RedisError, OSError):
        return False
