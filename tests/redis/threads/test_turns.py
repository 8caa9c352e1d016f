"""A group's share of the workers: who runs, who waits and why, and whose turn is next."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis import Redis

from psthreads.domain.access import Group
from psthreads.domain.config import Config
from psthreads.domain.model import Outcome, Status
from psthreads.threads import jobs
from psthreads.threads.janitor import Janitor
from psthreads.threads.store import ThreadStore
from tests.support.threads import ACME, BY, new_thread

OTHER = Group(8, "other")
DONE = Outcome(Status.COMPLETED, "Done")


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, group_threads=3)


def queued(redis: Redis) -> list[str]:
    return [each.decode() for each in redis.lrange("rq:queue:psthreads", 0, -1)]  # type: ignore[union-attr]


def create(redis: Redis, store: ThreadStore, *kinds: str, group: Group = ACME) -> list[str]:
    """Threads, one for each letter: `c` for one that changes documents, `r` for one that only reads."""
    return [store.create(new_thread(redis, exclusive=kind == "c", group=group)) for kind in kinds]


def finish(redis: Redis, store: ThreadStore, thread_id: str) -> None:
    """What a worker does: take it out of the queue, claim it, run it, end it."""
    redis.lrem("rq:queue:psthreads", 1, thread_id)
    assert store.claim(thread_id, "t", "w")
    assert store.finish(thread_id, "t", DONE) is Status.COMPLETED


@pytest.mark.parametrize("group", [ACME, None])
@pytest.mark.parametrize("name", ["A name", "token=abcdefgh12345678 \x00\ud800", ""])
@pytest.mark.parametrize("traceparent", ["", "no trace", f"00-{'a' * 32}-{'b' * 16}-01"])
def test_a_start_returns_the_thread_as_it_is_stored(
    redis: Redis, store: ThreadStore, group: Group | None, name: str, traceparent: str
) -> None:
    for exclusive in (False, True, True, True, False, False):  # The last ones wait, for one reason or the other.
        new = replace(
            new_thread(redis, group=group, exclusive=exclusive, name=name), traceparent=traceparent, process="a\x01b"
        )
        assert store.start(new) == store.fetch(new.id)
        assert store.start(new) == store.fetch(new.id)  # The first answer was lost.


def test_a_thread_beyond_its_groups_share_waits_and_says_why(redis: Redis, store: ThreadStore) -> None:
    *running, late = create(redis, store, "r", "r", "r", "r")
    assert queued(redis) == running
    waiting = store.fetch(late)
    assert waiting.status is Status.INITIALISED
    assert waiting.message == "Waiting for other threads of this group: it may run 3 at once"
    assert not store.claim(late, "t", "w")
    finish(redis, store, running[1])
    assert queued(redis) == [running[0], running[2], late]
    assert store.fetch(late).message == "Waiting for a worker"


def test_threads_that_change_documents_run_one_at_a_time(redis: Redis, store: ThreadStore) -> None:
    first, second, reader, third = create(redis, store, "c", "c", "r", "c")
    assert queued(redis) == [first, reader]
    assert store.fetch(second).message == "Waiting for another thread, which changes the documents of this group"
    finish(redis, store, reader)
    assert queued(redis) == [first], "a reader's end lets nobody change documents"
    finish(redis, store, first)
    assert queued(redis) == [second]
    finish(redis, store, second)
    assert queued(redis) == [third]


def test_who_came_first_is_next_whatever_it_does(redis: Redis, store: ThreadStore) -> None:
    first, second, third = create(redis, store, "c", "r", "r")
    waiting = create(redis, store, "r", "c", "r")
    finish(redis, store, second)
    assert queued(redis)[-1] == waiting[0]
    finish(redis, store, third)
    assert queued(redis)[-1] == waiting[2], "one that may not run yet holds up nobody"
    finish(redis, store, first)
    assert queued(redis)[-1] == waiting[1]


def test_the_number_that_may_change_documents_is_a_setting(redis: Redis, config: Config) -> None:
    store = ThreadStore(redis, replace(config, group_changes=2))
    ids = create(redis, store, "c", "c", "c")
    assert queued(redis) == ids[:2]


def test_one_group_does_not_hold_up_another(redis: Redis, store: ThreadStore) -> None:
    ours = create(redis, store, *("r" * 1_000))
    (theirs,) = create(redis, store, "r", group=OTHER)
    assert queued(redis) == [*ours[:3], theirs]
    server_wide = store.create(new_thread(redis, group=None))
    assert queued(redis)[-1] == server_wide


def test_a_thread_that_waits_can_be_cancelled_and_is_passed_over(redis: Redis, store: ThreadStore) -> None:
    *running, cancelled, last = create(redis, store, "r", "r", "r", "r", "r")
    assert store.cancel(cancelled, BY)[0].status is Status.CANCELLED
    finish(redis, store, running[0])
    assert queued(redis) == [*running[1:], last]


def test_a_thread_that_is_cancelled_in_the_queue_gives_its_place_to_the_next(redis: Redis, store: ThreadStore) -> None:
    first, *_, last = create(redis, store, "r", "r", "r", "r")
    store.cancel(first, BY)
    assert queued(redis)[-1] == last


def test_a_restarted_thread_keeps_its_place(redis: Redis, store: ThreadStore) -> None:
    thread_id = store.create(new_thread(redis, exclusive=True, restartable=True))
    (other,) = create(redis, store, "c")
    redis.lpop("rq:queue:psthreads")
    store.claim(thread_id, "t", "w")
    assert store.abandon(thread_id, "Worker restarted", "t") == "requeued"
    assert queued(redis) == [thread_id]
    assert not store.claim(other, "u", "w")


def test_the_janitor_frees_the_places_of_threads_that_are_gone(
    redis: Redis, config: Config, store: ThreadStore
) -> None:
    *running, late = create(redis, store, "r", "r", "r", "r")
    redis.delete(f"rq:job:{running[0]}")  # somebody has deleted the job
    janitor = Janitor(redis, config, store)
    assert f"Group {ACME.id}: threads waited for slots that nobody used" in janitor.sweep()
    assert queued(redis)[-1] == late
    janitor.stop()


@pytest.mark.parametrize(("workers", "share"), [(0, 4), (1, 1), (2, 1), (3, 2), (9, 8)])
def test_without_a_setting_a_group_leaves_a_worker_to_others(
    redis: Redis, config: Config, workers: int, share: int
) -> None:
    store = ThreadStore(redis, replace(config, group_threads=0))
    for number in range(workers):
        redis.sadd(jobs.workers_key(config.queue), f"worker-{number}")
    ids = [store.create(new_thread(redis)) for _ in range(share + 2)]
    waiting = [thread.message for thread in map(store.fetch, ids) if thread.message.startswith("Waiting for other")]
    assert waiting == [f"Waiting for other threads of this group: it may run {share} at once"] * 2
