"""Everybody who waits for a thread is told that no worker runs."""

from __future__ import annotations

import pytest
from flask import Flask
from redis import Redis

from psthreads.domain.config import Config
from psthreads.domain.model import Status
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.leaves import Signed
from tests.support.people import People
from tests.support.threads import ended, start
from tests.support.waiting import wait_for
from tests.system.stack import worker

TOLD = "Waiting: no worker runs"


def test_a_waiting_thread_says_that_no_worker_runs_wherever_it_is_shown(
    redis: Redis,
    app: Flask,
    people: People,
    signed: Signed,
    engine: Engine,
    store: ThreadStore,
    config: Config,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("psthreads.threads.crew._PATIENCE_MS", 0)
    monkeypatch.setattr("psthreads.threads.crew._KNOWN_SECONDS", 0)
    thread = start(engine, "count", group=people.acme)
    client = app.test_client(use_cookies=False)
    token = people.bearer("contributor")
    path = f"/groups/acme/threads/{thread.id}/progress"
    first = client.get(path, headers=token)
    assert f"<message>{TOLD}</message>" in first.text
    assert f'"message": "{TOLD}"' in client.get(f"{path}.json", headers=token).text
    assert TOLD in client.get("/groups/acme/threads", headers=token).text
    browser = signed("chief")
    for page in ("", "/threads", f"/threads/{thread.id}"):
        assert "o worker" in browser.get(f"/dashboard{page}").text, page
    unchanged = {**token, "If-None-Match": first.headers["ETag"]}
    assert client.get(path, headers=unchanged).status_code == 304
    redis.lrem("rq:queue:psthreads", 0, thread.id)  # Nobody takes it yet.
    with worker(config):
        wait_for(lambda: engine.workers() == 1)
        again = client.get(path, headers=unchanged)
        assert again.status_code == 200
        assert TOLD not in again.text
        store.recover(thread.id)
        assert ended(store, thread).status is Status.COMPLETED
