"""What processes report in odd ways, and of odd objects, in real workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from redis import Redis

from psthreads.authoring.plugins import load
from psthreads.domain.config import Config
from psthreads.domain.model import Status
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.odd_objects import ODD_ERRORS
from tests.support.threads import ended, start
from tests.support.waiting import wait_for
from tests.system.stack import Program, worker


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, processes=("tests.support.odd_processes", "tests.support.odd_objects"))


@pytest.fixture
def engine(redis: Redis, config: Config, store: ThreadStore) -> Engine:
    return Engine(redis, config, store, load(config.processes))


@pytest.fixture(autouse=True)
def running(redis: Redis, config: Config) -> Iterator[Program]:
    with worker(config) as program:
        wait_for(lambda: redis.exists("rq:workers"))
        yield program


def test_a_report_may_come_from_anything_that_interrupts_a_report(engine: Engine, store: ThreadStore) -> None:
    hows = (
        *("signal handler", "finaliser", "weak reference"),
        *("trace function", "profile function", "logging handler"),
    )
    threads = {how: start(engine, "reentrant", how=how) for how in hows}
    ends = {how: ended(store, thread, 120) for how, thread in threads.items()}
    assert {how: (thread.status, thread.message) for how, thread in ends.items()} == dict.fromkeys(
        hows, (Status.COMPLETED, "Nested some: True")
    )
    for how, thread in ends.items():
        lines = [event.message for event in store.log(thread.id, 1, 5_000).events]
        assert "At 0" in lines, how
        assert "At 1" in lines, how
    assert ends["logging handler"].warnings == 3_000


def test_an_exception_that_cannot_be_shown_ends_its_thread_with_a_sentence(engine: Engine, store: ThreadStore) -> None:
    threads = {how: start(engine, "failing", how=how) for how in ODD_ERRORS}
    ends = {how: ended(store, thread, 60) for how, thread in threads.items()}
    assert {how: (thread.status, thread.message) for how, thread in ends.items()} == {
        how: (Status.FAILED, message) for how, message in ODD_ERRORS.items()
    }
    for how, thread in ends.items():
        events = store.log(thread.id).events
        assert [event.message for event in events[2:]] == ["Last words", thread.message], how
        assert "failing" in events[-1].detail or "cannot be shown" in events[-1].detail, how


def test_objects_that_cannot_be_shown_are_reported_all_the_same(engine: Engine, store: ThreadStore) -> None:
    thread = ended(store, start(engine, "telling"))
    assert (thread.status, thread.message) == (Status.COMPLETED, "The end")
    lines = [event.message for event in store.log(thread.id).events]
    for line in (
        "[a Unprintable that cannot be shown: ZeroDivisionError]",
        "[a NoText that cannot be shown: TypeError]",
        "strange",
        "7",
        "some.library: It failed",
    ):
        assert line in lines
    assert len([line for line in lines if line.startswith("Cleaning up failed: Odd: [a Odd")]) == 5
