"""The supervisor renews the leases of all its workers in one request, and where it cannot, each worker its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from redis import Redis

from psthreads.domain.config import Config
from psthreads.domain.model import Status, Thread
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.threads import BY, ended, start
from tests.support.waiting import wait_for
from tests.system.stack import supervisor


def test_the_leases_of_two_workers_are_renewed_together_and_apart_while_the_supervisor_stands_still(
    redis: Redis, engine: Engine, store: ThreadStore, config: Config, tmp_path: Path
) -> None:
    config = replace(config, workers=2, heartbeat=0.4, lost_after=20)
    marks = [tmp_path / f"mark{number}" for number in range(2)]
    with supervisor(config) as program:
        threads = [start(engine, "sleep", group=None, mark=str(mark)) for mark in marks]
        wait_for(lambda: all(mark.exists() for mark in marks))
        redis.config_set("slowlog-log-slower-than", 0)
        redis.config_set("slowlog-max-len", 5_000)
        redis.slowlog_reset()
        try:
            wait_for(renewed(redis, threads, 5))
            calls = [entry["command"].split()[3:] for entry in redis.slowlog_get(5_000)]
        finally:
            redis.config_set("slowlog-log-slower-than", 10_000)
        ids = {thread.id.encode() for thread in threads}
        together = sum(ids <= set(call) for call in calls)
        apart = sum(len(call) == 3 and call[0] in ids for call in calls)
        assert together >= 4
        assert apart < together  # A busy machine may keep the supervisor from its turn.
        os.kill(program.pid, signal.SIGSTOP)
        wait_for(renewed(redis, threads, 3))
        os.kill(program.pid, signal.SIGCONT)
        for thread in threads:
            assert engine.cancel(thread, by=BY).cancelling
        assert {ended(store, thread).status for thread in threads} == {Status.CANCELLED}


def renewed(redis: Redis, threads: Sequence[Thread], times: int) -> Callable[[], bool]:
    """Return a condition: the leases have changed that often since it was first looked at."""
    seen: dict[str, set[object]] = {thread.id: set() for thread in threads}

    def is_so() -> bool:
        for thread_id, scores in seen.items():
            scores.add(redis.zscore("ps:leases", thread_id))
        return all(len(scores) > times for scores in seen.values())

    return is_so
