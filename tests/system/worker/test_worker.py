"""Real workers, real signals: how threads run, end, and are made to end."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis

from psthreads.domain.config import Config
from psthreads.domain.model import Status
from psthreads.threads.engine import Engine
from psthreads.threads.janitor import Janitor
from psthreads.threads.store import ThreadStore
from tests.support.endings import has_ended
from tests.support.threads import BY, ended, new_thread, start
from tests.support.waiting import wait_for
from tests.system.stack import Program, supervisor, worker


@pytest.fixture
def running(redis: Redis, config: Config) -> Iterator[Program]:
    with worker(config) as program:
        wait_for(lambda: redis.exists("rq:workers"))
        yield program


def lines_of(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


@pytest.mark.usefixtures("running")
def test_a_thread_runs_and_its_log_tells_its_life(engine: Engine, store: ThreadStore) -> None:
    thread = ended(store, start(engine, "count", to=3))
    assert (thread.status, thread.message) == (Status.COMPLETED, "Counted to 3")
    assert thread.xml == '<progress total="3" current="3"/>'
    assert thread.created <= thread.started <= thread.ended
    messages = [event.message for event in store.log(thread.id).events]
    assert messages[0] == "Accepted from jjones"
    assert messages[1].startswith("Started by worker ")
    assert messages[2:] == ["At 1", "At 2", "At 3", "Counted to 3"]


@pytest.mark.usefixtures("running")
def test_every_way_to_end_gives_one_honest_final_status(engine: Engine, store: ThreadStore) -> None:
    expected = {
        "warn": (Status.COMPLETED, "Completed with 1 warning"),
        "error": (Status.FAILED, "Ended with 1 error"),
        "recover": (Status.COMPLETED, "Ended well after all"),
        "raise": (Status.FAILED, "ValueError: Bad things"),
        "base": (Status.FAILED, "BaseException: Worse things"),
        "exit": (Status.FAILED, "SystemExit: 3"),
        "os-exit": (Status.FAILED, "Its process ended by itself, with exit code 0"),
        "kill": (Status.FAILED, "Killed by signal 9"),
        "segfault": (Status.FAILED, "Killed by signal 11"),
        "stdout": (Status.COMPLETED, "About to end"),
        "finally": (Status.FAILED, "KeyError: 'Second'"),
        "fork": (Status.COMPLETED, "About to end"),
        "threads": (Status.COMPLETED, "About to end"),
        # Only a request to cancel makes a thread `cancelled`.
        "cancel": (Status.FAILED, "Cancelled"),
        "outcome": (Status.FAILED, "I cancel myself"),
    }
    threads = {how: start(engine, "end", how=how) for how in expected}
    found = {how: ended(store, thread) for how, thread in threads.items()}
    assert {how: (thread.status, thread.message) for how, thread in found.items()} == expected


@pytest.mark.usefixtures("running")
def test_what_a_process_leaves_running_ends_with_its_thread(engine: Engine, store: ThreadStore, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    thread = start(engine, "end", how="child", mark=str(mark))
    assert ended(store, thread).status is Status.COMPLETED
    child = int(wait_for(lambda: lines_of(mark))[1])
    wait_for(lambda: not psutil.pid_exists(child))


def test_a_thread_cancelled_in_the_queue_never_runs(
    redis: Redis, engine: Engine, store: ThreadStore, config: Config, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    cancelled = [start(engine, "count", mark=str(mark)) for _ in range(3)]
    for thread in cancelled:
        now = engine.cancel(thread, by=BY)
        assert (now.status, now.message) == (Status.CANCELLED, "Cancelled by jjones")
    last = start(engine, "count", mark=str(mark))
    with worker(config):
        ended(store, last)
    assert lines_of(mark) == ["ran", last.id]
    assert [store.fetch(thread.id).status for thread in cancelled] == [Status.CANCELLED] * 3


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("process", ["spin", "sleep", "swallow"])
def test_python_code_of_any_shape_is_cancelled_at_once_and_its_finally_runs(
    process: str, engine: Engine, store: ThreadStore, config: Config, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    thread = start(engine, process, mark=str(mark))
    wait_for(lambda: lines_of(mark))
    asked = time.monotonic()
    now = engine.cancel(thread, by=BY)
    if not now.status.is_final:
        assert (now.cancelling, now.message) == (True, "Cancelling, as jjones asked")
    done = ended(store, thread, config.grace + 2)
    assert time.monotonic() - asked < config.grace, "it had to be killed"
    assert (done.status, done.message, done.cancelled_by) == (Status.CANCELLED, "Cancelled by jjones", "jjones")
    assert not done.cancelling
    assert lines_of(mark) == ["started", "finally"]


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("process", ["stuck", "stubborn"])
def test_code_that_cannot_be_interrupted_is_killed_after_the_grace(
    process: str, engine: Engine, store: ThreadStore, config: Config, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    thread = start(engine, process, mark=str(mark))
    wait_for(lambda: lines_of(mark))
    assert engine.cancel(thread, by=BY).cancelling
    done = ended(store, thread, config.grace + 2)
    assert (done.status, done.message) == (Status.CANCELLED, "Cancelled by jjones")
    assert "It did not stop in time and was killed" in [event.message for event in store.log(thread.id).events]


@pytest.mark.usefixtures("running")
def test_what_must_not_be_killed_gets_as_long_as_it_needs(
    engine: Engine, store: ThreadStore, config: Config, tmp_path: Path
) -> None:
    mark, until = tmp_path / "mark", tmp_path / "until"
    thread = start(engine, "tidy", mark=str(mark), until=str(until))
    wait_for(lambda: lines_of(mark))
    asked = time.monotonic()
    engine.cancel(thread, by=BY)
    # Its grace is long over, and it lives.
    wait_for(lambda: time.monotonic() > asked + config.grace + 1)
    assert store.fetch(thread.id).cancelling
    until.touch()
    assert ended(store, thread).status is Status.CANCELLED
    assert lines_of(mark) == ["started", "tidying", "tidy"]


@pytest.mark.usefixtures("running")
def test_force_kills_also_what_must_not_be_killed_and_keeps_what_it_had_said(
    engine: Engine, store: ThreadStore, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    thread = start(engine, "tidy", mark=str(mark), until=str(tmp_path / "never"))
    wait_for(lambda: lines_of(mark))
    engine.cancel(thread, by=BY)
    wait_for(lambda: lines_of(mark) == ["started", "tidying"])
    engine.cancel(thread, by=BY, force=True)
    assert ended(store, thread).status is Status.CANCELLED
    assert lines_of(mark) == ["started", "tidying"]
    assert "Tidying up" in [event.message for event in store.log(thread.id).events]


def test_force_skips_the_grace(
    engine: Engine, store: ThreadStore, config: Config, redis: Redis, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    with worker(replace(config, grace=600)):
        thread = start(engine, "stuck", mark=str(mark))
        wait_for(lambda: lines_of(mark))
        assert engine.cancel(thread, by=BY).cancelling
        engine.cancel(thread, by=BY, force=True)
        assert ended(store, thread, 5).status is Status.CANCELLED


def test_a_worker_that_misses_the_command_sees_the_request_at_its_heartbeat(
    engine: Engine, store: ThreadStore, config: Config, redis: Redis, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    with worker(config):
        thread = start(engine, "sleep", mark=str(mark))
        wait_for(lambda: lines_of(mark))
        store.cancel(thread.id, BY)  # only the store: no command is sent
        assert ended(store, thread, config.heartbeat + 2).status is Status.CANCELLED
        assert lines_of(mark) == ["started", "finally"]


@pytest.mark.usefixtures("running")
def test_a_thread_past_its_time_limit_fails_and_its_finally_runs(
    engine: Engine, store: ThreadStore, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    done = ended(store, start(engine, "limited", mark=str(mark)))
    assert (done.status, done.message) == (Status.FAILED, "Timed out after 1 s")
    assert lines_of(mark) == ["started", "finally"]


def test_a_job_that_names_something_else_is_refused(
    redis: Redis, store: ThreadStore, engine: Engine, running: Program, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    forged: dict[str, tuple[list[object], str]] = {
        "os.system": (["os.system", None, [f"touch {mark}"], {}], "This worker knows no process named 'os.system'"),
        "args": (["count", None, ["x"], {}], "The job's data does not fit the process 'count'"),
        "kwargs": (["count", None, [], {"nope": 1}], "The job's data does not fit the process 'count'"),
        "instance": (["count", "x", [], {}], "The job's data does not fit the process 'count'"),
    }
    for data, message in forged.values():
        new = new_thread(redis)
        fields = {**new.fields, "data": zlib.compress(json.dumps(data).encode())}
        thread_id = store.create(replace(new, fields=fields))
        done = ended(store, store.fetch(thread_id))
        assert (done.status, done.message) == (Status.FAILED, message)
    new = new_thread(redis)
    pickled = pickle.dumps(Runs(f"touch {mark}"))
    thread_id = store.create(replace(new, fields={**new.fields, "data": pickled}))
    assert ended(store, store.fetch(thread_id)).message == "Its job's data cannot be read"
    assert not mark.exists()
    assert ended(store, start(engine, "count")).status is Status.COMPLETED, "the worker did not survive"
    assert psutil.pid_exists(running.pid)


class Runs:
    """What runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self._command,)


def horse_of(program: Program) -> psutil.Process:
    return wait_for(program.children)[0]


def test_a_killed_horse_is_told_within_two_seconds(
    engine: Engine, store: ThreadStore, running: Program, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    thread = start(engine, "sleep", mark=str(mark))
    wait_for(lambda: lines_of(mark))
    horse_of(running).kill()
    done = ended(store, thread, 2)
    assert (done.status, done.message) == (Status.FAILED, "Killed by signal 9")


@pytest.fixture
def janitor(redis: Redis, config: Config, store: ThreadStore) -> Iterator[Janitor]:
    janitor = Janitor(redis, config, store)
    janitor.start()
    yield janitor
    janitor.stop()


@pytest.mark.usefixtures("janitor")
@pytest.mark.parametrize(("process", "final"), [("sleep", Status.FAILED), ("restartable", Status.COMPLETED)])
def test_the_horse_dies_with_its_worker_and_the_thread_ends_or_restarts(
    process: str, final: Status, engine: Engine, store: ThreadStore, config: Config, redis: Redis, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    values: dict[str, Any] = {"to": 20, "pause": 0.1} if process == "restartable" else {}
    with worker(config) as program:
        thread = start(engine, process, mark=str(mark), **values)
        wait_for(lambda: lines_of(mark))
        horse = horse_of(program)
        os.kill(program.pid, signal.SIGKILL)
        wait_for(lambda: has_ended(horse), 5)
    if final is Status.COMPLETED:
        with worker(config):
            done = ended(store, thread)
        assert done.restarts == 1
        assert lines_of(mark).count("ran") == 2
        assert "Worker lost; queued again, restart 1 of 3" in [e.message for e in store.log(thread.id).events]
    else:
        done = ended(store, thread, 15)
        assert done.message == "Worker lost"
    assert done.status is final


@pytest.mark.usefixtures("janitor")
def test_a_worker_that_was_declared_lost_and_wakes_up_writes_nothing(
    engine: Engine, store: ThreadStore, config: Config, redis: Redis, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    with worker(config) as program:
        thread = start(engine, "count", to=100_000, pause=0.05, mark=str(mark))
        wait_for(lambda: lines_of(mark))
        horse = horse_of(program)
        os.kill(program.pid, signal.SIGSTOP)
        horse.suspend()
        lost = ended(store, thread, 15)
        assert (lost.status, lost.message) == (Status.FAILED, "Worker lost")
        total = store.log(thread.id).total
        horse.resume()
        # The horse learns it from the first report that is refused, even while its worker hangs.
        wait_for(lambda: has_ended(horse), 10)
        os.kill(program.pid, signal.SIGCONT)
        other = start(engine, "count")
        assert ended(store, other).status is Status.COMPLETED, "the worker did not go on"
        assert store.fetch(thread.id) == lost
        assert store.log(thread.id).total == total


@pytest.mark.usefixtures("janitor")
def test_a_thread_that_was_taken_and_never_started_is_queued_again(
    redis: Redis, engine: Engine, store: ThreadStore, config: Config
) -> None:
    taken, claimed, astray = (start(engine, name) for name in ("count", "restartable", "count"))
    queue = "rq:queue:psthreads"
    assert redis.lmove(queue, f"{queue}:intermediate") == taken.id.encode()
    assert redis.lmove(queue, f"{queue}:intermediate") == claimed.id.encode()
    assert store.claim(claimed.id, "a dead worker's", "dead")
    redis.delete(queue)
    with worker(config):
        for thread in (taken, claimed, astray):
            assert ended(store, thread, 15).status is Status.COMPLETED


@pytest.mark.parametrize(("process", "final"), [("sleep", "failed"), ("restartable", "completed")])
def test_a_deploy_gives_a_running_thread_back_or_ends_it(
    process: str, final: str, engine: Engine, store: ThreadStore, config: Config, redis: Redis, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    values: dict[str, Any] = {"to": 30, "pause": 0.1} if process == "restartable" else {}
    waiting = None
    with worker(config) as program:
        thread = start(engine, process, mark=str(mark), **values)
        wait_for(lambda: lines_of(mark))
        waiting = start(engine, "count")
        os.kill(program.pid, signal.SIGTERM)
        assert program.process is not None
        assert program.process.wait(10) == 0
    assert store.fetch(waiting.id).status is Status.INITIALISED, "a thread was taken after SIGTERM"
    if final == "failed":
        done = store.fetch(thread.id)
        assert (done.status, done.message) == (Status.FAILED, "Worker restarted")
        assert lines_of(mark) == ["started", "finally"]
    else:
        given = store.fetch(thread.id)
        assert (given.status, given.message) == (Status.INITIALISED, "Worker restarted; queued again, restart 1 of 3")
        with worker(config):
            assert ended(store, thread).status is Status.COMPLETED


def test_the_supervisor_replaces_a_dead_worker_and_leaves_nothing_behind(
    engine: Engine, store: ThreadStore, config: Config, redis: Redis, tmp_path: Path
) -> None:
    with supervisor(replace(config, workers=2)) as program:
        wait_for(lambda: engine.workers() == 2)
        assert ended(store, start(engine, "count")).status is Status.COMPLETED
        first = next(child for child in program.children() if child.ppid() == program.pid)
        first.kill()
        wait_for(lambda: first not in program.children() and len(program.children()) == 4)  # workers and horses
        assert ended(store, start(engine, "count")).status is Status.COMPLETED
        mark = tmp_path / "mark"
        start(engine, "sleep", mark=str(mark))
        wait_for(lambda: lines_of(mark))
        all_of_them = program.children()
        assert len(all_of_them) == 4
        os.kill(program.pid, signal.SIGTERM)
        assert program.process is not None
        assert program.process.wait(20) == 0
        assert not any(process.is_running() for process in all_of_them)


def test_workers_end_with_a_supervisor_that_is_killed(config: Config, redis: Redis, engine: Engine) -> None:
    with supervisor(replace(config, workers=2)) as program:
        wait_for(lambda: engine.workers() == 2)
        workers = program.children()
        os.kill(program.pid, signal.SIGKILL)
        wait_for(lambda: all(map(has_ended, workers)))


def test_rq_shows_our_queue_and_workers(config: Config, redis: Redis, engine: Engine, running: Program) -> None:
    start(engine, "count")
    shown = subprocess.run(
        [sys.executable, "-m", "rq.cli", "info", "--url", config.redis_url],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "psthreads" in shown
    assert "1 workers, 1 queues" in shown
