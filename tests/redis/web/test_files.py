"""Claims about downloads of what threads made: who gets them, whole or in part, with real requests."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
import requests
from flask import Flask
from redis import Redis

from psthreads.domain.config import Config
from psthreads.threads.store import ThreadStore
from psthreads.web.app import create_app
from tests.support.backends import in_both
from tests.support.downloads import CONTENT, Made, made
from tests.support.threads import new_thread

__all__ = ["made"]


@in_both("backend")
def test_every_route_gives_the_same_file_below_every_prefix(made: Made, app: Flask) -> None:
    client = app.test_client(use_cookies=False)
    paths = [f"/ps/member-resource/acme/{made.name}", f"/ps/member-resource/{made.people.acme.id}/{made.name}"]
    for prefix in ("", "/ps/service", "/ps/api"):
        paths.append(f"{prefix}/groups/acme/threads/{made.thread}/results/{made.name}")
        paths.append(f"{prefix}/threads/{made.thread}/results/{made.name}")
    for path in paths:
        answer = client.get(path, headers=made.people.bearer("chief"), buffered=True)
        assert (answer.status_code, answer.data) == (200, CONTENT), path
        part = client.get(path, headers={**made.people.bearer("chief"), "Range": "bytes=0-4"}, buffered=True)
        assert (part.status_code, part.data) == (206, CONTENT[:5]), path


@in_both("backend")
def test_a_result_of_no_group_is_for_administrators(
    made: Made, app: Flask, config: Config, redis: Redis, store: ThreadStore
) -> None:
    thread = store.create(new_thread(redis, group=None))
    with made.documents.results(-1).write(f"all-{thread}.txt") as file:
        file.write(b"all")
    client = app.test_client(use_cookies=False)
    path = f"/threads/{thread}/results/all-{thread}.txt"
    answer = client.get(path, headers=made.people.bearer("chief"), buffered=True)
    assert (answer.data, answer.headers["Content-Type"]) == (b"all", "text/plain; charset=utf-8")
    assert client.get(path, headers=made.people.bearer("manager"), buffered=True).status_code == 403
    own = create_app(replace(config, pageseeder=True)).test_client(use_cookies=False)
    assert own.get(path, headers=made.people.bearer("manager"), buffered=True).status_code == 403


@in_both("backend")
def test_what_is_not_a_threads_own_file_is_absent_and_looks_the_same(
    made: Made, app: Flask, redis: Redis, store: ThreadStore
) -> None:
    client = app.test_client(use_cookies=False)
    other = store.create(new_thread(redis, group=made.people.acme))
    foreign = store.create(new_thread(redis, group=made.people.other))
    for name in (f"result-{foreign}.zip", "result.zip"):  # In acme's folder, whatever their names say.
        with made.documents.results(made.people.acme.id).write(name) as file:
            file.write(b"secret")
    absent = [
        f"/ps/member-resource/acme/result-{foreign}.zip",
        f"/ps/member-resource/acme/result-{'f' * 32}.zip",
        f"/ps/member-resource/acme/result-{other}.zip",
        "/ps/member-resource/acme/result.zip",
        f"/groups/acme/threads/{other}/results/{made.name}",
        f"/groups/acme/threads/{made.thread}/results/result.zip",
        f"/groups/acme/threads/{made.thread}/results/result-{foreign}.zip",
        f"/groups/other/threads/{made.thread}/results/{made.name}",
        f"/threads/{other}/results/{made.name}",
    ]
    for path in absent:
        answer = client.get(path, headers=made.people.bearer("chief"), buffered=True)
        assert answer.status_code == 404, path
        assert b"secret" not in answer.data
        assert b'<error id="0404">' in answer.data


@in_both("backend")
def test_a_file_goes_with_its_thread(made: Made, app: Flask, redis: Redis) -> None:
    client = app.test_client(use_cookies=False)
    paths = [f"/ps/member-resource/acme/{made.name}", f"/groups/acme/threads/{made.thread}/results/{made.name}"]
    for path in paths:
        assert client.get(path, headers=made.people.bearer("contributor"), buffered=True).status_code == 200
    redis.delete(f"rq:job:{made.thread}")
    for path in paths:
        assert client.get(path, headers=made.people.bearer("contributor"), buffered=True).status_code == 404


@in_both("backend")
def test_a_download_leads_to_the_store_where_a_setting_allows_and_rights_are_checked_before(
    made: Made, config: Config, backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = create_app(replace(config, download_links=60)).test_client(use_cookies=False)
    path = f"/groups/acme/threads/{made.thread}/results/{made.name}"

    def ask(by: str = "contributor", **headers: str) -> tuple[int, str]:
        answer = client.get(path, headers={**made.people.bearer(by), **headers}, buffered=True)
        return answer.status_code, answer.headers.get("Location", "")

    for by, status in (("anonymous", 401), ("reviewer", 403), ("outsider", 403)):
        assert ask(by) == (status, "")
    if backend == "folder":
        assert ask() == (200, "")
        return
    status, link = ask(Range="bytes=5-9")
    assert status == 302
    whole = requests.get(link, timeout=10)
    assert (whole.content, whole.headers["Content-Type"]) == (CONTENT, "application/zip")
    assert whole.headers["Content-Disposition"] == f"attachment; filename*=UTF-8''{made.name}"
    part = requests.get(link, headers={"Range": "bytes=5-9"}, timeout=10)
    assert (part.status_code, part.content) == (206, CONTENT[5:10])
    assert "X-Amz-Expires=60" in link
    head = client.head(path, headers=made.people.bearer("contributor"))
    assert (head.status_code, head.content_length) == (200, len(CONTENT))
    tag = head.headers["ETag"]
    assert ask(**{"If-None-Match": tag}) == (304, "")
    assert ask(**{"Range": "bytes=5-9", "If-Range": tag}) == (206, "")
    assert ask(Range="bytes=3000000-") == (416, "")
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("urllib3")]
    assert not [line for line in ours if "X-Amz-Signature" in line]
