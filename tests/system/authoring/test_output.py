"""What processes print, in real workers: whole, in order, live, and still there when the process has died."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from psthreads.domain.config import Config
from psthreads.domain.model import Event, Level, Status, Thread
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.threads import ACME, BY, ended, start
from tests.support.waiting import wait_for
from tests.system.stack import worker


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, processes=(*config.processes, "tests.support.output_processes"))


@pytest.fixture
def working(config: Config, redis: Redis) -> Iterator[None]:
    with worker(config):
        yield


def events(store: ThreadStore, thread: Thread) -> list[Event]:
    return list(store.log(thread.id, 1, 5_000).events)


def run(engine: Engine, store: ThreadStore, name: str, **values: str) -> tuple[Thread, list[Event]]:
    thread = ended(store, start(engine, name, ACME, **values))
    return thread, events(store, thread)


@pytest.mark.usefixtures("working")
def test_what_is_printed_stands_in_order_and_whole(engine: Engine, store: ThreadStore) -> None:
    _, lines = run(engine, store, "output", what="order")
    numbers = [int(line.message.split()[0]) for line in lines[:-1] if line.message[:1].isdigit()]
    assert numbers == list(range(70))
    assert {line.level for line in lines if line.message.endswith("out")} == {Level.INFO}
    assert {line.level for line in lines if line.message.endswith("err")} == {Level.WARN}
    _, lines = run(engine, store, "output", what="bar")
    assert [line.message.strip() for line in lines if "%" in line.message] == ["100.0 %"]
    _, lines = run(engine, store, "output", what="characters")
    assert "世" in [line.message for line in lines]
    _, lines = run(engine, store, "output", what="endless-line")
    cut = next(line.message for line in lines if line.message.startswith("start xxx"))
    assert cut.endswith("… [the rest of this line is cut]")
    assert lines[-2].message == "after it"
    _, lines = run(engine, store, "output", what="threads")
    whole = [line.message for line in lines if "yyy" in line.message]
    assert len(whole) == 1_600
    assert all(text.split()[0] == text.split()[-1] for text in whole)
    _, lines = run(engine, store, "output", what="child")
    assert "from a fork" in [line.message for line in lines]


@pytest.mark.usefixtures("working")
def test_a_program_that_fails_says_why(engine: Engine, store: ThreadStore) -> None:
    thread, lines = run(engine, store, "output", what="failing")
    assert thread.status is Status.FAILED
    assert ("no such mood", Level.WARN) in [(line.message, line.level) for line in lines]


@pytest.mark.usefixtures("working")
@pytest.mark.parametrize("how", ["segfault", "abort", "kill", "exit"])
def test_what_was_printed_before_a_death_is_there(engine: Engine, store: ThreadStore, how: str) -> None:
    for _ in range(3):
        thread, lines = run(engine, store, "dying", how=how)
        assert thread.status is Status.FAILED
        texts = [line.message for line in lines]
        assert texts.count("from a program") == 1
        assert [text for text in texts if text.startswith("line ")] == [f"line {number}" for number in range(500)]
        assert texts.count("the last words") == 1
        assert lines[-1].message == thread.message
        if how in {"segfault", "abort"}:
            fatal = next(line for line in lines if line.message.startswith("Fatal Python error: "))
            assert "output_processes.py" in fatal.detail
            assert not any("output_processes.py" in text for text in texts), "a traceback is for administrators"


@pytest.mark.usefixtures("working")
@pytest.mark.parametrize("what", ["flood", "flooding-program"])
def test_a_flood_is_bounded_and_can_be_cancelled(
    engine: Engine, store: ThreadStore, what: str, tmp_path: Path, config: Config
) -> None:
    mark = tmp_path / "mark"
    thread = start(engine, "output", what=what, mark=str(mark))
    wait_for(mark.exists)
    wait_for(lambda: store.log(thread.id, 1, 1).total > 1_000)
    store.cancel(thread.id, BY)
    done = ended(store, thread, config.grace + 4)
    assert done.status is Status.CANCELLED
    assert not any("did not stop in time" in line.message for line in store.log(thread.id, -20, 20).events)


@pytest.mark.usefixtures("working")
def test_a_process_killed_by_its_worker_keeps_what_it_printed(
    engine: Engine, store: ThreadStore, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    thread = start(engine, "output", what="flooding-program", mark=str(mark))
    wait_for(mark.exists)
    store.cancel(thread.id, BY, force=True)
    assert ended(store, thread).status is Status.CANCELLED


@pytest.mark.usefixtures("working")
def test_a_record_lands_once_however_logging_is_configured(engine: Engine, store: ThreadStore) -> None:
    for what in ("none", "basic", "force", "dict", "shutdown", "removed"):
        _, lines = run(engine, store, "logging-after", what=what)
        texts = [line.message for line in lines]
        assert [text for text in texts if "for everybody" in text] == ["acme.library: for everybody"], what
        assert [text for text in texts if "on its own" in text] == ["acme.own: on its own"], what
        assert [text for text in texts if "half" in text] in (
            ["half a line, the other half"],
            ["half a line, ", "the other half"],
        ), what
        broken = [text for text in texts if "broken" in text or "cannot be formatted" in text]
        assert len(broken) == 1, texts
        assert "Logging error" not in "".join(texts)
        assert not any("too much" in text for text in texts)
    _, lines = run(engine, store, "logging-after", what="queue")
    assert len([line for line in lines if "for everybody" in line.message]) == 1


@pytest.mark.usefixtures("working")
def test_what_a_child_logs_lands_in_the_log(engine: Engine, store: ThreadStore) -> None:
    _, lines = run(engine, store, "logging-after", what="fork")
    said = {line.message: line for line in lines}
    assert said["acme.child: info from the child"].level is Level.INFO
    failure = said["acme.child: error from the child"]
    assert failure.level is Level.ERROR
    assert failure.detail.endswith("for int() with base 10: 'bad'")
    cut = next(text for text in said if text.startswith("acme.child: long zzz"))
    assert cut.endswith("… [cut]")
    assert len([text for text in said if "from the child" in text]) == 2
    _, lines = run(engine, store, "logging-after", what="pool")
    assert len([line for line in lines if "info from the child" in line.message]) == 4
    for what in ("spawn", "forkserver"):
        _, lines = run(engine, store, "logging-after", what=what)
        # Their Python knows nothing of this one: as in any program, it writes warnings and worse to stderr.
        texts = [line.message for line in lines]
        assert any("error from the child" in text for text in texts), what
