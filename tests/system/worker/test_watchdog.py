"""The supervisor is the watchdog: what a worker has started ends with it, and its thread is given up in a second."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from redis import Redis

from psthreads.authoring.plugins import load
from psthreads.domain.config import Config
from psthreads.domain.model import Status
from psthreads.threads import crew
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.beacons import overlap, spans
from tests.support.endings import has_ended
from tests.support.threads import BY, ended, start
from tests.support.waiting import wait_for
from tests.system.stack import Program, supervisor, worker_of

PROMISED = 2.0
"""Seconds until a lost worker's thread runs again."""
HOW = ["child", "session", "detached"]


@pytest.fixture
def config(config: Config) -> Config:
    """Leases so long that only the supervisor can find a worker lost."""
    return replace(config, processes=("tests.support.beacons",), workers=2, lost_after=600, grace=1)


@pytest.fixture
def engine(redis: Redis, config: Config, store: ThreadStore) -> Engine:
    return Engine(redis, config, store, load(config.processes))


@pytest.fixture
def running(engine: Engine, config: Config) -> Iterator[Program]:
    with supervisor(config) as program:
        wait_for(lambda: engine.workers() == 2)
        yield program


def at_work(mark: Path) -> bool:
    """Return whether one of those that write the file is running."""
    for pid in spans(mark):
        with suppress(psutil.NoSuchProcess):
            if not has_ended(psutil.Process(pid)):
                return True
    return False


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_worker_that_stands_still_or_dies_is_replaced_within_two_seconds(
    number: signal.Signals,
    redis: Redis,
    engine: Engine,
    store: ThreadStore,
    config: Config,
    running: Program,
    tmp_path: Path,
) -> None:
    mark = tmp_path / "mark"
    thread = start(engine, "again", mark=str(mark), seconds=3)
    wait_for(mark.exists)
    worker = worker_of(redis, config, store, thread.id)
    worker.send_signal(number)
    wait_for(lambda: len(spans(mark)) == 2, PROMISED)
    assert not worker.is_running()
    done = ended(store, thread)
    assert (done.status, done.restarts) == (Status.COMPLETED, 1)
    assert "Worker lost; queued again, restart 1 of 3" in [event.message for event in store.log(thread.id).events]
    assert overlap(mark) < 0
    wait_for(lambda: crew.look(redis, config).lost)
    wait_for(lambda: engine.workers() == 2)


@pytest.mark.parametrize("how", HOW)
def test_a_program_that_a_killed_workers_process_had_started_is_gone_before_the_next_begins(
    how: str, redis: Redis, engine: Engine, store: ThreadStore, config: Config, running: Program, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    thread = start(engine, "employer", mark=str(mark), how=how)
    wait_for(lambda: spans(mark))
    worker_of(redis, config, store, thread.id).kill()
    wait_for(lambda: len(spans(mark)) == 2, PROMISED + 1)
    assert overlap(mark) < 0
    engine.cancel(store.fetch(thread.id), by=BY, force=True)
    assert ended(store, thread).status is Status.CANCELLED
    assert not at_work(mark)


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("how", HOW)
def test_nothing_of_a_thread_is_at_work_once_it_has_ended(
    how: str, engine: Engine, store: ThreadStore, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    thread = start(engine, "employer", mark=str(mark), how=how, seconds=1)
    wait_for(lambda: spans(mark))
    done = ended(store, thread)
    assert not at_work(mark)
    assert (done.status, done.message) == (Status.COMPLETED, "Employed")
    (line,) = [event.message for event in store.log(thread.id).events if event.message.startswith("Ended what it")]
    assert str(next(iter(spans(mark)))) in line


@pytest.mark.parametrize("how", HOW)
def test_all_ends_with_a_supervisor_that_is_killed(how: str, engine: Engine, running: Program, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    start(engine, "employer", mark=str(mark), how=how)
    wait_for(lambda: spans(mark))
    os.kill(running.pid, signal.SIGKILL)
    wait_for(lambda: not at_work(mark), 5)


def test_a_worker_that_is_stopped_for_a_moment_goes_on(
    redis: Redis, engine: Engine, store: ThreadStore, config: Config, running: Program, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    thread = start(engine, "plain", mark=str(mark), seconds=3)
    wait_for(mark.exists)
    worker = worker_of(redis, config, store, thread.id)
    since = time.monotonic()
    worker.suspend()
    worker.resume()
    assert time.monotonic() - since < 0.5
    assert ended(store, thread).status is Status.COMPLETED
    assert worker.is_running()
