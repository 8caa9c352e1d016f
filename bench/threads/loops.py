"""What a thread costs Redis without a worker: bare loops take, claim and end it, and nothing else is measured.

Trips, commands and bytes are the same on every machine. Microseconds and threads in a second are not.
"""

from __future__ import annotations

import time
from multiprocessing import get_context
from typing import Any, Final
from uuid import uuid4

from redis import Redis

from bench.servers import redis_server
from psthreads.audit.entries import Origin
from psthreads.authoring.plugins import load
from psthreads.database.connection import connect
from psthreads.database.shared_settings import SharedSettings
from psthreads.domain.access import Group, Member
from psthreads.domain.config import Config
from psthreads.domain.model import Level, Line, Outcome, Report, Status
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore

MANY: Final = 5_000
KEPT: Final = 10_000
LOOPS: Final = 2
_MEMBER, _GROUP = Member(1, "jjones"), Group(240, "test-local5")
_XML = '<processing total="474" current="474"/>'
_DONE = Outcome(Status.COMPLETED, "474 documents are valid, 0 are not")


def measure() -> dict[str, float]:
    """Return the figures of no-op threads, and the bytes of a kept one."""
    with redis_server() as config, connect(config.redis_url) as redis:
        figures = cost(redis, config)
        redis.flushall()
        figures["kept_bytes"] = kept_bytes(redis, config)
    return figures


def cost(redis: Redis, config: Config, many: int = MANY) -> dict[str, float]:
    """Run so many no-op threads from bare loops, and return what one costs Redis.

    That is `thread_trips` from the queue to the end; `start_commands` and `thread_commands`, the commands that scripts
    and clients give; `start_us` and `thread_us`, the time in scripts; and how many `threads_in_a_second` there were.
    """
    _prepare(redis, config)
    engine = _engine(redis, config)
    _start(engine, 1)
    _run(config.redis_url, 1)  # The scripts are loaded.
    redis.config_resetstat()
    _start(engine, many)
    started = _statistics(redis)
    redis.config_resetstat()
    context = get_context("fork")
    loops = [context.Process(target=_run, args=(config.redis_url, many // LOOPS)) for _ in range(LOOPS)]
    begin = time.perf_counter()
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join()
    seconds = time.perf_counter() - begin
    ended = _statistics(redis)
    trips = sum(calls for name, (calls, _) in ended.items() if name in {"evalsha", "eval", "blmove", "exec"})
    figures = {
        "thread_trips": round(trips / many, 2),
        "start_commands": round(sum(calls for calls, _ in started.values()) / many, 1),
        "thread_commands": round(sum(calls for calls, _ in ended.values()) / many, 1),
        "start_us": started["evalsha"][1] / many,
        "thread_us": (ended["evalsha"][1] + ended["blmove"][1]) / many,
        "threads_in_a_second": many / seconds,
    }
    print("  " + ", ".join(f"{name} {value:,.1f}" for name, value in figures.items()))
    return figures


def kept_bytes(redis: Redis, config: Config, many: int = KEPT) -> float:
    """Return the bytes of a thread of a group that has ended, with its log and its share of the listings.

    Its name, message, XML and five log lines are those of a validation. The audit and the feed are left out.
    """
    _prepare(redis, config)
    engine, store = _engine(redis, config), ThreadStore(redis, config)
    lines = tuple(Line(1_652_667_241_924, Level.INFO, f"Validated /documents/part{each}") for each in range(2))
    report = Report(1, message="Validating /documents/manual.psml", xml=_XML, lines=lines)
    before = _listings(redis)
    for _ in range(many):
        (thread_id,), token = _start(engine, 1), uuid4().hex
        assert store.take(1) == thread_id
        assert store.claim(thread_id, token, uuid4().hex)
        assert store.finish(thread_id, token, _DONE, report=report) is Status.COMPLETED
    shares = {"listings": (_listings(redis) - before) / many}
    for kind in ("rq:job:*", "ps:log:*"):
        shares[kind] = sum(_size(redis, key) for key in redis.scan_iter(kind, count=1_000)) / many
    total = sum(shares.values())
    print(
        f"  bytes of a kept thread: {total:,.0f}; " + ", ".join(f"{each} {size:,.0f}" for each, size in shares.items())
    )
    return total


def _prepare(redis: Redis, config: Config) -> None:
    SharedSettings(redis, config, "bench").agree()
    # A claim asks whether the member who started the thread still may.
    redis.hset("ps:usernames", _MEMBER.username, _MEMBER.id)
    redis.hset(f"ps:memberships:{_MEMBER.id}", str(_GROUP.id), "manager")
    redis.sadd("ps:administrators", 99)


def _engine(redis: Redis, config: Config) -> Engine:
    return Engine(redis, config, ThreadStore(redis, config), load(config.processes))


def _start(engine: Engine, many: int) -> list[str]:
    process = engine.registry.find("validate")
    assert process is not None
    by, values = Origin("jjones", 1, "192.0.2.7"), process.read({"path": "/documents"})
    return [engine.start(process, values, member=_MEMBER, by=by, group=_GROUP).id for _ in range(many)]


def _run(url: str, many: int) -> None:
    with connect(url) as redis:
        store = ThreadStore(redis, Config(redis_url=url))
        for _ in range(many):
            thread_id, token = store.take(1), uuid4().hex
            assert thread_id is not None
            assert store.claim(thread_id, token, "0" * 32)
            assert store.finish(thread_id, token, _DONE) is Status.COMPLETED


def _statistics(redis: Redis) -> dict[str, tuple[int, int]]:
    stats: dict[str, Any] = redis.info("commandstats")
    names = {name.removeprefix("cmdstat_"): (each["calls"], each["usec"]) for name, each in stats.items()}
    return {name: each for name, each in names.items() if not name.startswith(("config", "info", "client", "hello"))}


def _listings(redis: Redis) -> int:
    return sum(
        _size(redis, key) for pattern in ("ps:threads:*", "ps:tombstones", "ps:ids") for key in redis.scan_iter(pattern)
    )


def _size(redis: Redis, key: bytes) -> int:
    return int(redis.memory_usage(key, samples=0) or 0)
