"""The worker processes: what each runs, when it was last heard from, and which were lost."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from redis import Redis
from redis.exceptions import OutOfMemoryError

from psthreads.database.connection import translate_errors
from psthreads.domain.config import DAY, Config
from psthreads.domain.errors import Unavailable
from psthreads.domain.model import Status, Thread
from psthreads.threads import jobs

LIFETIME_MARGIN: Final = 3
"""Seconds that a worker's record outlives the lease of its thread."""

NO_WORKER: Final = "Waiting: no worker runs"
"""The message of a waiting thread while no worker is alive."""

_PATIENCE_MS: Final = 3_000  # a worker that starts together with the web process needs a moment
_KNOWN_SECONDS: Final = 2.0
_LOST: Final = "ps:lost-workers"
_IDLE_HEARTBEAT: Final = 2  # seconds between two heartbeats of a worker that waits for work
_LATE: Final = 2.0  # seconds by which a heartbeat may be late
_READ: Final = 200  # workers whose records are read; the others are only counted
_EXPIRED: Final = 3600  # seconds; more than the clocks of two machines differ


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker. `thread_id` is what it runs, or empty; `heartbeat_age` the seconds since its last heartbeat.

    `trouble` is why it takes no threads, the end of a sentence about it, or empty.
    """

    name: str
    is_busy: bool
    thread_id: str
    host: str
    pid: int
    heartbeat_age: float
    is_late: bool
    trouble: str


@dataclass(frozen=True, slots=True)
class Crew:
    """The workers, those lost within a day with the time in ms, and the number of all that are alive."""

    workers: tuple[WorkerInfo, ...]
    lost: tuple[tuple[str, int], ...]
    total: int


def lifetime(config: Config) -> int:
    """Return for how many seconds a worker's record is kept after its last heartbeat."""
    return int(config.lost_after) + LIFETIME_MARGIN


def look(redis: Redis, config: Config) -> Crew:
    """Return the workers, read in two round trips. Raises Unavailable."""
    with translate_errors():
        keys = sorted(_keys(redis, config.queue))
        with redis.pipeline(transaction=False) as pipeline:
            pipeline.zrevrange(_LOST, 0, 9, withscores=True)
            for key in keys[:_READ]:
                pipeline.hmget(key, *jobs.WORKER_FIELDS)
                pipeline.pttl(key)
                pipeline.smembers(jobs.executions_key(key))
            lost, *records = pipeline.execute()
    workers = tuple(
        _worker(key, fields, remaining, executions, config)
        for key, fields, remaining, executions in zip(keys, records[::3], records[1::3], records[2::3], strict=False)
        if remaining > 0
    )
    missing = len(keys[:_READ]) - len(workers)
    return Crew(workers, tuple((name.decode(), int(when)) for name, when in lost), len(keys) - missing)


class CrewWatch:
    """Tells whether any worker is alive, for pages and waiting threads; asks Redis every two seconds at most."""

    def __init__(self, redis: Redis, queue: str) -> None:
        self._redis = redis
        self._queue = queue
        self._due = float("-inf")
        self._gone_since: float | None = None

    def annotate(self, thread: Thread) -> Thread:
        """Return the thread; one that has waited for some seconds says so where no worker runs."""
        waits_ms = time.time() * 1000 - thread.created
        if thread.status is not Status.INITIALISED or thread.is_damaged or waits_ms < _PATIENCE_MS:
            return thread
        self._look()
        return thread if self._gone_since is None else replace(thread, message=NO_WORKER, is_unattended=True)

    def is_gone(self) -> bool:
        """Return whether no worker has been alive for some seconds, as far as Redis could be asked."""
        self._look()
        return self._gone_since is not None and time.monotonic() - self._gone_since >= _PATIENCE_MS / 1000

    def _look(self) -> None:
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + _KNOWN_SECONDS
        with suppress(Unavailable):
            if count(self._redis, self._queue):
                self._gone_since = None
            elif self._gone_since is None:
                self._gone_since = now


def count(redis: Redis, queue: str) -> int:
    """Return how many workers are alive. Raises Unavailable."""
    with translate_errors():
        keys = _keys(redis, queue)
        return int(redis.exists(*keys)) if keys else 0


def remove(redis: Redis, name: str) -> None:
    """Remove the record of a worker that has ended without a word; the janitor notes it as lost. Raises Unavailable."""
    with translate_errors():
        redis.delete(jobs.worker_key(name))


def forget_lost(redis: Redis, queue: str) -> None:
    """Remove from RQ's lists the workers whose records are gone, and note them as lost; and executions that are gone.

    A worker that ends in order leaves the lists itself.
    """
    keys = _keys(redis, queue)
    with redis.pipeline(transaction=False) as pipeline:
        pipeline.time()
        for key in keys:
            pipeline.exists(key)
        (seconds, _), *alive = pipeline.execute()
    lost = [key for key, lives in zip(keys, alive, strict=True) if not lives]
    with redis.pipeline() as pipeline:
        # A worker that dies between its notes with RQ and its claim of the thread leaves an execution behind.
        pipeline.zremrangebyscore(jobs.key_names(queue)["STARTED"], "-inf", seconds - _EXPIRED)
        if back := [_name(key) for key, lives in zip(keys, alive, strict=True) if lives]:
            pipeline.zrem(_LOST, *back)  # One that only stood still is alive again.
        if lost:
            pipeline.zadd(_LOST, {_name(key): seconds * 1000 for key in lost}, nx=True)
            pipeline.zremrangebyscore(_LOST, "-inf", (seconds - DAY) * 1000)
            pipeline.expire(_LOST, DAY)
            for workers in (jobs.workers_key(queue), jobs.WORKERS):
                pipeline.srem(workers, *lost)
        # A Redis that is full takes the note later. The threads of the lost do not wait for it.
        with suppress(OutOfMemoryError):
            pipeline.execute()


def _keys(redis: Redis, queue: str) -> list[str]:
    return [key.decode() for key in redis.smembers(jobs.workers_key(queue))]  # type: ignore[union-attr] # redis-py's types


def _worker(key: str, fields: list[bytes | None], remaining: int, executions: set[bytes], config: Config) -> WorkerInfo:
    state, host, pid, trouble = ((field or b"").decode(errors="replace") for field in fields)
    # How much of its record's time has run out is by Redis's clock, not by the worker's.
    heartbeat_age = max(0.0, lifetime(config) - remaining / 1000)
    return WorkerInfo(
        name=_name(key),
        is_busy=state == jobs.BUSY,
        thread_id=next((each.decode().partition(":")[0] for each in executions), ""),
        host=host,
        pid=int(pid) if pid.isdecimal() else 0,
        heartbeat_age=heartbeat_age,
        is_late=heartbeat_age > max(config.heartbeat, _IDLE_HEARTBEAT) + _LATE,
        trouble=trouble,
    )


def _name(key: str) -> str:
    return key.rpartition(":")[2]
