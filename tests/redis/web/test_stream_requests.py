"""Claims about requests for event streams that are refused, or end at once."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import pytest
from flask import Flask
from redis import Redis

from psthreads.domain.config import Config
from psthreads.threads.store import ThreadStore
from psthreads.web.app import create_app
from tests.support.people import People
from tests.support.threads import new_thread


@pytest.fixture
def crowded(redis: Redis, config: Config) -> Flask:
    return create_app(replace(config, streams_per_member=3))


def test_one_contributor_leaves_streams_for_others(crowded: Flask, people: People) -> None:
    path = "/groups/acme/threads/events"
    with ExitStack() as stack:
        for _ in range(3):
            response = crowded.test_client().get(path, headers=people.bearer("contributor"))
            stack.callback(response.close)
            assert response.status_code == 200
        refused = crowded.test_client().get(path, headers=people.bearer("contributor"))
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "5")
        assert "3 event streams" in refused.text
        other = crowded.test_client().get(path, headers=people.bearer("manager"))
        stack.callback(other.close)
        assert other.status_code == 200
    again = crowded.test_client().get(path, headers=people.bearer("contributor"))
    assert again.status_code == 200
    again.close()


BAD = ["9" * 8_000, "18446744073709551615-18446744073709551615", "-1", "1.5", "\u0661", "x", "1-", "9" * 16]


@pytest.mark.parametrize("last", BAD, ids=range(len(BAD)))
def test_a_last_event_id_that_no_event_can_have_is_refused(
    app: Flask, redis: Redis, store: ThreadStore, people: People, last: str
) -> None:
    thread = store.create(new_thread(redis, group=people.acme))
    headers = people.bearer("contributor")
    for path in (f"/groups/acme/threads/{thread}/events", "/groups/acme/threads/events"):
        by_query = app.test_client().get(path, query_string={"last-event-id": last}, headers=headers)
        assert by_query.status_code == 400
        assert "Last-Event-ID" in by_query.text or "last-event-id" in by_query.text
        if last.isascii():
            by_header = app.test_client().get(path, headers={**headers, "Last-Event-ID": last})
            assert by_header.status_code == 400
            assert "Last-Event-ID" in by_header.text
