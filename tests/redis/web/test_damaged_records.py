"""Records of threads that an older or a newer version wrote, or that were damaged: one never hides the others."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from redis import Redis

from psthreads.domain.config import Config
from psthreads.domain.model import Status, Thread
from psthreads.threads.engine import Engine
from psthreads.threads.feed import Feed
from psthreads.threads.janitor import Janitor
from psthreads.threads.store import ThreadStore
from tests.support.leaves import Signed
from tests.support.people import People
from tests.support.services import Web, web, xml
from tests.support.threads import BY, new_thread

__all__ = ["web"]

Change = Callable[[dict[str, Any]], object]


def without(*names: str) -> Change:
    return lambda meta: {name: value for name, value in meta.items() if name not in names}


def having(**values: Any) -> Change:
    return lambda meta: {**meta, **values}


BROKEN: Mapping[str, Change] = {
    "no JSON": lambda _: "broken",
    "a list": lambda _: [1, 2],
    "nothing": lambda _: {},
    "no name": without("name"),
    "no status": without("status"),
    "no group": without("groupid"),
    "another status": having(status="paused"),
    "a number as name": having(name=5),
    "a text as group": having(groupid="../.."),
    "a list as message": having(message=[1]),
    "a text as count": having(warnings="many"),
    "a count that is none": having(errors=float("nan")),
    "a time out of range": having(created=10**17),
    "a lone surrogate": having(worker=7, name="a\ud800b"),
    "an object as log": having(log_head={}),
    "a status that is a list": having(status=[]),
    "a status that is an object": having(status={"a": 1}),
    "a newer version": having(version=99, status="sleeping", groupid=None),
}


def spoil(redis: Redis, thread_id: str, change: Change) -> None:
    key = f"rq:job:{thread_id}"
    value = change(json.loads(redis.hget(key, "meta") or b""))
    redis.hset(key, "meta", value if isinstance(value, str) else json.dumps(value))


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("running", [False, True], ids=["waiting", "running"])
def test_a_damaged_record_is_shown_as_such_and_fails_nothing(
    how: str,
    running: bool,  # noqa: FBT001 (a test parameter)
    redis: Redis,
    web: Web,
    signed: Signed,
    store: ThreadStore,
    config: Config,
    people: People,
) -> None:
    bad, good = (store.create(new_thread(redis, group=people.acme, name=f"Thread {each}")) for each in "ab")
    if running:
        assert store.claim(bad, "t", "w")
    spoil(redis, bad, BROKEN[how])
    for level, who in (("/groups/acme", "contributor"), ("", "chief")):
        for kind in ("active", "finished", "initialised", "failed"):
            for form in ("", ".json"):
                assert web("GET", f"{level}/threads{form}?status={kind}", who).status_code == 200
        assert good in web("GET", f"{level}/threads", who).text
    shown = xml(web("GET", f"/threads/{bad}/progress", "chief")).findtext("message") or ""
    assert "newer version" in shown if how == "a newer version" else "cannot be read" in shown, shown
    assert web("GET", f"/threads/{bad}/logs", "chief").status_code == 200
    browser = signed("chief")
    for path in ("", "/threads", "/threads?text=thread", "/threads?member=contributor", f"/threads/{bad}"):
        assert browser.get(f"/dashboard{path}").status_code == 200, path
    # Nobody runs it, and the janitor goes on.
    janitor = Janitor(redis, config, store)
    janitor.sweep()
    assert not store.claim(bad, "u", "w")
    assert store.claim(good, "t", "w")
    store.fetch_many([bad, good])
    with Feed(redis, store).follow(bad) as follower:
        assert follower.snapshot(1).thread.id == bad
    assert web("POST", f"/threads/{bad}/cancel", "chief").status_code == 200
    if running:
        # Its own worker finds that it has lost the thread, or that it is cancelled.
        for lease in store.survey().leases:
            if lease.thread_id == bad:
                store.declare_lost(lease, 1e9)
    thread = store.fetch(bad)
    assert thread.status.is_final, thread
    store.delete(bad, BY)
    assert web("GET", f"/threads/{bad}/progress", "chief").status_code == 404
    for kind in ("active", "finished", "initialised", "inprogress", "failed", "cancelled"):
        assert bad not in web("GET", f"/threads?status={kind}", "chief").text
        assert bad not in web("GET", f"/groups/acme/threads?status={kind}").text
    assert redis.zrange("ps:threads:server:active", 0, -1) == [good.encode()]


@pytest.mark.parametrize(
    "lacking", [("rev", "restarts"), ("groupname",), ("xml", "message"), ("version", "log_dropped", "heard")]
)
def test_a_thread_of_an_older_version_that_lacks_a_field_goes_on(
    lacking: tuple[str, ...], redis: Redis, store: ThreadStore, engine: Engine
) -> None:
    thread_id = store.create(new_thread(redis))
    spoil(redis, thread_id, without(*lacking))
    thread: Thread = store.fetch(thread_id)
    assert not thread.is_damaged
    assert store.claim(thread_id, "t", "w")
    assert engine.cancel(thread, by=BY).cancelling
    assert store.abandon(thread_id, "Stopping", "t") == "cancelled"


def test_a_running_thread_that_no_worker_has_any_more_is_cancelled_at_once(
    redis: Redis, store: ThreadStore, engine: Engine
) -> None:
    thread_id = store.create(new_thread(redis))
    assert store.claim(thread_id, "t", "w")
    redis.zrem("ps:leases", thread_id)
    assert engine.cancel(store.fetch(thread_id), by=BY).status is Status.CANCELLED


def test_a_line_of_a_log_that_cannot_be_read_hides_no_other(redis: Redis, store: ThreadStore) -> None:
    thread_id = store.create(new_thread(redis))
    redis.lpush(f"ps:log:{thread_id}", b"\xff\xfe")
    texts = [event.message for event in store.log(thread_id).events]
    assert texts == ["This line cannot be read", "Accepted from jjones"][: len(texts)]


def test_an_entry_of_the_feed_that_cannot_be_read_ends_no_stream(redis: Redis, store: ThreadStore) -> None:
    thread_id = store.create(new_thread(redis))
    with Feed(redis, store).follow(thread_id) as follower:
        follower.snapshot(1)
        for fields in ({"t": b"\xff", "g": "x"}, {"t": thread_id}, {"a": "x"}, {"z": "z"}):
            redis.xadd("ps:feed", fields)  # type: ignore[arg-type] # redis-py's types
        assert follower.wait(5)
        store.claim(thread_id, "t", "w")
        assert follower.wait(5)
