"""The worker processes: who they are, what they do, when they were last heard from, and which were lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from redis import Redis
from rq import Queue
from rq.utils import missing_keys
from rq.worker_registration import clean_worker_registry, get_keys

from psthreads.database.connection import translated
from psthreads.domain.config import DAY, Config

LIFETIME_MARGIN: Final = 3
"""Seconds that a worker's record outlives the time after which its thread counts as lost."""

_LOST: Final = "ps:lost-workers"
_FIELDS: Final = ("state", "hostname", "pid")
_ASKS_EVERY: Final = 2  # seconds between two signs of life of a worker that waits for work
_LATE: Final = 2.0  # seconds without a sign after it was due
_READ: Final = 200  # workers at the most; the others are only counted


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker. `heard` is how many seconds ago it was last heard from; `thread_id` what it runs, or empty."""

    name: str
    is_busy: bool
    thread_id: str
    host: str
    pid: int
    heard: float
    is_late: bool


@dataclass(frozen=True, slots=True)
class Crew:
    """The workers, those of the last day that were lost with the time in ms, and how many there are in all."""

    workers: tuple[WorkerInfo, ...]
    lost: tuple[tuple[str, int], ...]
    total: int


def lifetime(config: Config) -> int:
    """For how many seconds a worker's record is kept after its last sign of life."""
    return int(config.lost_after) + LIFETIME_MARGIN


def look(redis: Redis, config: Config) -> Crew:
    """Who works, in two round trips. Raises Unavailable."""
    with translated(redis):
        keys = sorted(get_keys(Queue(config.queue, connection=redis)))
        with redis.pipeline(transaction=False) as pipeline:
            pipeline.zrevrange(_LOST, 0, 9, withscores=True)
            for key in keys[:_READ]:
                pipeline.hmget(key, *_FIELDS)
                pipeline.pttl(key)
                pipeline.smembers(f"{key}:executions")  # RQ's own: <job id>:<execution id>
            lost, *found = pipeline.execute()
    workers = tuple(
        _worker(key, fields, left, executions, config)
        for key, fields, left, executions in zip(keys, found[::3], found[1::3], found[2::3], strict=False)
        if left > 0
    )
    missing = len(keys[:_READ]) - len(workers)
    return Crew(workers, tuple((name.decode(), int(when)) for name, when in lost), len(keys) - missing)


def count(redis: Redis, queue: str) -> int:
    """How many workers are alive: those that gave a sign of life not long ago. Raises Unavailable."""
    with translated(redis):
        keys = list(get_keys(Queue(queue, connection=redis)))
        return len(keys) - len(missing_keys(redis, keys))


def forget_lost(redis: Redis, queue: Queue) -> None:
    """Take workers off RQ's lists whose records are gone, and note them: one that ended in order took itself off."""
    keys = list(get_keys(queue))
    lost = missing_keys(redis, keys)
    if back := [_name(key) for key in keys if key not in lost]:
        redis.zrem(_LOST, *back)  # Who only stood still is there again.
    if lost:
        seconds, _ = redis.time()
        with redis.pipeline() as pipeline:
            pipeline.zadd(_LOST, {_name(key): seconds * 1000 for key in lost}, nx=True)
            pipeline.zremrangebyscore(_LOST, "-inf", (seconds - DAY) * 1000)
            pipeline.expire(_LOST, DAY)
            pipeline.execute()
        clean_worker_registry(queue)


def _worker(key: str, fields: list[bytes | None], left: int, executions: set[bytes], config: Config) -> WorkerInfo:
    state, host, pid = ((field or b"").decode(errors="replace") for field in fields)
    # How much of its record's time has run out is by Redis's clock, not by the worker's.
    heard = max(0.0, lifetime(config) - left / 1000)
    return WorkerInfo(
        name=_name(key),
        is_busy=state == "busy",
        thread_id=next((each.decode().partition(":")[0] for each in executions), ""),
        host=host,
        pid=int(pid) if pid.isdecimal() else 0,
        heard=heard,
        is_late=heard > max(config.heartbeat, _ASKS_EVERY) + _LATE,
    )


def _name(key: Any) -> str:
    return str(key).rpartition(":")[2]
