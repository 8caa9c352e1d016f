"""Pages with a thousand threads of long names."""

from __future__ import annotations

import pytest
from redis import Redis

from psthreads.domain.model import Level, Line, Report, Status
from psthreads.threads.store import ThreadStore
from tests.support.leaves import Signed, post
from tests.support.people import People
from tests.support.threads import new_thread


@pytest.mark.parametrize("name", ["界" * 200, "<&'>" * 100, "\U0001f600" * 200, "word " * 80, "\u202eabc" * 100])
def test_pages_are_light_whatever_threads_are_called(
    signed: Signed, people: People, redis: Redis, store: ThreadStore, name: str
) -> None:
    client = signed("chief")
    ids = [store.create(new_thread(redis, group=people.acme, name=name)) for _ in range(1_000)]
    thread = ids[-1]
    store.claim(thread, "t", "w")
    lines = tuple(Line(1_652_667_241_924, Level.WARN, name * 20) for _ in range(300))
    store.report(thread, "t", Report(1, Status.WARNING, name * 40, lines=lines))
    pages = ["", "/threads", f"/threads/{thread}", f"/threads/{thread}/log", "/audit"]
    for page in pages:
        assert len(client.get(f"/dashboard{page}").data) < 60_000, page
    fields = {"act": "cancel", "confirmed": "true", "threads": " ".join(ids)}
    for _ in range(2):  # the second time all of them have ended already
        assert len(post(client, "/dashboard/threads/act", "/dashboard/threads", **fields).data) < 60_000
    question = post(
        client, "/dashboard/threads/act", "/dashboard/threads", act="delete", status="cancelled", every="true"
    )
    assert len(question.data) < 60_000
