"""A Redis that hangs delays no deadline: a stopped Redis answers nothing, and refuses no connection."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from redis import Redis

from psthreads.domain.config import Config
from psthreads.domain.model import Status
from psthreads.local.server import RedisServer
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.endings import has_ended
from tests.support.threads import BY, ended, start
from tests.support.waiting import wait_for
from tests.system.stack import Program, supervisor, worker

SLACK = 1.5
"""Seconds for a busy machine."""


@contextmanager
def hanging(server: RedisServer) -> Iterator[None]:
    redis = psutil.Process(server.pid)
    redis.suspend()
    try:
        yield
    finally:
        redis.resume()


def horse_of(program: Program) -> psutil.Process:
    return wait_for(program.children)[0]


def test_a_cancelled_thread_is_killed_after_its_grace(
    server: RedisServer, redis: Redis, engine: Engine, store: ThreadStore, config: Config, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    with worker(config) as program:
        thread = start(engine, "stuck", mark=str(mark))
        wait_for(mark.exists)
        horse = horse_of(program)
        engine.cancel(thread, by=BY)
        asked = time.monotonic()
        for _ in range(2):  # After the second heartbeat it has read the answer to the first.
            lease = redis.zscore("ps:leases", thread.id)
            wait_for(lambda: redis.zscore("ps:leases", thread.id) != lease)  # noqa: B023 (called at once)
        with hanging(server):
            wait_for(lambda: has_ended(horse), config.grace + SLACK)
            assert time.monotonic() - asked > config.grace - SLACK
        assert ended(store, thread).status is Status.CANCELLED


@pytest.mark.usefixtures("redis")
def test_a_thread_is_killed_after_its_time_limit(
    server: RedisServer, engine: Engine, store: ThreadStore, config: Config, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    with worker(replace(config, time_limit=1)) as program:
        thread = start(engine, "stubborn", mark=str(mark))
        wait_for(mark.exists)
        horse = horse_of(program)
        with hanging(server):
            wait_for(lambda: has_ended(horse), 1 + config.grace + SLACK)
        done = ended(store, thread)
        assert (done.status, done.message) == (Status.FAILED, "Timed out after 1 s")


def test_a_worker_is_gone_in_time_though_it_cannot_say_so(
    server: RedisServer, redis: Redis, engine: Engine, config: Config, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    with worker(replace(config, shutdown=1)) as program:
        assert program.process is not None
        start(engine, "stubborn", mark=str(mark))
        wait_for(mark.exists)
        horse = horse_of(program)
        with hanging(server):
            program.process.terminate()
            program.process.wait(1 + 3 + SLACK)
            assert has_ended(horse)


@pytest.mark.usefixtures("redis")
def test_an_idle_worker_is_gone_in_time(server: RedisServer, engine: Engine, config: Config) -> None:
    with worker(config) as program:
        assert program.process is not None
        wait_for(lambda: engine.workers() == 1)
        with hanging(server):
            program.process.terminate()
            program.process.wait(3 + SLACK)


def test_a_supervisor_is_gone_in_time_with_all_that_it_started(
    server: RedisServer, redis: Redis, engine: Engine, config: Config, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    with supervisor(replace(config, shutdown=1)) as program:
        assert program.process is not None
        start(engine, "stubborn", mark=str(mark))
        wait_for(mark.exists)
        family = program.children()
        with hanging(server):
            program.process.terminate()
            program.process.wait(1 + 5 + 2 + SLACK)
            assert all(map(has_ended, family))
