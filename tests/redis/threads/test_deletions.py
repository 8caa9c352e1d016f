"""What a thread leaves behind once it is deleted, and what the audit says of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from redis import Redis

from psthreads.domain.errors import Conflict, IdempotencyConflict, ThreadNotFound
from psthreads.domain.model import Outcome, Status
from psthreads.threads.engine import Engine
from psthreads.threads.search import ThreadQuery, ThreadSearch
from psthreads.threads.store import ThreadStore
from tests.support.searching import every, made
from tests.support.threads import ACME, BY, JONES, new_thread, start


def test_a_thread_that_has_ended_can_be_deleted_with_all_that_is_its(
    redis: Redis, store: ThreadStore, search: ThreadSearch
) -> None:
    active, ended = made(redis, store), made(redis, store, end=Status.COMPLETED)
    with pytest.raises(Conflict):
        store.delete(active, BY)
    store.delete(ended, BY)
    for gone in (ended, "0" * 32):
        with pytest.raises(ThreadNotFound):
            store.delete(gone, BY)
    assert every(search, ThreadQuery("finished")) == []
    assert not [key for key in redis.scan_iter() if ended.encode() in key]
    listings: Any = redis.scan_iter("ps:threads:*")
    assert not [key for key in listings if redis.zscore(key, ended) is not None]
    assert every(search, ThreadQuery()) == [active]


def test_a_key_of_a_thread_that_was_deleted_never_starts_it_again(
    redis: Redis, store: ThreadStore, engine: Engine
) -> None:
    begun = start(engine, "count", key="monday")
    store.cancel(begun.id, BY)
    assert start(engine, "count", key="monday").id == begun.id
    store.delete(begun.id, BY)
    process = engine.registry.find("count")
    assert process is not None
    for act in (engine.start, engine.replay):
        with pytest.raises(Conflict, match="is gone"):
            act(process, process.read({}), member=JONES, by=BY, group=ACME, key="monday")
    assert store.page("active").total == 0
    first = new_thread(redis)
    store.create(first, "key", "print")
    with pytest.raises(IdempotencyConflict):
        store.create(new_thread(redis), "key", "other")
    store.cancel(first.id, BY)
    assert store.create(new_thread(redis), "key", "print") == first.id
    store.delete(first.id, BY)
    assert store.create(new_thread(redis), "key", "print") == first.id


def test_what_is_done_to_threads_is_written_down_with_it(redis: Redis, store: ThreadStore) -> None:
    thread = made(redis, store, name="Nightly")
    assert store.claim(thread, "t", "w")
    why = replace(BY, reason="It is stuck")
    for force in (False, False, True, True):  # what changes nothing is not written down
        store.cancel(thread, why, force=force)
    store.finish(thread, "t", Outcome(Status.COMPLETED, "done"))
    store.cancel(thread, why)
    store.delete(thread, why)
    entries = [dict(fields) for _, fields in cast("list[Any]", redis.xrange("ps:audit"))]
    assert [entry[b"act"] for entry in entries] == [b"thread.start", b"thread.cancel", b"thread.kill", b"thread.delete"]
    assert entries[-1] == {
        b"act": b"thread.delete",
        b"by": b"jjones",
        b"byid": b"",
        b"address": b"192.0.2.7",
        b"subject": b"Nightly",
        b"id": thread.encode(),
        b"group": b"7",
        b"groupname": b"acme",
        b"reason": b"It is stuck",
        b"detail": b"count",
    }


@pytest.mark.parametrize("name", ["x" * 2_000, "\u754c" * 600, "a" + "\U0001f600" * 400, "\u0416" * 500])
def test_a_long_name_is_cut_between_two_characters_in_the_audit(redis: Redis, store: ThreadStore, name: str) -> None:
    made(redis, store, name=name)
    entries: Any = redis.xrange("ps:audit")
    subject = entries[0][1][b"subject"].decode()
    assert len(subject.encode()) <= 1_003
    assert subject == name or (subject.endswith("\u2026") and name.startswith(subject[:-1]))
    assert len(subject.encode()) > 990


def test_the_values_that_a_thread_was_started_with_are_read_without_trust(redis: Redis, store: ThreadStore) -> None:
    thread = made(redis, store)
    assert store.values(thread) == {}
    for forged in (b"", b"x", b"\x80\x04N."):
        redis.hset(f"rq:job:{thread}", "data", forged)
        assert store.values(thread) == {}
    with pytest.raises(ThreadNotFound):
        store.values("0" * 32)
