"""Cancelling and deleting many threads at once: after a question, a line for each, and light whatever their names."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import html
from redis import Redis

from psthreads.domain.errors import ThreadNotFound
from psthreads.domain.model import Status
from psthreads.threads.store import ThreadStore
from tests.support.leaves import Signed, ended, post, texts
from tests.support.people import People
from tests.support.threads import new_thread


def test_many_are_cancelled_after_a_question_and_each_has_its_line(
    signed: Signed, people: People, redis: Redis, store: ThreadStore
) -> None:
    client = signed("chief")
    waiting = [store.create(new_thread(redis, group=people.acme, name=f"W{at}")) for at in range(3)]
    running = store.create(new_thread(redis, group=None, name="Runs"))
    assert store.claim(running, "t", "w")
    finished = ended(store, store.create(new_thread(redis, group=None, name="Over")))
    gone = "f" * 32
    question = post(
        client, "/dashboard/threads/act", "/dashboard/threads", act="cancel", thread=[*waiting, running, finished, gone]
    )
    assert texts(question.text, "//h1") == ["Cancel 5 threads?"]
    assert "1 selected thread does not exist here any more" in question.text
    assert not any(store.fetch(each).status.is_final for each in waiting)
    (carried,) = html.fromstring(question.text).xpath("//input[@name='threads']/@value")
    done = post(
        client, "/dashboard/threads/act", "/dashboard/threads",
        act="cancel", confirmed="true", threads=str(carried), reason="Wrong folder",
    )  # fmt: skip
    assert texts(done.text, "//section/h2") == [
        "1 thread: already finished: Completed",
        "3 threads: cancelled",
        "1 thread: being cancelled; the code is told to stop",
    ]
    assert len(texts(done.text, "//ol[@class='results']/li")) == 5
    assert all(store.fetch(each).status is Status.CANCELLED for each in waiting)
    assert store.fetch(running).cancelling
    kept: Any = redis.xrevrange("ps:audit", count=1)
    assert kept[0][1][b"reason"] == b"Wrong folder"
    assert kept[0][1][b"by"] == b"chief"


def test_all_that_match_are_meant_up_to_the_cap_and_more_are_told(
    signed: Signed, people: People, redis: Redis, store: ThreadStore
) -> None:
    client = signed("chief")
    for _ in range(1_001):
        store.create(new_thread(redis, group=people.other, name="Batch"))
    other = store.create(new_thread(redis, group=people.acme, name="Batch"))
    fields = {"act": "cancel", "every": "true", "group": "other", "text": "batch"}
    question = post(client, "/dashboard/threads/act", "/dashboard/threads", **fields)
    assert texts(question.text, "//h1") == ["Cancel 1,000 threads?"]
    assert "More threads match." in question.text
    assert len(question.data) < 60_000
    (carried,) = html.fromstring(question.text).xpath("//input[@name='threads']/@value")
    done = post(
        client, "/dashboard/threads/act", "/dashboard/threads", act="cancel", confirmed="true", threads=str(carried)
    )
    assert len(done.data) < 60_000
    assert store.count(Status.CANCELLED) == 1_000
    assert store.fetch(other).status is Status.INITIALISED
    assert len(texts(done.text, "//ol[@class='results']/li")) == 1_000


def test_deleting_is_for_managers_and_only_of_what_has_ended(
    signed: Signed, people: People, redis: Redis, store: ThreadStore
) -> None:
    active = store.create(new_thread(redis, group=people.acme))
    over = ended(store, store.create(new_thread(redis, group=people.acme)))
    foreign = ended(store, store.create(new_thread(redis, group=people.other)))
    page = "/dashboard/groups/acme/threads"
    fields = {"act": "delete", "confirmed": "true", "threads": f"{active} {over} {foreign}"}
    refused = post(signed("contributor"), f"{page}/act", page, **fields)
    assert refused.status_code == 403
    assert store.fetch(over).status.is_final
    assert "Delete" not in signed("contributor").get(f"{page}/{over}").text
    manager = signed("manager")
    assert "Delete" in manager.get(f"{page}/{over}").text
    done = post(manager, f"{page}/act", page, **fields)
    assert texts(done.text, "//section/h2") == ["1 thread: not finished; cancel it first", "1 thread: deleted"]
    with pytest.raises(ThreadNotFound):
        store.fetch(over)
    assert store.fetch(active)
    assert store.fetch(foreign), "a thread of another group was deleted"
