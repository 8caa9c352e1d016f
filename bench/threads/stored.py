"""That nothing costs more because more is stored: a page of finished threads, and of a full log."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from statistics import median
from typing import Any
from uuid import uuid4

from redis import Redis

from bench.servers import redis_server
from psthreads.audit.entries import SETUP
from psthreads.authoring.plugins import load
from psthreads.database.connection import connect
from psthreads.domain.access import Group, Member
from psthreads.domain.model import Level, Line, Outcome, Report, Status
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore

FEW, MANY = 1_000, 1_000_000
CALLS = 400
ROUNDS = 9
BATCH = 2_000


def measure() -> dict[str, float]:
    """Measure a page among many threads by one among few, and the middle and the end of a log by its first page."""
    figures: dict[str, float] = {}
    with redis_server() as config, connect(config.redis_url) as redis:
        redis.config_set("appendonly", "no")  # A million threads are put in; how fast that goes is not measured.
        store = ThreadStore(redis, config)
        engine = Engine(redis, config, store, load(config.processes))
        process = engine.registry.find("validate")
        assert process is not None
        member, group = Member(1, "bench"), Group(7, "bench")
        thread = engine.start(process, {"path": "/", "warn": False}, member=member, by=SETUP, group=group)
        assert store.claim(thread.id, "t", "w")
        for number in range(1, config.log_events * 3 // 2 // BATCH + 1):
            lines = tuple(Line(1_652_667_241_924, Level.INFO, f"Document {each} is valid.") for each in range(BATCH))
            store.report(thread.id, "t", Report(number, lines=lines))
        total = store.log(thread.id, 1, 1).total
        places = {"first": 1, "middle": total // 2, "last": total - 199}
        times = _alternating({name: lambda at=at: store.log(thread.id, at, 200) for name, at in places.items()})  # type: ignore[misc]
        print(f"  a page of 200 lines of a full log ({total:,} lines): {_shown(times)}")
        figures |= {f"log_{name}_page_by_first": times[name] / times["first"] for name in ("middle", "last")}
        store.finish(thread.id, "t", Outcome(Status.COMPLETED, "Done"))
        meta = store_meta(redis, thread.id)
        fill(redis, meta, 7, FEW - 1)
        fill(redis, meta, 8, MANY)
        assert store.page("finished", 8, 1, 1).total == MANY
        pages = {"few": (7, 1), "many": (8, 1), "last": (8, MANY // 50)}
        times = _alternating(
            {name: lambda each=each: store.page("finished", each[0], each[1], 50) for name, each in pages.items()}  # type: ignore[misc]
        )
        print(f"  a page of 50 finished threads among {FEW:,} (few) and {MANY:,} (many, and its last): {_shown(times)}")
        figures["list_page_of_1000000_by_1000"] = times["many"] / times["few"]
        figures["list_last_page_of_1000000_by_first_of_1000"] = times["last"] / times["few"]
    return figures


def store_meta(redis: Redis, thread_id: str) -> bytes:
    """Return the `meta` of a thread's record."""
    meta = redis.hget(f"rq:job:{thread_id}", "meta")
    assert isinstance(meta, bytes)
    return meta


def fill(redis: Redis, meta: bytes, group: int, many: int) -> None:
    """Store copies of a finished thread in the form that the store's scripts leave."""
    record = json.loads(meta)
    ended = record["ended"]
    fields: dict[Any, Any] = {"meta": meta, "status": "finished", "description": "A thread", "origin": "psthreads"}
    for first in range(0, many, BATCH):
        with redis.pipeline(transaction=False) as pipeline:
            ids = {uuid4().hex: ended - first - number for number in range(min(BATCH, many - first))}
            for thread_id in ids:
                pipeline.hset(f"rq:job:{thread_id}", mapping=fields)
            for scope in ("server", group):
                pipeline.zadd(f"ps:threads:{scope}:completed", ids)
            for scope in (f"member:{record['memberid']}", f"process:{record['process']}"):
                pipeline.zadd(f"ps:threads:{scope}:finished", ids)
            pipeline.execute()


def _alternating(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median time of each call in ms, in rounds that take turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            begin = time.perf_counter()
            for _ in range(CALLS // ROUNDS):
                call()
            times[name].append((time.perf_counter() - begin) / (CALLS // ROUNDS) * 1000)
    return {name: median(each) for name, each in times.items()}


def _shown(times: dict[str, float]) -> str:
    return ", ".join(f"{name} {each:.2f} ms" for name, each in times.items())
