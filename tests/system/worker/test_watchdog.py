"""The supervisor is the watchdog: what a worker has started ends with it, and its thread is given up in a second."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest
from redis import Redis

from psthreads.authoring.plugins import load
from psthreads.domain.config import Config
from psthreads.domain.model import Status
from psthreads.local.programs import SUPERVISOR
from psthreads.threads import crew
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.beacons import overlap, spans
from tests.support.checkout import ROOT
from tests.support.endings import has_ended
from tests.support.forking import fork_limit
from tests.support.threads import BY, ended, start
from tests.support.waiting import wait_for
from tests.system.stack import Supervisor, supervisor, worker_of

PROMISED = 2.0
"""Seconds until a lost worker's thread runs again."""
HOW = ["child", "session", "detached"]
IGNORING = """
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def config(config: Config) -> Config:
    """Leases so long that only the supervisor can find a worker lost."""
    return replace(config, processes=("tests.support.beacons",), workers=2, lost_after=600, grace=1)


@pytest.fixture
def engine(redis: Redis, config: Config, store: ThreadStore) -> Engine:
    return Engine(redis, config, store, load(config.processes))


@pytest.fixture
def running(engine: Engine, config: Config) -> Iterator[Supervisor]:
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


@dataclass(frozen=True)
class Employed:
    """A worker whose thread has started a program, and the file that both write while they are at work."""

    worker: psutil.Process
    mark: Path


@pytest.fixture
def employed(
    how: str, redis: Redis, engine: Engine, store: ThreadStore, config: Config, running: Supervisor, tmp_path: Path
) -> Employed:
    mark = tmp_path / "mark"
    thread = start(engine, "employer", mark=str(mark), how=how)
    wait_for(lambda: spans(mark))
    return Employed(worker_of(redis, config, store, thread.id), mark)


def kill_at_once(*pids: int) -> None:
    """Kill these processes, none of which sees another one's end."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_worker_that_stands_still_or_dies_is_replaced_within_two_seconds(
    number: signal.Signals,
    redis: Redis,
    engine: Engine,
    store: ThreadStore,
    config: Config,
    running: Supervisor,
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
    how: str, redis: Redis, engine: Engine, store: ThreadStore, config: Config, running: Supervisor, tmp_path: Path
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
def test_all_ends_with_a_supervisor_that_is_killed(
    how: str, engine: Engine, running: Supervisor, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    start(engine, "employer", mark=str(mark), how=how)
    wait_for(lambda: spans(mark))
    os.kill(running.pid, signal.SIGKILL)
    wait_for(lambda: not at_work(mark), 5)


@pytest.mark.parametrize("how", HOW)
def test_what_a_thread_had_started_ends_while_its_supervisor_stands_still(
    employed: Employed, running: Supervisor
) -> None:
    worker, mark = employed.worker, employed.mark
    (other,) = (each for each in psutil.Process(running.pid).children() if each != worker)
    os.kill(running.pid, signal.SIGSTOP)
    kill_at_once(worker.pid, *(each.pid for each in worker.children()))
    wait_for(lambda: not at_work(mark), PROMISED)
    assert not has_ended(other)
    os.kill(running.pid, signal.SIGCONT)
    wait_for(lambda: len(spans(mark)) == 2)
    assert overlap(mark) < 0


@pytest.mark.parametrize("how", HOW)
def test_all_ends_with_a_supervisor_a_worker_and_a_horse_that_are_killed_at_once(
    employed: Employed, running: Supervisor
) -> None:
    kill_at_once(running.pid, employed.worker.pid, *(each.pid for each in employed.worker.children()))
    wait_for(lambda: not at_work(employed.mark), PROMISED)
    assert running.process is not None
    assert running.process.wait(PROMISED) == -signal.SIGKILL


@pytest.mark.parametrize("how", ["detached"])
def test_all_ends_with_a_warden_that_is_killed_while_a_worker_stands_still(
    employed: Employed, running: Supervisor
) -> None:
    assert running.process is not None
    all_of_them = [psutil.Process(running.pid), *running.children()]
    employed.worker.suspend()
    running.process.kill()
    wait_for(lambda: not at_work(employed.mark), PROMISED)
    wait_for(lambda: all(map(has_ended, all_of_them)), PROMISED)


@pytest.mark.parametrize("how", ["detached"])
def test_what_a_thread_had_started_ends_where_its_worker_and_its_supervisor_stand_still(
    employed: Employed, running: Supervisor
) -> None:
    worker, mark = employed.worker, employed.mark
    (horse,) = worker.children()
    for pid in (running.pid, worker.pid):
        os.kill(pid, signal.SIGSTOP)
    horse.kill()
    wait_for(lambda: not at_work(mark), PROMISED)
    os.kill(running.pid, signal.SIGCONT)
    wait_for(lambda: len(spans(mark)) == 2)
    assert overlap(mark) < 0


def test_a_supervisor_that_stands_still_ends_in_order_when_it_is_told_to(running: Supervisor) -> None:
    os.kill(running.pid, signal.SIGSTOP)
    assert running.process is not None
    running.process.terminate()
    assert running.process.wait(30) == 0


def test_a_supervisor_without_room_for_its_process_says_so(config: Config) -> None:
    waiting = ["sh", "-c", "read line; exec " + shlex.join(SUPERVISOR)]
    environment = {**os.environ, **config.to_env(), "PYTHONPATH": str(ROOT)}
    with (
        fork_limit() as limit,
        subprocess.Popen(waiting, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as program,
    ):
        limit.hold(program.pid)
        limit.set([program.pid], may_fork=False)
        _, said = program.communicate(b"go\n", 30)
    assert program.returncode == 1
    assert said.startswith(b"The supervisor cannot be started: ")
    assert said.count(b"\n") == 1


def test_a_program_knows_how_its_supervisor_ended_whoever_ignores_its_children(engine: Engine, config: Config) -> None:
    with Supervisor(config, [sys.executable, "-c", IGNORING, *SUPERVISOR]) as program:
        wait_for(lambda: engine.workers() == 2)
        assert program.process is not None
        program.process.terminate()
        assert program.process.wait(30) == 0


def test_a_worker_that_is_stopped_for_a_moment_goes_on(
    redis: Redis, engine: Engine, store: ThreadStore, config: Config, running: Supervisor, tmp_path: Path
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
