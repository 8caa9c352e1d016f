"""Whoever walks through a list of threads by its cursor sees each of them, whatever begins and ends meanwhile."""

from __future__ import annotations

import pytest
from redis import Redis

from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.people import People
from tests.support.services import Web, web, xml
from tests.support.threads import BY, new_thread

__all__ = ["web"]


@pytest.mark.parametrize(("path", "who"), [("/groups/acme/threads", "contributor"), ("/threads", "chief")])
@pytest.mark.parametrize("kind", ["active", "initialised"])
def test_all_threads_are_seen_by_who_cancels_each_page_before_the_next(
    path: str, who: str, kind: str, web: Web, redis: Redis, store: ThreadStore, engine: Engine, people: People
) -> None:
    ids = [store.create(new_thread(redis, group=people.acme)) for _ in range(60)]
    seen: list[str] = []
    query = f"?status={kind}&page-size=10"
    while True:
        page = xml(web("GET", path + query, who))
        seen += [thread.attrib["id"] for thread in page]
        for thread in page:
            engine.cancel(store.fetch(thread.attrib["id"]), by=BY)
        store.create(new_thread(redis, group=people.acme))
        if "next-cursor" not in page.attrib:
            break
        query = f"?status={kind}&page-size=10&cursor={page.attrib['next-cursor']}"
    assert sorted(seen) == sorted(ids)


def test_the_cursor_of_a_numbered_page_leads_on_from_it_also_in_json(
    web: Web, redis: Redis, store: ThreadStore, engine: Engine, people: People
) -> None:
    ids = [store.create(new_thread(redis, group=people.acme)) for _ in range(5)]
    for thread_id in ids:
        engine.cancel(store.fetch(thread_id), by=BY)
    path = "/groups/acme/threads.json?status=finished&page-size=2"
    second = web("GET", f"{path}&page=2").json
    assert second is not None
    last = web("GET", f"{path}&cursor={second['nextCursor']}").json
    assert last is not None
    whole = xml(web("GET", "/groups/acme/threads?status=finished&page-size=5"))
    assert [thread["id"] for thread in last["threads"]] == [whole[-1].attrib["id"]]
    assert "nextCursor" not in last
    assert last["total"] == 5
    assert "next-cursor" not in whole.attrib


def test_a_wrong_cursor_and_one_beside_a_page_are_refused(web: Web) -> None:
    for query in ("cursor=x", f"cursor=1-{'a' * 32}&page=2", "cursor=1-AB", f"cursor={'1' * 61}"):
        answer = web("GET", f"/groups/acme/threads?{query}")
        assert answer.status_code == 400, query
        assert "cursor" in answer.text
