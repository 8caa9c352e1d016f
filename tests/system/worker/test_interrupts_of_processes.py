"""How interrupts and signals reach processes of every shape, in real workers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from redis import Redis

from psthreads.authoring.context import Cancelled, Context, ShutDown, TimedOut
from psthreads.authoring.interrupts import WAKE
from psthreads.authoring.plugins import load
from psthreads.domain.config import Config
from psthreads.domain.model import Status
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from psthreads.worker.stop_request import StopRequest
from tests.support.threads import BY, ended, start
from tests.support.waiting import wait_for
from tests.system.stack import Program, worker


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, processes=("tests.support.odd_processes",))


@pytest.fixture
def engine(redis: Redis, config: Config, store: ThreadStore) -> Engine:
    return Engine(redis, config, store, load(config.processes))


@pytest.fixture
def running(redis: Redis, config: Config) -> Iterator[Program]:
    with worker(config) as program:
        wait_for(lambda: redis.exists("rq:workers"))
        yield program


def lines_of(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("how", "marks"),
    [
        # A task that is at work just then may not get to its own end.
        ("asyncio", {"waiting-ended", "finally", "finally-ended"}),
        ("anyio", {"waiting-ended", "finally", "finally-ended"}),
        ("to-thread", {"busy-ended", "finally", "finally-ended"}),
        ("bare-except", {"finally", "finally-ended"}),
        ("result", {"busy-ended", "finally", "finally-ended"}),
        ("result-in-c", {"finally", "finally-ended"}),
        ("shutdown", {"finally", "finally-ended"}),
        ("subprocess", {"finally", "finally-ended"}),
    ],
)
def test_a_cancel_gets_through_and_every_finally_runs_to_its_end(
    how: str, marks: set[str], engine: Engine, store: ThreadStore, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    thread = start(engine, "below", how=how, mark=str(mark))  # It is never killed.
    wait_for(lambda: lines_of(mark))
    engine.cancel(thread, by=BY)
    done = ended(store, thread, 15)
    assert (done.status, done.message) == (Status.CANCELLED, "Cancelled by jjones")
    assert marks <= set(lines_of(mark))
    assert "Cleaned up" in [event.message for event in store.log(thread.id).events]


@pytest.mark.usefixtures("running")
def test_signals_of_a_process_mean_what_they_mean_in_any_program(
    engine: Engine, store: ThreadStore, tmp_path: Path
) -> None:
    expected = {
        "alarm": (Status.FAILED, "Its process was ended by its own alarm (SIGALRM)"),
        "own-alarm": (Status.COMPLETED, "Heard its alarm: True"),
        "stray-wake": (Status.COMPLETED, "Went on"),
        "terminate": (Status.FAILED, "Ended by signal SIGTERM (15), which psthreads did not send"),
        "user": (Status.FAILED, "Ended by signal SIGUSR1 (10), which psthreads did not send"),
        # The limit holds, whatever a process does to the signal of psthreads.
        "default": (Status.FAILED, "Timed out after 3 s"),
        "ignore": (Status.FAILED, "Timed out after 3 s"),
        "block": (Status.FAILED, "Timed out after 3 s"),
    }
    threads = {how: start(engine, "signals", how=how) for how in expected}
    ends = {how: ended(store, thread, 60) for how, thread in threads.items()}
    assert {how: (thread.status, thread.message) for how, thread in ends.items()} == expected


@pytest.mark.usefixtures("running")
def test_a_process_that_closes_every_descriptor_is_cancelled_all_the_same(
    engine: Engine, store: ThreadStore, config: Config, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    thread = start(engine, "signals", how="close-all", mark=str(mark))
    wait_for(lambda: lines_of(mark))
    engine.cancel(thread, by=BY)
    begin = time.monotonic()
    assert ended(store, thread, 10).status is Status.CANCELLED
    assert time.monotonic() - begin < config.grace
    assert lines_of(mark) == ["started", "finally"]


def test_a_request_to_stop_is_for_one_execution_alone() -> None:
    request = StopRequest()
    context = cast("Context", object())  # The signal that would reach it is ignored.
    before = signal.signal(WAKE, signal.SIG_IGN)
    try:
        request.listen(1, context)
        assert request.reason is None
        for reason in (Cancelled, TimedOut, ShutDown):
            request.send(os.getpid(), 1, reason)
            assert request.reason is reason
        request.listen(2, context)
        assert request.reason is None
        request.send(os.getpid(), 1, Cancelled)  # One that is late.
        assert request.reason is None
    finally:
        signal.signal(WAKE, before)
