"""Long polls of a thread, and its whole log as a download, over real sockets."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from lxml import etree

from psthreads.audit.entries import SETUP
from psthreads.domain.model import Status
from tests.support.checkout import ROOT
from tests.support.threads import ended, start
from tests.system.stack import worker
from tests.system.web.conftest import Site


def test_a_whole_log_can_be_downloaded_as_text_json_lines_and_xml_also_while_the_thread_runs(site: Site) -> None:
    thread = site.running()
    site.log(thread, 1, *(f"line <{number}>" for number in range(4_998)), "two\nlines 99 2026 INFO forged")
    path = f"/groups/acme/threads/{thread.id}/logs/download"
    text = site.get(path)
    assert text.headers["Content-Disposition"] == f'attachment; filename="thread-{thread.id}.log"'
    assert text.headers["Content-Type"] == "text/plain; charset=utf-8"
    lines = text.text.splitlines()
    assert len(lines) == 5_002
    assert lines[4] == "5 2022-05-16T02:14:01.924+00:00 INFO  line <2>"
    assert lines[-1] == "    lines 99 2026 INFO forged", "a message cannot pass for a line of its own"
    rows = [json.loads(row) for row in site.get(f"{path}?format=jsonl").text.splitlines()]
    assert [row["seq"] for row in rows] == list(range(1, 5_002))
    xml = site.get(f"{path}?format=xml")
    root = etree.fromstring(xml.content)
    etree.XMLSchema(etree.parse(ROOT / "schemas" / "thread.xsd")).assertValid(root)
    assert len(root) == int(str(root.get("total"))) == 5_001
    assert site.get(f"{path}?format=pdf").status_code == 400


def test_a_download_breaks_off_when_the_right_is_lost(site: Site) -> None:
    thread = site.running()
    for number in range(1, 41):
        site.log(thread, number, *("x" * 10_000 for _ in range(60)))
    path = f"/groups/acme/threads/{thread.id}/logs/download"
    with requests.get(
        f"http://127.0.0.1:{site.config.port}{path}",
        headers=site.people.bearer("contributor"),
        stream=True,
        timeout=60,
    ) as response:
        pieces = response.iter_content(1_000)
        next(pieces)
        site.people.directory.by(SETUP).remove_membership(site.people.members["contributor"], site.people.acme)
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            list(pieces)


def test_progress_can_be_polled_long_and_costs_no_body_when_nothing_has_changed(site: Site) -> None:
    thread = site.running()
    path = f"/groups/acme/threads/{thread.id}/progress"
    first = site.get(path)
    tag = first.headers["ETag"]
    same = site.get(path, **{"If-None-Match": tag})
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
    assert site.get(path + ".json", **{"If-None-Match": tag}).status_code == 200, "another format is another body"
    started = time.monotonic()
    waited = site.get(path, **{"If-None-Match": tag, "Prefer": "wait=1"})
    assert waited.status_code == 304
    assert waited.headers["Preference-Applied"] == "wait=1"
    assert time.monotonic() - started >= 1
    site.store.beat(thread.id, "t")
    assert site.get(path, **{"If-None-Match": tag}).status_code == 304, "a heartbeat is no change"


def test_a_long_poll_answers_when_something_changes(site: Site) -> None:
    thread = site.running()
    path = f"/groups/acme/threads/{thread.id}/progress"
    tag = site.get(path).headers["ETag"]
    with ThreadPoolExecutor() as pool:
        for number in range(1, 6):
            poll = pool.submit(site.get, path, **{"If-None-Match": tag, "Prefer": "wait=20"})
            site.log(thread, number, message=f"Step {number}")
            answer = poll.result()
            assert (answer.status_code, f"Step {number}" in answer.text) == (200, True)
            assert answer.headers["ETag"] != tag
            tag = answer.headers["ETag"]
        poll = pool.submit(site.get, path, **{"If-None-Match": tag, "Prefer": "wait=20"})
        site.finish(thread)
        assert b'status="completed"' in poll.result().content


def test_a_long_poll_of_who_knows_no_state_waits_for_the_end(site: Site) -> None:
    with worker(site.config):
        thread = start(site.engine, "count", group=site.people.acme, to=5, pause=0.1)
        final = site.get(f"/groups/acme/threads/{thread.id}/progress", Prefer="wait=20")
        assert b'status="completed"' in final.content
        assert ended(site.store, thread).status is Status.COMPLETED


def test_a_long_poll_of_who_loses_the_role_is_refused(site: Site) -> None:
    thread = site.running()
    path = f"/groups/acme/threads/{thread.id}/progress"
    tag = site.get(path).headers["ETag"]
    site.people.directory.by(SETUP).remove_membership(site.people.members["contributor"], site.people.acme)
    assert site.get(path, **{"If-None-Match": tag, "Prefer": "wait=1"}).status_code == 403
