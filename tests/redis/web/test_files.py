"""Claims about downloads of what threads made: who gets them, whole or in part, with real requests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest
import requests
from flask import Flask
from redis import Redis

from psthreads.documents.layout import Documents
from psthreads.domain.config import Config
from psthreads.threads.store import ThreadStore
from psthreads.web.app import create_app
from tests.support.people import People
from tests.support.threads import new_thread
from tests.support.waiting import wait_for
from tests.system.stack import web

CONTENT = os.urandom(3_000_000)


class Made:
    """A thread of group acme, with a file that it made."""

    def __init__(self, people: People, config: Config, redis: Redis, store: ThreadStore) -> None:
        self.people = people
        self.documents = Documents(config.documents)
        self.thread = store.create(new_thread(redis, group=people.acme))
        self.name = f"result-{self.thread}.zip"
        self.write(CONTENT)

    def write(self, content: bytes) -> None:
        with self.documents.results(self.people.acme.id).write(self.name) as file:
            file.write(content)


@pytest.fixture
def made(people: People, config: Config, redis: Redis, store: ThreadStore) -> Made:
    return Made(people, config, redis, store)


@pytest.fixture
def address(made: Made, config: Config) -> Iterator[str]:
    """Where a real web process serves the file."""
    base = f"http://127.0.0.1:{config.port}"

    def is_up() -> bool:
        try:
            return requests.get(f"{base}/healthz", timeout=5).ok
        except requests.ConnectionError:
            return False

    with web(config):
        wait_for(is_up)
        yield f"{base}/ps/member-resource/acme/{made.name}"


def test_a_download_is_whole_or_goes_on_where_it_was_cut_off(made: Made, address: str) -> None:
    with requests.Session() as session:
        session.headers.update(made.people.bearer("contributor"))
        whole = session.get(address, timeout=10)
        assert whole.status_code == 200
        assert whole.content == CONTENT
        assert whole.headers["Accept-Ranges"] == "bytes"
        assert whole.headers["Content-Length"] == str(len(CONTENT))
        assert whole.headers["Content-Disposition"] == f"attachment; filename={made.name}"
        assert whole.headers["Cache-Control"] == "private, no-cache"
        tag, date = whole.headers["ETag"], whole.headers["Last-Modified"]

        for asked, start, end in (
            ("bytes=0-99", 0, 100),
            ("bytes=2000000-", 2_000_000, 3_000_000),
            ("bytes=-10", 2_999_990, 3_000_000),
            ("bytes=1-9999999", 1, 3_000_000),
        ):
            part = session.get(address, headers={"Range": asked}, timeout=10)
            assert part.status_code == 206
            assert part.headers["Content-Range"] == f"bytes {start}-{end - 1}/3000000"
            assert part.headers["Content-Length"] == str(end - start)
            assert part.content == CONTENT[start:end]
        for condition in (tag, date):
            same = session.get(address, headers={"Range": "bytes=5-9", "If-Range": condition}, timeout=10)
            assert (same.status_code, same.content) == (206, CONTENT[5:10])
        other = session.get(address, headers={"Range": "bytes=5-9", "If-Range": '"other"'}, timeout=10)
        assert (other.status_code, other.content) == (200, CONTENT)

        several = session.get(address, headers={"Range": "bytes=0-1,5-9"}, timeout=10)
        assert (several.status_code, several.content) == (200, CONTENT)
        known = session.get(address, headers={"If-None-Match": tag}, timeout=10)
        assert (known.status_code, known.content) == (304, b"")
        head = session.head(address, timeout=10)
        assert (head.headers["Content-Length"], head.headers["ETag"]) == (str(len(CONTENT)), tag)

        beyond = session.get(address, headers={"Range": "bytes=3000000-"}, timeout=10)
        assert beyond.status_code == 416
        assert beyond.headers["Content-Range"] == "bytes */3000000"
        assert b'<error id="0416">' in beyond.content

        made.write(CONTENT[::-1])
        changed = session.get(address, headers={"Range": "bytes=5-9", "If-Range": tag}, timeout=10)
        assert (changed.status_code, changed.content) == (200, CONTENT[::-1])


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


def test_a_result_of_no_group_is_for_administrators(
    made: Made, app: Flask, config: Config, redis: Redis, store: ThreadStore
) -> None:
    thread = store.create(new_thread(redis, group=None))
    with made.documents.results(-1).write(f"all-{thread}.txt") as file:
        file.write(b"all")
    client = app.test_client(use_cookies=False)
    path = f"/threads/{thread}/results/all-{thread}.txt"
    answer = client.get(path, headers=made.people.bearer("chief"), buffered=True)
    assert (answer.data, answer.mimetype) == (b"all", "text/plain")
    assert client.get(path, headers=made.people.bearer("manager"), buffered=True).status_code == 403
    own = create_app(replace(config, own_progress=True)).test_client(use_cookies=False)
    assert own.get(path, headers=made.people.bearer("manager"), buffered=True).status_code == 403


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


def test_a_file_goes_with_its_thread(made: Made, app: Flask, redis: Redis) -> None:
    client = app.test_client(use_cookies=False)
    paths = [f"/ps/member-resource/acme/{made.name}", f"/groups/acme/threads/{made.thread}/results/{made.name}"]
    for path in paths:
        assert client.get(path, headers=made.people.bearer("contributor"), buffered=True).status_code == 200
    redis.delete(f"rq:job:{made.thread}")
    for path in paths:
        assert client.get(path, headers=made.people.bearer("contributor"), buffered=True).status_code == 404
