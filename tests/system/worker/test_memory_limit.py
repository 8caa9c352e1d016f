"""A thread that takes too much memory ends, says so, and harms nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from psthreads.authoring.plugins import load
from psthreads.domain.config import Config
from psthreads.domain.model import Level, Status
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.threads import ended, start
from tests.support.waiting import wait_for
from tests.system.stack import Program, worker

LIMIT = 300_000_000


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, processes=("tests.support.odd_processes",), memory=LIMIT)


@pytest.fixture
def engine(redis: Redis, config: Config, store: ThreadStore) -> Engine:
    return Engine(redis, config, store, load(config.processes))


@pytest.fixture
def running(redis: Redis, config: Config) -> Iterator[Program]:
    with worker(config) as program:
        wait_for(lambda: redis.exists("rq:workers"))
        yield program


@pytest.mark.parametrize("how", ["itself", "child", "session"])
def test_a_thread_beyond_its_limit_is_killed_with_all_that_it_started(
    running: Program, engine: Engine, store: ThreadStore, how: str
) -> None:
    thread = ended(store, start(engine, "hoard", how=how))
    assert thread.status is Status.FAILED
    assert thread.message.startswith("Out of memory: used ")
    assert thread.message.endswith(" of 286 MiB") or "asked for more than 286 MiB" in thread.message
    wait_for(lambda: all(each.memory_info().rss < LIMIT for each in running.children()))


@pytest.mark.usefixtures("running")
def test_a_request_for_more_than_there_may_be_fails_at_once(engine: Engine, store: ThreadStore) -> None:
    thread = ended(store, start(engine, "hoard", how="at-once"))
    assert thread.status is Status.FAILED
    assert thread.message.endswith("and asked for more than 286 MiB")
    assert [event.level for event in store.log(thread.id).events].count(Level.ERROR) <= 2


def test_the_kernel_ends_a_thread_before_its_worker(running: Program, engine: Engine) -> None:
    start(engine, "hoard", how="nothing")

    def scores() -> list[int]:
        return [int(Path(f"/proc/{each.pid}/oom_score_adj").read_text()) for each in running.children()]

    wait_for(lambda: max(scores(), default=0) == 500)
    assert int(Path(f"/proc/{running.pid}/oom_score_adj").read_text()) < 500
