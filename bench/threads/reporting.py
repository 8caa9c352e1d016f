"""The cost of a report to its process, for a step of a bar and a line of the log, beside RQ's own `job.save_meta()`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median
from typing import TypeVar

from redis import Redis
from rq import Queue

from bench.servers import redis_server
from psthreads.audit.entries import SETUP
from psthreads.authoring.context import Context
from psthreads.authoring.plugins import load
from psthreads.database.connection import connect
from psthreads.documents.layout import Documents
from psthreads.domain.access import Group, Member
from psthreads.domain.model import Outcome, Status
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from psthreads.worker.horse.performance import ToStore

T = TypeVar("T")
ITEMS = 10_000_000
LINES = 1_000_000
SAVES = 5_000
ROUNDS = 5


def wrapped(items: Iterable[T]) -> Iterator[T]:
    """Yield the items: the bare cost of an iterator written in Python."""
    for item in items:  # noqa: UP028 (just that is measured)
        yield item


def consume(items: Iterable[int]) -> float:
    """Return the seconds that it takes to go through the items."""
    begin = time.perf_counter()
    for _ in items:
        pass
    return time.perf_counter() - begin


def measure() -> dict[str, float]:
    """Measure nanoseconds for each item of a bar, log lines in a second, and both beside RQ's."""
    with redis_server() as config, connect(config.redis_url) as redis, tempfile.TemporaryDirectory() as folder:
        store = ThreadStore(redis, config)
        documents = Documents(Path(folder))
        process = load(config.processes).find("validate")
        assert process is not None
        engine = Engine(redis, config, store, load(config.processes))
        member, group = Member(1, "bench"), Group(1, "bench")

        def context() -> Context:
            thread = engine.start(process, {"path": "/", "warn": False}, member=member, by=SETUP, group=group)
            assert store.claim(thread.id, "t", "w")
            made = Context(
                thread_id=thread.id,
                member=member,
                group=group,
                folder=None,
                results=documents.results(1),
                scratch=documents.scratch,
                reporter=ToStore(store, thread.id, "t"),
            )
            made.start()
            return made

        def end(made: Context) -> None:
            for report in made.close():
                store.report(made.thread_id, "t", report)
            store.finish(made.thread_id, "t", Outcome(Status.COMPLETED, "Done"))

        steps = []
        for _ in range(ROUNDS):
            bare = consume(wrapped(range(ITEMS)))
            running = context()
            with running.bar("progress", total=ITEMS) as bar:
                ours = consume(bar.iter(range(ITEMS)))
            end(running)
            steps.append((ours - bare) / ITEMS * 1e9)
            print(f"  a bar's step {ours / ITEMS * 1e9:6.1f} ns, of a bare generator {bare / ITEMS * 1e9:6.1f} ns")
        rates = []
        for _ in range(ROUNDS):
            running = context()
            begin, used = time.perf_counter(), time.process_time()
            for number in range(LINES):
                running.log(f"Document /documents/{number}.psml is valid.")
            end(running)
            seconds, used = time.perf_counter() - begin, time.process_time() - used
            log = store.log(running.thread_id, 1, 1)
            assert log.total == LINES + 3, "lines are missing"
            assert log.total - log.dropped == config.log_events, "the log is not as full as it may be"
            rates.append(LINES / seconds)
            print(f"  {LINES / seconds:9,.0f} lines/s to the last one stored; {used:.2f} s of this process's time")
        saves = _rq_saves(redis)
        print(f"  RQ's job.save_meta() {1e6 / saves:6.1f} µs")
    return {
        "bar_step_ns_over_bare_generator": median(steps),
        "log_lines_per_second": median(rates),
        "bar_step_by_rq_save_meta": median(steps) / 1e9 * saves,
        "log_line_by_rq_save_meta": saves / median(rates),
    }


def _rq_saves(redis: Redis) -> float:
    """Return how often in a second RQ itself can save the progress of a job."""
    job = Queue("bench-rq", connection=redis).enqueue("builtins.print")
    begin = time.perf_counter()
    for number in range(SAVES):
        job.meta["progress"] = number
        job.save_meta()  # type: ignore[no-untyped-call] # RQ has no types here
    return SAVES / (time.perf_counter() - begin)
