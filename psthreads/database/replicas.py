"""Waits until replicas have what was written, so that it survives the loss of the primary.

A replica is at most a moment behind, but what it does not have yet is lost when it takes the primary's place.
"""

from __future__ import annotations

from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from psthreads.database.connection import translate_errors
from psthreads.domain.errors import NotReplicated

_MOST_MS: Final = 1_000
_CHANNEL: Final = "ps:replicas"  # to which nobody listens


def confirmed(redis: Redis, replicas: int, *command: Any) -> Any:
    """Return the command's answer once so many replicas have all that Redis holds after it, in one round trip.

    Raises NotReplicated where they do not within a second, or half of the connection's own time limit; the command
    was carried out then, and may be lost with the primary.
    """
    limit = redis.connection_pool.connection_kwargs.get("socket_timeout") or _MOST_MS
    milliseconds = max(1, min(_MOST_MS, int(500 * limit)))
    with redis.pipeline(transaction=False) as pipeline:
        if command:
            pipeline.execute_command(*command)  # type: ignore[no-untyped-call] # redis-py's own
        # WAIT waits for what its own connection wrote last. A command that is repeated, since its first answer was
        # lost, need not write anything; a message goes to the replicas, and is stored nowhere.
        pipeline.publish(_CHANNEL, "")
        pipeline.execute_command("WAIT", replicas, milliseconds)  # type: ignore[no-untyped-call] # as above
        *answers, _, count = pipeline.execute(raise_on_error=False)
    for answer in (*answers, count):
        if isinstance(answer, RedisError):
            raise answer
    if count < replicas:
        # This may be a primary that the Sentinels have replaced: they are asked again before the next try.
        redis.connection_pool.disconnect(inuse_connections=False)
        raise NotReplicated
    return answers[0] if answers else None


def connected(redis: Redis) -> int:
    """Return how many replicas follow this Redis. Raises Unavailable."""
    with translate_errors():
        return int(redis.info("replication").get("connected_slaves", 0))
