"""The services that need a worker: an answer that waits for a thread's end, and what a process says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from psthreads.domain.config import Config
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.sample_processes import HOSTILE
from tests.support.services import COUNT, Web, thread_id, web, xml
from tests.support.threads import ended
from tests.support.waiting import wait_for
from tests.system.stack import worker

__all__ = ["thread_id", "web"]


@pytest.fixture
def hostile_id(web: Web, store: ThreadStore, config: Config) -> Iterator[str]:
    with worker(config):
        text = "&<>\"']]>\u0001\ud800"
        start = web("POST", "/members/contributor/groups/acme/samples/hostile", data={"text": "&<>\"']]>"})
        thread_id = xml(start).attrib["id"]
        assert web("POST", "/members/contributor/groups/acme/samples/hostile?text=%01").status_code == 400
        assert text.encode("utf-8", "replace")
        yield ended(store, store.fetch(thread_id)).id


def test_hostile_text_comes_out_whole_or_replaced_but_always_valid(
    web: Web, hostile_id: str, store: ThreadStore
) -> None:
    for path in ("progress", "logs?page-size=5000"):
        for suffix in ("", ".json"):
            service, _, query = path.partition("?")
            response = web("GET", f"/groups/acme/threads/{hostile_id}/{service}{suffix}?{query}")
            assert response.status_code == 200
    log = store.log(hostile_id, 1, 5_000)
    messages = [event.message for event in log.events]
    assert HOSTILE[0] in messages
    assert "\ufffd lone \ufffd" in messages
    assert HOSTILE[3] in messages
    cut = next(message for message in messages if message.startswith("xxx"))
    assert cut.endswith("… [cut, 1,000,000 characters in all]")
    assert len(cut) < 17_000
    thread = xml(web("GET", f"/groups/acme/threads/{hostile_id}/progress"))
    assert thread.attrib["name"] == "Hostile \ufffd <name> & &<>\"']]>"
    assert len(thread.findall("hostile")) == 1


def test_prefer_wait_holds_the_answer_until_the_thread_has_ended(web: Web, config: Config) -> None:
    with worker(config):
        response = web("POST", COUNT + "?to=2", headers={"Prefer": "respond-async, wait=30"})
        assert (response.status_code, xml(response).attrib["status"]) == (200, "completed")
        assert response.headers["Preference-Applied"] == "wait=30"
        assert "Retry-After" not in response.headers
        slow = web("POST", COUNT + "?to=50&pause=0.1", headers={"Prefer": "wait=1"})
        assert (slow.status_code, slow.headers["Preference-Applied"]) == (202, "wait=1")
    at_once = web("POST", COUNT, headers={"Prefer": "wait=0"})
    assert at_once.status_code == 202
    assert "Preference-Applied" not in web("POST", COUNT, headers={"Prefer": "wait=soon"}).headers


def test_readyz_says_when_threads_wait_and_no_worker_lives(web: Web, config: Config, engine: Engine) -> None:
    assert web("GET", "/healthz", "anonymous").status_code == 200
    assert web("GET", "/readyz", "anonymous").status_code == 200
    web("POST", COUNT)
    assert web("GET", "/readyz", "anonymous").status_code == 503
    with worker(config):
        wait_for(lambda: web("GET", "/readyz", "anonymous").status_code == 200)
