"""What an execution that was given up still writes never replaces anything."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from redis import Redis

from psthreads.authoring.plugins import load
from psthreads.database.connection import connect
from psthreads.documents.layout import Documents
from psthreads.domain.access import Group
from psthreads.domain.config import Config
from psthreads.domain.errors import GivenUp
from psthreads.domain.model import Status
from psthreads.local.programs import free_port
from psthreads.system.clock import steady
from psthreads.threads.engine import Engine
from psthreads.threads.janitor import Janitor
from psthreads.threads.store import ThreadStore
from psthreads.worker.horse.execution_fence import ExecutionFence
from psthreads.worker.shared_state import Execution, Phase, SharedState
from tests.support.beacons import spans
from tests.support.endings import has_ended
from tests.support.threads import ended, new_thread, start
from tests.support.waiting import wait_for
from tests.system.stack import worker


def test_the_result_of_the_second_execution_stays_when_the_first_one_wakes_up(
    redis: Redis, store: ThreadStore, config: Config, tmp_path: Path
) -> None:
    config = replace(config, processes=("tests.support.beacons",))
    engine = Engine(redis, config, store, load(config.processes))
    mark, until = tmp_path / "mark", tmp_path / "until"
    janitor = Janitor(redis, config, store)
    janitor.start()
    with worker(config) as first:
        thread = start(engine, "signer", mark=str(mark), until=str(until))
        wait_for(lambda: spans(mark))
        horse = psutil.Process(next(iter(spans(mark))))
        os.kill(first.pid, signal.SIGSTOP)
        horse.suspend()
        with worker(config):
            wait_for(lambda: len(spans(mark)) == 2)
            until.touch()
            assert ended(store, thread).status is Status.COMPLETED
        _, second = spans(mark)
        (result,) = (config.documents / "results").glob("*/signed-*.txt")
        horse.resume()  # Its worker stands still, and cannot end it.
        wait_for(lambda: has_ended(horse))
        assert result.read_text() == str(second)
        # A horse that had to be killed leaves its temporary file to the janitor.
        assert [path for path in result.parent.iterdir() if not path.name.startswith(".")] == [result]
    janitor.stop()


class Scripted:
    """A fence that does something the first time that it is asked, and raises from the second time on."""

    def __init__(self, meanwhile: Path) -> None:
        self._meanwhile = meanwhile
        self._count = 0

    def require_lease(self) -> None:
        """Let everything pass."""

    def require_ownership(self) -> None:
        self._count += 1
        if self._count > 1:
            raise GivenUp
        self._meanwhile.write_text("of the second execution")


def test_not_even_a_result_that_appears_after_the_store_was_asked_is_replaced(tmp_path: Path) -> None:
    result = tmp_path / "results" / "7" / f"a-{'0' * 32}.txt"
    results = Documents(tmp_path, fence=Scripted(result)).results(7)
    with pytest.raises(GivenUp), results.write(result.name) as file:
        file.write(b"of the first execution")
    assert result.read_text() == "of the second execution"
    assert list(result.parent.iterdir()) == [result]


def test_an_execution_may_write_its_result_again(tmp_path: Path) -> None:
    results = Documents(tmp_path).results(7)
    for text in (b"once", b"again"):
        with results.write("a.txt") as file:
            file.write(text)
    with results.open("a.txt") as file:
        assert file.read() == b"again"


RUNNING = Execution("0" * 32, "t", 1, Phase.BEGUN, sent=0.0)


@pytest.fixture
def state() -> SharedState:
    return SharedState()


def test_an_execution_owns_its_thread_until_it_has_ended_or_was_given_up(
    redis: Redis, store: ThreadStore, state: SharedState
) -> None:
    thread_id = store.create(new_thread(redis, restartable=True))
    execution = replace(RUNNING, thread_id=thread_id, sent=steady(), lease=60)
    state.note(execution)
    fence = ExecutionFence(store, state, execution)
    with pytest.raises(GivenUp):
        fence.require_ownership()
    store.claim(thread_id, "t", "w")
    fence.require_ownership()
    store.abandon(thread_id, "Worker lost", "t")
    with pytest.raises(GivenUp):
        fence.require_ownership()


def test_no_document_changes_once_the_lease_has_run_out(
    redis: Redis, store: ThreadStore, state: SharedState, tmp_path: Path
) -> None:
    fence = ExecutionFence(store, state, RUNNING)
    folder = Documents(tmp_path, fence=fence).group(Group(7, "acme"))
    state.note(replace(RUNNING, sent=steady(), lease=60))
    folder.write("a.psml", b"<a/>")
    state.note(replace(RUNNING, sent=steady() - 60, lease=60))
    with pytest.raises(GivenUp):
        folder.write("a.psml", b"<b/>")
    with pytest.raises(GivenUp):
        folder.move("a.psml", "b.psml")
    assert folder.read("a.psml", 100) == b"<a/>"


def test_while_redis_does_not_answer_a_result_waits_as_long_as_the_lease_lasts(state: SharedState) -> None:
    with connect(f"redis://127.0.0.1:{free_port()}") as redis:
        store = ThreadStore(redis, Config())
        since = steady()
        state.note(replace(RUNNING, sent=since, lease=2))
        with pytest.raises(GivenUp):
            ExecutionFence(store, state, RUNNING).require_ownership()
    assert 1.4 <= steady() - since < 3
