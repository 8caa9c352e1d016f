"""A worker that is cut off from Redis, while everybody else is not, stops its code before another one begins."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from redis import Redis

from chaos.proxy import Proxy
from psthreads.authoring.plugins import load
from psthreads.domain.config import Config
from psthreads.domain.model import Status
from psthreads.threads.engine import Engine
from psthreads.threads.janitor import Janitor
from psthreads.threads.store import ThreadStore
from tests.support.beacons import overlap, spans
from tests.support.endings import has_ended
from tests.support.threads import ended, start
from tests.support.waiting import wait_for
from tests.system.stack import supervisor, worker


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, processes=("tests.support.beacons",), grace=1)


@pytest.fixture
def proxy(config: Config) -> Iterator[Proxy]:
    with Proxy(config.redis_url) as proxy:
        yield proxy


@pytest.fixture
def cut_off(config: Config, proxy: Proxy) -> Config:
    """The settings of a worker behind the proxy."""
    return replace(config, redis_url=proxy.url)


@pytest.fixture
def engine(redis: Redis, config: Config, store: ThreadStore) -> Engine:
    return Engine(redis, config, store, load(config.processes))


@pytest.fixture(autouse=True)
def janitor(redis: Redis, config: Config, store: ThreadStore) -> Iterator[Janitor]:
    janitor = Janitor(redis, config, store)
    janitor.start()
    yield janitor
    janitor.stop()


def test_a_horse_ends_itself_where_its_worker_and_its_supervisor_stand_still(
    engine: Engine, store: ThreadStore, config: Config, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    with supervisor(replace(config, workers=1)) as watchdog:
        thread = start(engine, "again", mark=str(mark), seconds=6)
        wait_for(mark.exists)
        horse = psutil.Process(next(iter(spans(mark))))
        assert watchdog.process is not None
        warden, watcher = (psutil.Process(pid) for pid in (watchdog.process.pid, watchdog.pid))
        stopped = [warden, watcher, *watcher.children()]
        with worker(config):
            for each in stopped:
                each.suspend()
            wait_for(lambda: has_ended(horse), config.lost_after)
            done = ended(store, thread)
        for each in stopped:
            with suppress(psutil.NoSuchProcess):  # The supervisor kills a worker that stood still as soon as it can.
                each.resume()
    assert (done.status, done.restarts) == (Status.COMPLETED, 1)
    assert overlap(mark) < 0


@pytest.mark.parametrize(("process", "how"), [("again", "cut"), ("deaf", "cut"), ("again", "cut_answers")])
def test_a_restartable_thread_is_never_at_work_twice(
    process: str,
    how: str,
    engine: Engine,
    store: ThreadStore,
    config: Config,
    proxy: Proxy,
    cut_off: Config,
    tmp_path: Path,
) -> None:
    mark = tmp_path / "mark"
    with worker(cut_off):
        thread = start(engine, process, mark=str(mark), seconds=6)
        wait_for(mark.exists)
        with worker(config):
            getattr(proxy, how)()
            since = time.monotonic()
            wait_for(lambda: len(spans(mark)) == 2)
            # Two sweeps, a claim and a fork beyond the lease, on a busy machine.
            assert time.monotonic() - since < config.lost_after + 4
            proxy.mend()
            done = ended(store, thread)
    assert (done.status, done.message, done.restarts) == (Status.COMPLETED, "Shone", 1)
    assert len(spans(mark)) == 2
    assert overlap(mark) < 0


def test_no_second_changer_of_a_group_begins_beside_the_first(
    engine: Engine, store: ThreadStore, config: Config, proxy: Proxy, cut_off: Config, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    with worker(cut_off):
        first = start(engine, "alone", mark=str(mark))
        wait_for(mark.exists)
        second = start(engine, "alone", mark=str(mark), seconds=1)
        with worker(config):
            proxy.cut()
            assert ended(store, second).status is Status.COMPLETED
            lost = store.fetch(first.id)
            assert (lost.status, lost.message) == (Status.FAILED, "Worker lost")
            proxy.mend()
    assert len(spans(mark)) == 2
    assert overlap(mark) < 0


def test_code_has_stopped_when_its_thread_is_said_to_have_failed(
    engine: Engine, store: ThreadStore, config: Config, proxy: Proxy, cut_off: Config, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    with worker(cut_off):
        thread = start(engine, "plain", mark=str(mark))
        wait_for(mark.exists)
        proxy.cut()
        lost = ended(store, thread)
        end = time.monotonic()
        assert (lost.status, lost.message) == (Status.FAILED, "Worker lost")
        proxy.mend()
        assert ended(store, start(engine, "plain", mark=str(tmp_path / "next"), seconds=0.1)).status is Status.COMPLETED
    ((_, last),) = spans(mark).values()
    assert last < end
    assert store.fetch(thread.id) == lost


def test_a_thread_that_may_rides_out_an_outage_longer_than_the_shortest_lease(
    redis: Redis, engine: Engine, config: Config, proxy: Proxy, cut_off: Config, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    store = ThreadStore(redis, replace(config, outage=30))
    with worker(replace(cut_off, outage=30)):
        thread = start(engine, "plain", mark=str(mark), seconds=config.lost_after + 4)
        wait_for(mark.exists)
        proxy.cut()
        since = time.monotonic()
        wait_for(lambda: time.monotonic() > since + config.lost_after + 2)
        assert store.fetch(thread.id).status is Status.INPROGRESS
        proxy.mend()
        assert ended(store, thread).status is Status.COMPLETED
    assert len(spans(mark)) == 1


def test_a_thread_ends_that_outlasts_what_it_may_ride_out_and_says_why(
    redis: Redis, engine: Engine, store: ThreadStore, config: Config, proxy: Proxy, cut_off: Config, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    with worker(replace(cut_off, outage=3)):
        thread = start(engine, "plain", mark=str(mark))
        wait_for(mark.exists)
        proxy.close()
        since = time.monotonic()
        ((_, before),) = spans(mark).values()
        wait_for(lambda: time.monotonic() > max(span[1] for span in spans(mark).values()) + 0.5)
        ((_, last),) = spans(mark).values()
        assert 2 < last - before < 4
        proxy.mend()
        done = ended(store, thread)
        assert time.monotonic() - since < 6, "it waited for the janitor"
        assert (done.status, done.message) == (Status.FAILED, "Its worker was cut off from Redis")
