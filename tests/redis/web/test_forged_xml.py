"""Whoever can write to Redis cannot make an answer that is no XML, or that says more than one thread."""

from __future__ import annotations

import json

import pytest
from redis import Redis

from psthreads.threads.store import ThreadStore
from tests.support.services import Web, thread_id, web, xml

__all__ = ["thread_id", "web"]

FORGERIES = [
    "<open>",
    "</thread><thread id='x'>",
    "</xml><xml>",
    "text & more",
    "<a:b/>",
    "<!--x--><?pi x?><progress total='1' current='1'/>",
    "<!DOCTYPE x [<!ENTITY e 'x'>]><progress>&e;</progress>",
    "\x00",
]


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forged_xml_in_a_record_leaves_the_answer_well_formed(
    web: Web, redis: Redis, store: ThreadStore, forgery: str, thread_id: str
) -> None:
    key, field = store.location(thread_id)
    meta = json.loads(redis.hget(key, field) or b"")
    redis.hset(key, field, json.dumps({**meta, "xml": forgery, "rev": 99}))
    for path in (f"/threads/{thread_id}/progress", "/threads"):
        root = xml(web("GET", path, "chief"))
        threads = [root, *root] if root.tag == "thread" else list(root)
        assert [each.get("id") for each in threads if each.tag == "thread"] == [thread_id]
        assert not root.xpath("//comment() | //processing-instruction()")
        assert web("GET", f"{path}.json", "chief").status_code == 200
