"""Claims about bodies: what changes their meaning is never ignored, and a stranger's are small."""

from __future__ import annotations

import gzip
import time

import pytest
from flask import Flask
from redis import Redis

from psthreads.domain.config import Config
from psthreads.threads.store import ThreadStore
from tests.support.people import People

START = "/members/contributor/groups/acme/validate"
FORM = "application/x-www-form-urlencoded"
BODY = b"path=/documents"
PARTS = (
    b"--x\r\nContent-Disposition: form-data; name=path\r\n%b\r\n/documents\r\n--x--\r\n",
    "multipart/form-data; boundary=x",
)


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (415, gzip.compress(BODY, mtime=0), {"Content-Type": FORM, "Content-Encoding": "gzip"}),
        (415, BODY, {"Content-Type": FORM, "Content-Encoding": "identity, br"}),
        (501, BODY, {"Content-Type": FORM, "Transfer-Encoding": "gzip, chunked"}),
        (400, BODY, {"Content-Type": FORM, "Content-Range": "bytes 0-9/100"}),
        (415, BODY, {"Content-Type": f"{FORM}; charset=utf-16"}),
        (415, BODY + b"&_charset_=iso-8859-1", {"Content-Type": FORM}),
        (415, BODY, {}),
        (415, b"<path/>", {"Content-Type": "application/xml"}),
        (415, b"{}", {"Content-Type": "application/json"}),
        (415, PARTS[0] % b"", {"Content-Type": f"{PARTS[1]}; charset=utf-7"}),
        (415, PARTS[0] % b"Content-Type: text/plain; charset=utf-16\r\n", {"Content-Type": PARTS[1]}),
        (415, PARTS[0] % b"Content-Transfer-Encoding: base64\r\n", {"Content-Type": PARTS[1]}),
        (400, PARTS[0] % b"", {"Content-Type": "multipart/form-data"}),
        (400, b"no parts", {"Content-Type": PARTS[1]}),
        (412, BODY, {"Content-Type": FORM, "If-Match": '"a"'}),
        (412, BODY, {"Content-Type": FORM, "If-None-Match": "*"}),
        (412, BODY, {"Content-Type": FORM, "If-Unmodified-Since": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        (400, BODY, {"Content-Type": FORM, "X-HTTP-Method-Override": "GET"}),
        (413, b"&".join(b"a%d=1" % number for number in range(1_001)), {"Content-Type": FORM}),
        (202, BODY, {"Content-Type": f"{FORM}; charset=UTF-8", "Content-Encoding": "identity"}),
        (202, PARTS[0] % b"Content-Type: text/plain; charset=UTF-8\r\n", {"Content-Type": PARTS[1]}),
    ],
)
def test_what_changes_the_meaning_of_a_body_is_honoured_or_refused(
    app: Flask, people: People, store: ThreadStore, status: int, body: bytes, headers: dict[str, str]
) -> None:
    people.acme_folder.write("documents/a.xml", b"<a/>")
    answer = app.test_client().post(START, data=body, headers={**people.bearer("contributor"), **headers})
    assert answer.status_code == status, answer.text
    page = store.page("active", people.acme.id, 1, 10)
    assert [thread.name for thread in page.threads] == (
        ["Validating /documents of group acme"] if status == 202 else []
    )


@pytest.mark.parametrize("header", ["Content-Encoding", "Content-Range", "If-None-Match"])
def test_an_upload_with_such_a_header_stores_nothing(app: Flask, people: People, config: Config, header: str) -> None:
    value = {"Content-Encoding": "gzip", "Content-Range": "bytes 0-9/100", "If-None-Match": "*"}[header]
    path = "/ps/servlet/upload?group=acme&filename=a.xml"
    answer = app.test_client().put(path, data=gzip.compress(b"<a/>"), headers={**people.bearer("chief"), header: value})
    assert answer.status_code in {400, 412, 415}
    assert not [path for path in (config.documents / "loading").rglob("*") if path.is_file()]


def test_a_body_where_none_belongs_is_refused(app: Flask, people: People) -> None:
    headers = {**people.bearer("contributor"), "Content-Type": FORM}
    path = "/members/contributor/groups/acme/export"
    assert app.test_client().get(path, data=BODY, headers=headers).status_code == 400


def test_a_stranger_sends_little_and_a_member_more(app: Flask, people: People, redis: Redis) -> None:
    large = {"username": "x", "password": "y" * 16_384}
    for path in ("/sign-in", "/ps/oauth/token"):
        assert app.test_client().post(path, data=large).status_code == 413
    start = {"path": "/documents", "text": "y" * 16_384}
    people.acme_folder.write("documents/a.xml", b"<a/>")
    assert app.test_client().post(START, data=start, headers=people.bearer("contributor")).status_code in {202, 400}


def test_no_page_costs_a_stranger_much(app: Flask, people: People) -> None:
    client = app.test_client()
    paths = [
        "/api",
        "/openapi.json",
        "/sign-in",
        "/healthz",
        "/readyz",
        "/schemas/thread.xsd",
        "/",
        "/threads",
        "/nothing",
    ]
    for path in paths:
        client.get(path)  # What is made once is made now.
        costs = []
        for _ in range(5):
            began = time.process_time()
            client.get(path)
            costs.append(time.process_time() - began)
        assert min(costs) < 0.005, path
