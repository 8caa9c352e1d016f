"""What a worker does with a thread: take, claim, give back, finish."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from unittest.mock import ANY

import pytest
from redis import Redis

from psthreads.authoring.capture.pipes import OutputPipes
from psthreads.documents.installation import Installation
from psthreads.domain.config import Config
from psthreads.domain.model import Level, Line, Outcome, Report, Status
from psthreads.threads import jobs
from psthreads.threads.executions import successor
from psthreads.threads.janitor import Janitor
from psthreads.threads.records import Claim
from psthreads.threads.store import ThreadStore
from psthreads.worker.deadline import Deadline
from psthreads.worker.settlement import settle
from psthreads.worker.shared_state import Execution, Phase, SharedState
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


def next_one(store: ThreadStore, thread_id: str, report: Report | None = None) -> Claim | None:
    return store.finish_and_claim(thread_id, "t", DONE, "w", report)


def test_the_end_of_a_thread_begins_the_next_one_in_the_same_step(redis: Redis, store: ThreadStore) -> None:
    first, second = (store.create(new_thread(redis)) for _ in range(2))
    assert store.take(1) == first
    assert store.claim(first, "t", "w")
    report = Report(1, message="Nearly", warnings=1, lines=(Line(1_652_667_241_924, Level.WARN, "Odd"),))
    claim = next_one(store, first, report)
    assert claim is not None
    assert (claim.thread, claim.token) == (store.fetch(second), successor("t"))
    assert (claim.thread.status, claim.thread.worker) == (Status.INPROGRESS, "w")
    assert jobs.read_call(claim.data) == jobs.Call("count", {}, is_plain=True)
    assert (store.fetch(first).status, store.fetch(first).warnings) == (Status.COMPLETED, 1)
    assert next_one(store, first, report) == replace(claim, redis_time=ANY)  # as where the answer was lost
    assert texts(store, first)[2:] == ["Odd", "Done"]
    assert texts(store, second)[1:] == ["Started by worker w"]
    assert redis.zrange("rq:wip:psthreads", 0, -1) == [f"{second}:{claim.token}".encode()]
    assert not redis.exists(QUEUE, f"{QUEUE}:intermediate")
    assert next_one(store, second) is None  # It is the successor's, and nobody else's.
    assert store.finish_and_claim(second, claim.token, DONE, "w") is None
    assert store.fetch(second).status is Status.COMPLETED


@pytest.mark.parametrize("restartable", [True, False])
def test_a_next_thread_of_a_dead_horse_is_given_back(
    redis: Redis,
    store: ThreadStore,
    restartable: bool,  # noqa: FBT001 (a test parameter)
) -> None:
    first, second, third = (store.create(new_thread(redis, restartable=restartable)) for _ in range(3))
    assert store.take(1) == first
    assert store.claim(first, "t", "w")
    assert next_one(store, first)  # The horse dies before it hears of it.
    store.give_back_next("t", "Worker restarted")
    thread = store.fetch(second)
    assert (thread.status, thread.restarts, thread.message) == (Status.INITIALISED, 0, "Waiting for a worker")
    assert next_one(store, first) is None  # Its last call comes late.
    assert redis.lrange(QUEUE, 0, -1) == [second.encode(), third.encode()]


def test_a_late_end_of_a_thread_that_was_settled_begins_nothing(redis: Redis, store: ThreadStore) -> None:
    first, second = (store.create(new_thread(redis)) for _ in range(2))
    assert store.take(1) == first
    assert store.claim(first, "t", "w")
    store.finish(first, "t", Outcome(Status.FAILED, "Killed by signal 9"))
    store.give_back_next("t", "Worker restarted")
    assert next_one(store, first) is None
    assert (store.fetch(first).status, store.fetch(second).status) == (Status.FAILED, Status.INITIALISED)
    assert redis.lrange(QUEUE, 0, -1) == [second.encode()]


def test_a_next_thread_that_was_cancelled_meanwhile_does_not_run(redis: Redis, store: ThreadStore) -> None:
    first, second = (store.create(new_thread(redis)) for _ in range(2))
    assert store.take(1) == first
    assert store.claim(first, "t", "w")
    assert next_one(store, first)
    assert store.cancel(second, BY)[0].cancelling
    assert next_one(store, first) is None
    assert store.fetch(second).status is Status.CANCELLED


@pytest.mark.parametrize("kind", JUNK)
def test_the_end_of_a_thread_leaves_junk_in_the_queue_to_whoever_takes_it(
    kind: str, redis: Redis, store: ThreadStore
) -> None:
    thread_id = store.create(new_thread(redis))
    assert store.take(1) == thread_id
    assert store.claim(thread_id, "t", "w")
    redis.rpush(QUEUE, JUNK[kind](redis))
    following = store.create(new_thread(redis))
    claim = next_one(store, thread_id)
    assert store.fetch(thread_id).status is Status.COMPLETED
    if claim is None:
        taken = store.take(1)
        assert taken == following or (taken is None or store.claim(taken, "t", "w") is None)
        assert taken == following or store.take(1) == following


def test_a_full_redis_takes_the_end_of_a_thread_and_begins_no_other(redis: Redis, store: ThreadStore) -> None:
    first, second = (store.create(new_thread(redis)) for _ in range(2))
    assert store.take(1) == first
    assert store.claim(first, "t", "w")
    redis.config_set("maxmemory", 1)
    try:
        assert next_one(store, first) is None
    finally:
        redis.config_set("maxmemory", 0)
    assert (store.fetch(first).status, store.fetch(second).status) == (Status.COMPLETED, Status.INITIALISED)


def test_a_worker_that_has_seen_a_newer_redis_begins_no_other_thread(
    redis: Redis, config: Config, store: ThreadStore
) -> None:
    installation = Installation(redis, config, "test")
    assert installation.check() is None
    knowing = ThreadStore(redis, config, installation=installation)
    first, second = (store.create(new_thread(redis)) for _ in range(2))
    assert store.take(1) == first
    assert knowing.claim(first, "t", "w")
    installation.saw(claims=installation.claims + 1)
    assert next_one(knowing, first) is None
    assert store.fetch(second).status is Status.INITIALISED


def test_a_worker_that_settles_its_horse_gives_back_what_that_went_on_with(
    redis: Redis, config: Config, store: ThreadStore
) -> None:
    for has_heard in (False, True):
        redis.flushall()
        first, second = (store.create(new_thread(redis)) for _ in range(2))
        assert store.take(1) == first
        assert store.claim(first, "t", "w")
        assert next_one(store, first)
        token = successor("t")
        execution = Execution(second, token, 2, Phase.TAKEN) if has_heard else Execution(first, "t", 1, Phase.BEGUN)
        settle(store, Deadline(execution, config, SharedState()), -9, "", OutputPipes())()
        assert (store.fetch(first).message, store.fetch(second).status) == ("Done", Status.INITIALISED)
        assert redis.lrange(QUEUE, 0, -1) == [second.encode()]
