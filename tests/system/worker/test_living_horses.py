"""A horse runs many threads: what it may see of those before, when it is replaced, and what its death costs."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import psutil
import pytest
from redis import Redis
from rq.command import send_command

from chaos.proxy import Proxy
from psthreads.authoring.plugins import load
from psthreads.domain.config import Config
from psthreads.domain.model import Status
from psthreads.threads.engine import Engine
from psthreads.threads.janitor import Janitor
from psthreads.threads.store import ThreadStore
from tests.support.threads import BY, ended, start
from tests.support.untidy_processes import WAYS
from tests.support.waiting import wait_for
from tests.system.stack import Program, supervisor, worker


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, processes=("tests.support.untidy_processes",), group_threads=10_000)


@pytest.fixture
def engine(redis: Redis, config: Config, store: ThreadStore) -> Engine:
    return Engine(redis, config, store, load(config.processes))


@pytest.fixture
def running(redis: Redis, config: Config, store: ThreadStore) -> Iterator[Program]:
    janitor = Janitor(redis, config, store)
    janitor.start()
    with worker(config) as program:
        wait_for(lambda: redis.exists("rq:workers"))
        yield program
    janitor.stop()


def messages(engine: Engine, store: ThreadStore, *names: str) -> list[str]:
    """Run these processes, one after the other, and return their last messages."""
    threads = [ended(store, thread, 60) for thread in [start(engine, name) for name in names]]
    assert {thread.status for thread in threads} == {Status.COMPLETED}, [thread.message for thread in threads]
    return [thread.message for thread in threads]


@pytest.mark.usefixtures("running")
def test_whatever_is_left_behind_is_named_and_ends_the_horse(engine: Engine, store: ThreadStore) -> None:
    threads = {how: start(engine, "leave", how=how) for how in WAYS}
    ends = {how: ended(store, thread, 60) for how, thread in threads.items()}
    assert {how: thread.message for how, thread in ends.items() if thread.status is not Status.COMPLETED} == {}
    lines = {how: [event.message for event in store.log(thread.id).events] for how, thread in ends.items()}
    left = {how: [line for line in each if line.startswith("Left behind: ")] for how, each in lines.items()}
    assert {how: each for how, each in left.items() if len(each) != 1} == {}
    unnamed = {how: line for how, (line,) in left.items() if WAYS[how][1] not in line}
    assert unnamed == {}
    assert all(line.endswith("; its worker process is replaced") for (line,) in left.values())
    assert len({thread.message for thread in ends.values()}) == len(WAYS), "a process ran two of them"


@pytest.mark.usefixtures("running")
def test_a_process_that_leaves_nothing_behind_lets_its_horse_go_on(engine: Engine, store: ThreadStore) -> None:
    pids = messages(engine, store, *["leave"] * 10)
    assert len(set(pids)) == 1


@pytest.mark.usefixtures("running")
def test_only_an_isolated_thread_sees_nothing_of_those_before(engine: Engine, store: ThreadStore) -> None:
    order = ["together", "together", "alone", "alone", "together"]
    first, second, third, fourth, fifth = [each.split() for each in messages(engine, store, *order)]
    assert (first[0], first[1:]) == (second[0], ["1", "unset", "28"])
    assert second[1:] == ["2", "unset", "28"]
    assert (third[1], fourth[1], fifth[1]) == ("1", "1", "1")
    assert len({first[0], third[0], fourth[0], fifth[0]}) == 4


def test_a_setting_isolates_every_thread(redis: Redis, engine: Engine, store: ThreadStore, config: Config) -> None:
    with worker(replace(config, isolated=True)):
        counts = [each.split()[1] for each in messages(engine, store, *["together"] * 3)]
    assert counts == ["1", "1", "1"]


def test_a_horse_ends_after_so_many_threads_or_when_it_has_grown(
    redis: Redis, engine: Engine, store: ThreadStore, config: Config
) -> None:
    with worker(replace(config, threads_per_horse=3, horse_growth=20_000_000)):
        pids = messages(engine, store, *["nothing"] * 7)
        assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 1]
        grown = ended(store, start(engine, "memory", take=30_000_000)).message.split()[0]
        assert grown == pids[-1]
        assert messages(engine, store, "nothing") != [grown]


def test_a_thousand_threads_leave_the_memory_of_their_horse_as_it_was(
    redis: Redis, engine: Engine, store: ThreadStore, config: Config
) -> None:
    with worker(replace(config, threads_per_horse=10_000)):
        messages(engine, store, *["memory"] * 20)
        (first,) = messages(engine, store, "memory")
        messages(engine, store, *["nothing"] * 980)
        (last,) = messages(engine, store, "memory")
    (first_pid, first_bytes), (last_pid, last_bytes) = first.split(), last.split()
    assert first_pid == last_pid
    assert int(last_bytes) < 1.1 * int(first_bytes)


def test_a_horse_that_dies_between_two_threads_costs_none(engine: Engine, store: ThreadStore, running: Program) -> None:
    for _ in range(3):
        (pid,) = messages(engine, store, "nothing")
        wait_for(lambda: psutil.Process(int(pid)).status() == psutil.STATUS_SLEEPING)  # noqa: B023 (called at once)
        psutil.Process(int(pid)).kill()
        assert messages(engine, store, "nothing") != [pid]
    assert psutil.pid_exists(running.pid)


@pytest.mark.usefixtures("running")
def test_a_time_limit_and_a_request_to_stop_never_meet_the_next_thread(engine: Engine, store: ThreadStore) -> None:
    threads = [(start(engine, "brief", seconds=0.05), start(engine, "nothing")) for _ in range(25)]
    for limited, following in threads:
        done = ended(store, limited)
        assert done.status is Status.COMPLETED or done.message == "Timed out after 0.05 s"
        assert ended(store, following).status is Status.COMPLETED


@pytest.mark.usefixtures("running")
def test_a_kill_of_one_thread_never_meets_the_next(redis: Redis, engine: Engine, store: ThreadStore) -> None:
    draw = random.Random(7)  # noqa: S311 (moments need not be secret)
    fates: Counter[str] = Counter()
    for number in range(60):
        victim, following = start(engine, "nothing"), start(engine, "nothing")
        until = time.monotonic() + draw.uniform(0.0, 0.006)
        wait_for(lambda: time.monotonic() >= until)  # noqa: B023 (called at once)
        if number % 2:
            send_command(redis, wait_for(lambda: store.fetch(victim.id).worker), "stop-job", job_id=victim.id)  # noqa: B023
        else:
            engine.cancel(victim, by=BY, force=True)
        done = ended(store, victim)
        fates[done.message if done.status is not Status.COMPLETED else "Completed"] += 1
        assert ended(store, following).status is Status.COMPLETED
    assert set(fates) <= {"Completed", "Killed by signal 9", "Cancelled by jjones"}


def test_a_kill_anywhere_from_the_queue_to_the_end_loses_nothing(
    engine: Engine, store: ThreadStore, running: Program
) -> None:
    draw = random.Random(8)  # noqa: S311 (as above)
    for _ in range(40):
        wait_for(running.children)
        thread = start(engine, "nothing")
        until = time.monotonic() + draw.uniform(0.0, 0.004)
        wait_for(lambda: time.monotonic() >= until)  # noqa: B023 (called at once)
        for horse in running.children():
            with suppress(psutil.NoSuchProcess):
                horse.kill()
        done = ended(store, thread)
        assert (done.status, done.restarts) == (Status.COMPLETED, 0) or done.message == "Killed by signal 9"
    assert psutil.pid_exists(running.pid)


def test_a_thread_whose_horse_died_before_it_knew_of_it_runs(
    redis: Redis, engine: Engine, store: ThreadStore, config: Config
) -> None:
    with Proxy(config.redis_url) as proxy, supervisor(replace(config, redis_url=proxy.url)):
        (pid,) = messages(engine, store, "nothing")
        wait_for(lambda: redis.info("clients")["blocked_clients"])  # It knows that its thread has ended.
        proxy.cut_answers()
        thread = start(engine, "nothing")
        wait_for(lambda: not redis.llen("rq:queue:psthreads"))
        psutil.Process(int(pid)).kill()
        proxy.mend()
        done = ended(store, thread)
        assert (done.status, done.restarts) == (Status.COMPLETED, 0)
