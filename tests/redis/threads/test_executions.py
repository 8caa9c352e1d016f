"""What a worker does with a thread: take, claim, give back, finish."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest
from redis import Redis

from psthreads.domain.config import Config
from psthreads.domain.model import Level, Line, Outcome, Report, Status
from psthreads.threads import jobs
from psthreads.threads.janitor import Janitor
from psthreads.threads.store import ThreadStore
from tests.support.threads import BY, new_thread

QUEUE = "rq:queue:psthreads"
DONE = Outcome(Status.COMPLETED, "Done")
JUNK: dict[str, Callable[[Redis], bytes | str]] = {
    "an id without a job": lambda _: "1" * 32,
    "binary rubbish": lambda _: b"\xff\x00\xfe",
    "no id": lambda _: "rubbish \r\n*",
    "nothing": lambda _: "",
    "another kind of key": lambda redis: (redis.rpush("rq:job:list", "x"), "list")[1],
    "a job of somebody else": lambda redis: (redis.hset("rq:job:other", "data", "x"), "other")[1],
}


def texts(store: ThreadStore, thread_id: str) -> list[str]:
    return [event.message for event in store.log(thread_id).events]


@pytest.mark.parametrize("kind", JUNK)
def test_whatever_is_in_the_queue_hides_no_thread(kind: str, redis: Redis, store: ThreadStore, config: Config) -> None:
    redis.rpush(QUEUE, JUNK[kind](redis))
    thread_id = store.create(new_thread(redis))
    taken = store.take(1)
    assert taken is None or store.claim(taken, "t", "w") is None
    assert store.take(1) == thread_id
    assert store.claim(thread_id, "t", "w")
    assert not redis.exists(QUEUE, f"{QUEUE}:intermediate")
    assert Janitor(redis, config, store).sweep() == []


@pytest.mark.parametrize("kind", JUNK)
def test_the_janitor_removes_what_a_dead_worker_took_and_is_no_thread(
    kind: str, redis: Redis, store: ThreadStore
) -> None:
    redis.rpush(f"{QUEUE}:intermediate", JUNK[kind](redis))
    for entry in store.survey().taken:
        assert not store.recover(entry)
    assert not redis.exists(f"{QUEUE}:intermediate")


def test_a_claim_has_all_that_is_needed_to_run(redis: Redis, store: ThreadStore) -> None:
    thread_id = store.create(new_thread(redis, name="Nightly"))
    claim = store.claim(thread_id, "t", "w")
    assert claim is not None
    assert claim.thread == store.fetch(thread_id)
    assert (claim.thread.status, claim.thread.message) == (Status.INPROGRESS, "Running")
    assert (claim.token, claim.lease, claim.redis_time) == ("t", 4, claim.thread.started)
    assert jobs.read_call(claim.data) == jobs.Call("count", {}, is_plain=True)
    assert texts(store, thread_id)[-1] == "Started by worker w"
    assert redis.zrange("rq:wip:psthreads", 0, -1) == [f"{thread_id}:t".encode()]


def test_a_thread_that_was_cancelled_before_the_claim_was_sent_again_does_not_run(
    redis: Redis, store: ThreadStore
) -> None:
    thread_id = store.create(new_thread(redis))
    assert store.claim(thread_id, "t", "w")  # The answer is lost.
    assert store.cancel(thread_id, BY)[0].cancelling
    assert store.claim(thread_id, "t", "w") is None
    assert store.fetch(thread_id).status is Status.CANCELLED


@pytest.mark.parametrize("restartable", [True, False])
def test_a_thread_that_has_not_begun_is_given_back_to_the_head_of_the_queue(
    redis: Redis,
    store: ThreadStore,
    restartable: bool,  # noqa: FBT001 (a test parameter)
) -> None:
    first, second = (store.create(new_thread(redis, restartable=restartable)) for _ in range(2))
    assert store.take(1) == first
    assert store.claim(first, "t", "w")
    assert store.abandon(first, "No process can be started", "t", not_begun=True) == "requeued"
    thread = store.fetch(first)
    assert (thread.status, thread.message, thread.restarts) == (Status.INITIALISED, "Waiting for a worker", 0)
    assert thread.started == 0
    assert texts(store, first)[-1] == "No process can be started before it had begun; queued again"
    assert [store.take(1), store.take(1)] == [first, second]
    assert store.claim(first, "u", "w")
    assert not redis.zscore("rq:wip:psthreads", f"{first}:t")


@pytest.mark.parametrize("end", ["finish", "abandon"])
def test_the_last_report_and_the_end_are_written_in_one_step(redis: Redis, store: ThreadStore, end: str) -> None:
    thread_id = store.create(new_thread(redis))
    assert store.claim(thread_id, "t", "w")
    lines = (Line(1_652_667_241_924, Level.WARN, "Odd"), Line(1_652_667_241_925, Level.INFO, "Last"))
    report = Report(1, status=Status.WARNING, message="At the end", xml="<a/>", warnings=1, lines=lines)
    rev = store.fetch(thread_id).rev
    for _ in range(2):  # The second time, as where an answer was lost, it counts no more.
        if end == "finish":
            assert store.finish(thread_id, "t", DONE, report=report) is Status.COMPLETED
        else:
            store.abandon(thread_id, "Worker restarted", "t", report=report)
    thread = store.fetch(thread_id)
    assert (thread.xml, thread.warnings, thread.rev) == ("<a/>", 1, rev + 1)
    assert texts(store, thread_id)[2:] == ["Odd", "Last", "Done" if end == "finish" else "Worker restarted"]


def test_data_that_would_fill_the_memory_is_not_read() -> None:
    bomb = zlib.compress(b'["count", null, [], {"a": "' + b"a" * 17_000_000 + b'"}]')
    assert jobs.read_call(bomb) is None
