"""What a process's function leaves behind when it returns, in real workers: ended as Python ends a program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from psthreads.domain.config import Config
from psthreads.domain.model import Event, Level, Status, Thread
from psthreads.testing import run as run_in_a_test
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.output_processes import leaving
from tests.support.threads import ACME, BY, ended, start
from tests.support.waiting import wait_for
from tests.system.stack import worker

LEFT = "These Python threads still run, and end unfinished: "


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, processes=(*config.processes, "tests.support.output_processes"))


@pytest.fixture
def working(config: Config, redis: Redis) -> Iterator[None]:
    with worker(config):
        yield


def run(engine: Engine, store: ThreadStore, **values: str) -> tuple[Thread, list[Event]]:
    thread = ended(store, start(engine, "leaving", ACME, **values))
    return thread, list(store.log(thread.id).events)


@pytest.mark.usefixtures("working")
@pytest.mark.parametrize(
    "what", ["executor", "kept-executor", "processes", "threads", "raising", "child", "atexit", "file", "cycles"]
)
def test_what_is_left_to_do_is_done_before_the_thread_ends(
    what: str, engine: Engine, store: ThreadStore, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    thread, events = run(engine, store, what=what, mark=str(mark))
    numbers = range(1 if what in {"child", "atexit", "file"} else 20)
    assert sorted(map(int, mark.read_text().split())) == list(numbers)
    if what == "raising":
        assert (thread.status, thread.message) == (Status.FAILED, "ValueError: Bad things")
    else:
        assert (thread.status, thread.message) == (Status.COMPLETED, "Done")
    texts = [event.message for event in events]
    if what == "atexit":
        assert "first registered" in texts
        assert any("ZeroDivisionError" in text for text in texts)
    assert not any("still run" in text for text in texts)


@pytest.mark.usefixtures("working")
def test_a_finalizer_of_the_process_runs_and_nothing_of_the_workers(
    engine: Engine, store: ThreadStore, tmp_path: Path
) -> None:
    thread, _ = run(engine, store, what="finalizer", mark=str(tmp_path))
    assert thread.status is Status.COMPLETED
    assert [path for path in tmp_path.iterdir() if path.name.startswith("tmp")] == []
    assert run(engine, store, what="nothing")[0].status is Status.COMPLETED, "the worker lives on"


@pytest.mark.usefixtures("working")
def test_what_cannot_be_joined_is_named_and_the_end_is_honest(engine: Engine, store: ThreadStore) -> None:
    thread, events = run(engine, store, what="endless")
    assert (thread.status, thread.message) == (Status.FAILED, "Timed out after 3 s")
    assert (f"{LEFT}Endless", Level.WARN) in [(event.message, event.level) for event in events]
    thread = start(engine, "leaving", ACME, what="endless")
    wait_for(lambda: store.fetch(thread.id).message == "Nearly done")
    store.cancel(thread.id, BY)
    assert ended(store, thread).status is Status.CANCELLED
    assert f"{LEFT}Endless" in [event.message for event in store.log(thread.id).events]
    thread, events = run(engine, store, what="daemon")
    assert (thread.status, thread.warnings) == (Status.COMPLETED, 0)
    named = [event for event in events if "Ticker" in event.message]
    assert [event.level for event in named] == [Level.DEBUG, Level.INFO]  # the second says that the horse is replaced


@pytest.mark.usefixtures("working")
def test_an_exception_in_another_thread_is_in_the_log(engine: Engine, store: ThreadStore) -> None:
    thread, events = run(engine, store, what="exception")
    assert thread.status is Status.COMPLETED
    event = next(event for event in events if "Uncaught" in event.message)
    assert event.message.startswith("Uncaught ValueError: invalid literal for int()")
    assert event.message.endswith("in the Python thread Reader")
    assert event.level is Level.ERROR
    assert event.detail.startswith("Traceback")
    assert len([event for event in events if "invalid literal" in event.text(with_detail=True)]) == 1


@pytest.mark.parametrize("what", ["executor", "threads"])
def test_the_harness_waits_as_a_worker_does(what: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    assert run_in_a_test(leaving, {"what": what, "mark": str(mark)}).status is Status.COMPLETED
    assert len(mark.read_text().split()) == 20


def test_the_harness_logs_an_exception_in_another_thread() -> None:
    done = run_in_a_test(leaving, {"what": "exception"})
    assert any(line.endswith("in the Python thread Reader") for line in done.log)
