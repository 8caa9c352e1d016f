"""Event streams as httpx-sse reads them: it reports an event at every empty line, also one without name and data."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from flask import Flask
from httpx_sse import EventSource, ServerSentEvent, connect_sse
from redis import Redis

from psthreads.domain.model import Level, Line, Outcome, Report, Status
from psthreads.threads.store import ThreadStore
from psthreads.web.api import event_streams
from tests.clients.standard.conftest import SAMPLES, Service
from tests.support.people import People
from tests.support.threads import new_thread


class Pieces(httpx.SyncByteStream):
    """A response's body, as the application sends it piece by piece."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces


def test_httpx_sse_follows_a_thread_from_its_first_event_to_its_end(service: Service) -> None:
    with httpx.Client(base_url=service.url, headers=service.people.bearer("contributor"), timeout=30) as client:
        thread = client.post(f"{SAMPLES}/count.json", data={"to": "3", "pause": "0.2"}).json()["id"]
        path = f"/groups/acme/threads/{thread}/events"
        with connect_sse(client, "GET", path) as source:
            events = list(source.iter_sse())
        assert {event.event for event in events} == {"log", "status", "progress"}
        assert all(event.json() for event in events)
        assert [event.retry for event in events] == [1000] + [None] * (len(events) - 1)
        assert events[-1].json()["status"] == "completed"
        # It resumes by the id of an event that it has seen, and gets the rest.
        with connect_sse(client, "GET", path, headers={"Last-Event-ID": events[-2].id}) as source:
            assert [event.event for event in source.iter_sse()] == ["status"]


@pytest.mark.parametrize("path", ["/groups/acme/threads/{thread}/events", "/groups/acme/threads/events"])
def test_httpx_sse_takes_a_comment_for_no_event(
    app: Flask,
    people: People,
    redis: Redis,
    store: ThreadStore,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
) -> None:
    monkeypatch.setattr(event_streams, "_POLL_SECONDS", 0.02)
    thread = store.create(new_thread(redis, group=people.acme))
    assert store.claim(thread, "t", "w")
    store.report(thread, "t", Report(1, lines=(Line(1_652_667_241_924, Level.INFO, "one"),)))
    comments = 0

    def pieces(source: Iterator[bytes]) -> Iterator[bytes]:
        nonlocal comments
        for piece in source:
            comments += piece.startswith(b":")
            yield piece
            if comments == 3:
                store.finish(thread, "t", Outcome(Status.COMPLETED, "Done"))
                comments += 1

    headers = people.bearer("contributor")
    with app.test_client().get(path.format(thread=thread), headers=headers, buffered=False) as answer:
        content = Pieces(pieces(iter(answer.iter_encoded())))
        source = EventSource(httpx.Response(200, headers=dict(answer.headers), stream=content))
        events: list[ServerSentEvent] = []
        for event in source.iter_sse():
            events.append(event)
            assert event.data, event
            if event.event == "status" and event.json()["status"] == "completed":
                break
    assert comments == 4
