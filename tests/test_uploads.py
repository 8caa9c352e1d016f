"""Claims about uploading into a loading zone: what arrives is whole, and what is refused leaves nothing."""

from __future__ import annotations

import io
import json
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest
import requests
from flask import Flask
from lxml import etree
from people import PASSWORD, People
from stack import ROOT, Program, wait_for, web
from werkzeug.test import TestResponse

from psthreads.access import Role
from psthreads.audit import SETUP
from psthreads.config import Config
from psthreads.documents import Documents
from psthreads.loadingzone import LoadingZone
from psthreads.web import arriving, create_app

UPLOAD = "/ps/servlet/upload"
XSD = etree.XMLSchema(etree.parse(ROOT / "schemas" / "thread.xsd"))
JSON_SCHEMA = jsonschema.Draft202012Validator(json.loads((ROOT / "schemas" / "thread.schema.json").read_text()))
MOST = 100_000
LARGEST = 320 * 1024 * 1024  # with a real server


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, max_upload=MOST)


@pytest.fixture
def zone(people: People, config: Config) -> LoadingZone:
    return Documents(config.documents).loading_zone(people.acme, people.members["contributor"].id)


class Uploader:
    def __init__(self, app: Flask, people: People) -> None:
        self._client = app.test_client(use_cookies=False)
        self._people = people

    def __call__(self, method: str, path: str, by: str = "contributor", **more: Any) -> TestResponse:
        headers = {**self._people.bearer(by), **more.pop("headers", {})}
        response = self._client.open(path, method=method, headers=headers, **more)
        if response.mimetype == "application/json":
            JSON_SCHEMA.validate(response.json)
        else:
            XSD.assertValid(etree.fromstring(response.data))
        assert response.status_code < 500
        return response


@pytest.fixture
def upload(app: Flask, people: People) -> Uploader:
    return Uploader(app, people)


def form(**fields: Any) -> dict[str, Any]:
    return {"data": fields, "content_type": "multipart/form-data"}


def file(name: str, content: bytes = b"<a/>") -> tuple[io.BytesIO, str]:
    return io.BytesIO(content), name


def raw(*parts: tuple[str, bytes]) -> dict[str, Any]:
    """A form with its parts in this order, each with the rest of its Content-Disposition."""
    body = b"".join(
        b"--XX\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (head.encode(), content)
        for head, content in parts
    )
    return {"data": body + b"--XX--\r\n", "content_type": "multipart/form-data; boundary=XX"}


def all_of(zone: LoadingZone) -> dict[str, bytes]:
    return {found.path: zone.read(found.path, 1 << 20) for found in zone.walk(lambda *_: None)}


def is_untouched(config: Config) -> bool:
    return not list((config.documents / "loading").rglob("*.*"))


def test_a_file_is_put_into_the_members_own_zone(upload: Uploader, zone: LoadingZone) -> None:
    response = upload("PUT", f"{UPLOAD}?group=acme&filename=docs/ä.xml", data=b"<a/>")
    assert response.status_code == 201
    assert response.data.endswith('<upload filename="docs/ä.xml" size="4"/>\n'.encode().strip())
    assert all_of(zone) == {"/docs/ä.xml": b"<a/>"}
    again = upload("PUT", f"{UPLOAD}?group=acme&filename=docs/ä.xml", data=b"", headers={"Accept": "application/json"})
    assert (again.status_code, again.json) == (200, {"filename": "docs/ä.xml", "size": 0})
    assert all_of(zone) == {"/docs/ä.xml": b""}


def test_a_group_can_be_named_by_its_id_and_administrators_use_every_group(
    upload: Uploader, people: People, config: Config
) -> None:
    for by in ("manager", "chief"):
        assert upload("PUT", f"{UPLOAD}?group={people.acme.id}&filename=a.xml", by, data=b"x").status_code == 201
        assert Documents(config.documents).loading_zone(people.acme, people.members[by].id).count() == 1


@pytest.mark.parametrize("in_query", [True, False])
def test_a_form_puts_all_of_its_files(upload: Uploader, zone: LoadingZone, in_query: bool) -> None:  # noqa: FBT001
    files = [file("a.xml"), file("b.xml", b"x" * 70_000)]
    query, fields = ("?group=acme", {}) if in_query else ("", {"group": "acme"})
    response = upload("POST", UPLOAD + query, **form(**fields, file=files))
    assert response.status_code == 201
    assert b'<uploads><upload filename="a.xml" size="4"/><upload filename="b.xml" size="70000"/>' in response.data
    assert all_of(zone) == {"/a.xml": b"<a/>", "/b.xml": b"x" * 70_000}
    again = upload(
        "POST",
        f"{UPLOAD}?group=acme",
        **form(filename="b.xml", f=file("c.xml")),
        headers={"Accept": "application/json"},
    )
    assert (again.status_code, again.json) == (200, {"uploads": [{"filename": "b.xml", "size": 4}]})


@pytest.mark.parametrize(
    "filename", ["../a", "/etc/passwd", "a/../b", "a\\b", "a%00b", "a%0Ab", ".psthreads-1", "n" * 256]
)
def test_a_filename_that_leads_elsewhere_is_refused(upload: Uploader, config: Config, filename: str) -> None:
    response = upload("PUT", f"{UPLOAD}?group=acme&filename={filename}", data=b"x")
    assert response.status_code == 400
    assert is_untouched(config)


def test_what_is_missing_or_wrong_is_named(upload: Uploader, config: Config) -> None:
    late = raw(('name="f"; filename="a"', b"x"), ('name="group"', b"acme"))
    for status, code, sentence, method, query, more in (
        (400, "0201", "'group'", "PUT", "?filename=a.xml", {"data": b"x"}),
        (400, "0201", "'group'", "PUT", "?group=&filename=a.xml", {"data": b"x"}),
        (400, "0201", "'filename'", "PUT", "?group=acme", {"data": b"x"}),
        (400, "0201", "'group'", "POST", "", form(file=file("a.xml"))),
        (400, "0201", "before its first file", "POST", "", late),
        (400, "0201", "'filename'", "POST", "?group=acme", raw(('name="f"; filename=""', b""))),
        (400, "0201", "'file'", "POST", "?group=acme", form(filename="a.xml")),
        (400, "0400", "more than once", "POST", "?group=acme", form(group="other", file=file("a.xml"))),
        (400, "0400", "same name", "POST", "?group=acme", form(file=[file("a.xml"), file("a.xml")])),
        (400, "0400", "Only one file", "POST", "?group=acme", form(filename="c", file=[file("a"), file("b")])),
        (400, "0400", "longer than 8,192", "POST", "?group=acme", form(x="x" * 9_000, file=file("a.xml"))),
        (400, "0400", "cannot be read", "POST", "?group=acme", {"data": b"x", "content_type": "multipart/form-data"}),
        (400, "0400", "cannot be read", "POST", "?group=acme", form(**{f"x{n}": "x" for n in range(200)})),
        (400, "0400", "more than 50 files", "POST", "?group=acme", form(file=[file(str(n)) for n in range(51)])),
        (415, "0415", "multipart/form-data", "POST", "?group=acme&filename=a.xml", {"data": b"x"}),
        (415, "0415", "multipart/form-data", "POST", "?group=acme", {"data": {"filename": "a.xml"}}),
    ):
        response = upload(method, UPLOAD + query, **more)
        error = etree.fromstring(response.data)
        assert (response.status_code, error.get("id")) == (status, code), (query, response.data)
        assert sentence in (error.findtext("message") or ""), (query, response.data)
    assert is_untouched(config)


def test_a_form_that_is_cut_off_leaves_nothing_of_any_file(upload: Uploader, config: Config) -> None:
    whole = raw(('name="f"; filename="a.xml"', b"<a/>"), ('name="f"; filename="b.xml"', b"<b/>" * 1_000))
    whole["data"] = whole["data"][:-500]
    assert upload("POST", f"{UPLOAD}?group=acme", **whole).status_code == 400
    assert is_untouched(config)


def test_a_folder_is_not_replaced_by_a_file(upload: Uploader, zone: LoadingZone) -> None:
    assert upload("PUT", f"{UPLOAD}?group=acme&filename=a/b.xml", data=b"x").status_code == 201
    assert upload("PUT", f"{UPLOAD}?group=acme&filename=a", data=b"x").status_code == 409
    assert upload("PUT", f"{UPLOAD}?group=acme&filename=a/b.xml/c", data=b"x").status_code == 409
    assert all_of(zone) == {"/a/b.xml": b"x"}


def test_the_limit_is_exact_and_a_larger_file_leaves_nothing(upload: Uploader, zone: LoadingZone) -> None:
    put = f"{UPLOAD}?group=acme&filename="
    assert upload("PUT", f"{put}fits", data=b"x" * MOST).status_code == 201
    assert upload("POST", f"{UPLOAD}?group=acme", **form(f=file("too", b"x" * MOST))).status_code == 201
    for response in (
        upload("PUT", f"{put}large", data=b"x" * (MOST + 1)),
        upload("POST", f"{UPLOAD}?group=acme", **form(f=file("large", b"x" * (MOST + 1)))),
        upload("POST", f"{UPLOAD}?group=acme", **form(f=[file("a", b"x" * 60_000), file("b", b"x" * 60_000)])),
    ):
        assert response.status_code == 413
        assert b"More than 100,000 bytes cannot be uploaded at once" in response.data
        assert b'<error id="0413">' in response.data
    assert all_of(zone) == {"/fits": b"x" * MOST, "/too": b"x" * MOST}


def test_every_other_service_keeps_its_own_limit(upload: Uploader, config: Config) -> None:
    path, form_type = "/members/contributor/groups/acme/validate", "application/x-www-form-urlencoded"
    large = upload("POST", path, data=b"x" * (config.max_body + 1), content_type=form_type)
    assert large.status_code == 413


def test_a_body_that_says_to_be_a_form_is_still_taken_as_the_file(upload: Uploader, zone: LoadingZone) -> None:
    for number, kind in enumerate(("application/x-www-form-urlencoded", "multipart/form-data; boundary=XX")):
        path = f"{UPLOAD}?group=acme&filename={number}"
        assert upload("PUT", path, data=b"group=other", content_type=kind).status_code == 201
    assert all_of(zone) == {"/0": b"group=other", "/1": b"group=other"}


def test_the_group_of_a_form_is_guarded_as_that_of_a_path(upload: Uploader, people: People, config: Config) -> None:
    for by, group, status in (
        ("anonymous", "acme", 401),
        ("reviewer", "acme", 403),
        ("loner", "acme", 403),
        ("outsider", "acme", 403),
        ("contributor", "other", 403),
        ("chief", "nope", 404),
    ):
        for query, fields in ((f"?group={group}", {}), ("", {"group": group})):
            assert upload("POST", UPLOAD + query, by, **form(**fields, f=file("a.xml"))).status_code == status, by
        assert upload("PUT", f"{UPLOAD}?group={group}&filename=a.xml", by, data=b"x").status_code == status, by
    assert is_untouched(config)


def test_a_session_uploads_only_with_its_own_token_in_a_header(app: Flask, people: People, zone: LoadingZone) -> None:
    client = app.test_client()
    token = _token(client.get("/sign-in").text)
    signed = client.post("/sign-in", data={"username": "contributor", "password": PASSWORD, "csrf_token": token})
    assert signed.status_code in {302, 303}
    token = _token(client.get("/sign-in").text)
    path = f"{UPLOAD}?group=acme&filename=a.xml"
    assert client.put(path, data=b"x").status_code == 403
    assert client.post(f"{UPLOAD}?group=acme", data={"csrf_token": token, "f": file("a.xml")}).status_code == 403
    assert client.put(path, data=b"x", headers={"X-CSRFToken": token}).status_code == 201
    assert all_of(zone) == {"/a.xml": b"x"}


def _token(page: str) -> str:
    return page.partition('name="csrf_token" value="')[2].partition('"')[0]


def test_clearing_answers_how_many_files_there_were_below_every_prefix(upload: Uploader, zone: LoadingZone) -> None:
    for prefix in ("", "/ps/service", "/ps/api"):
        for suffix in ("", ".xml", ".json"):
            for name in ("a", "b", "c/d"):
                upload("PUT", f"{UPLOAD}?group=acme&filename={name}", data=b"x")
            path = f"{prefix}/members/~contributor/groups/acme/loadingzone/clear{suffix}"
            response = upload("POST", path)
            assert response.status_code == 200
            if suffix == ".json":
                assert response.json == {"filesremoved": 3}
            else:
                assert response.data.endswith(b'<load-clear filesremoved="3"/>')
            assert zone.count() == 0


def test_only_an_administrator_clears_the_zone_of_somebody_else(upload: Uploader, zone: LoadingZone) -> None:
    upload("PUT", f"{UPLOAD}?group=acme&filename=a", data=b"x")
    path = "/members/contributor/groups/acme/loadingzone/clear"
    assert upload("POST", path, "manager").status_code == 403
    assert upload("POST", path, "reviewer").status_code == 403
    assert upload("POST", path.replace("contributor", "manager"), "manager").data.endswith(b'filesremoved="0"/>')
    assert zone.count() == 1
    assert upload("POST", path, "chief").data.endswith(b'filesremoved="1"/>')


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_who_loses_the_role_while_a_file_arrives_leaves_none(
    upload: Uploader, people: People, config: Config, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def lose(_most: int) -> None:
        people.directory.by(SETUP).set_membership(people.members["contributor"], people.acme, Role.REVIEWER)

    monkeypatch.setattr(arriving, "_refuse_at_once", lose)  # It comes after the first look at who asks.
    more = {"data": b"x"} if method == "PUT" else form(file=file("a.xml"))
    name = "&filename=a.xml" if method == "PUT" else ""
    assert upload(method, f"{UPLOAD}?group=acme{name}", **more).status_code == 403
    assert is_untouched(config)


def test_a_full_disk_is_told_and_leaves_nothing(
    app: Flask, people: People, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(arriving, "_sync", full)
    response = app.test_client(use_cookies=False).put(
        f"{UPLOAD}?group=acme&filename=a.xml", data=b"x", headers=people.bearer("contributor")
    )
    assert response.status_code == 507
    assert b'<error id="0507">' in response.data
    assert is_untouched(config)


# With a real server and real sockets.


class Served:
    def __init__(self, program: Program, config: Config, people: People) -> None:
        self.config = config
        self.url = f"http://127.0.0.1:{config.port}{UPLOAD}?group=acme&filename="
        self.headers = people.bearer("contributor")
        self._program = program

    def begin(self, name: str, headers: str, by: str = "") -> socket.socket:
        """Send the head of a PUT, and leave the body to the test."""
        connection = socket.create_connection(("127.0.0.1", self.config.port), timeout=20)
        lines = (
            f"PUT {UPLOAD}?group=acme&filename={name} HTTP/1.1",
            "Host: x",
            f"Authorization: {by or self.headers['Authorization']}",
            headers,
        )
        connection.sendall("\r\n".join((*lines, "", "")).encode())
        return connection

    def memory(self) -> int:
        """The resident memory of the web processes in bytes."""
        return max(psutil.Process(child.pid).memory_info().rss for child in self._program.children())

    def half_written(self) -> list[Path]:
        return list((self.config.documents / "loading").rglob(".psthreads-*"))


@pytest.fixture
def served(config: Config, people: People) -> Iterator[Served]:
    config = replace(config, max_upload=LARGEST)

    def is_up() -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{config.port}/healthz", timeout=5).ok
        except requests.RequestException:
            return False

    with web(config) as program:
        wait_for(is_up)
        yield Served(program, config, people)


def read_all(connection: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    answer = b""
    while data := connection.recv(65_536):
        answer += data
    return answer


@pytest.mark.parametrize("headers", ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
def test_an_upload_that_breaks_off_in_the_middle_leaves_nothing(served: Served, headers: str) -> None:
    with served.begin("folder/a.bin", headers) as connection:
        piece = b"x" * 300_000
        connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if "chunked" in headers else piece)
        wait_for(lambda: [path for path in served.half_written() if path.stat().st_size])
    wait_for(lambda: not list((served.config.documents / "loading").rglob("folder*")))
    assert not served.half_written()
    again = requests.put(served.url + "folder/a.bin", data=b"x", headers=served.headers, timeout=20)
    assert again.status_code == 201


@pytest.mark.parametrize(("length", "status"), [(LARGEST + 1, b"413"), (LARGEST, b"401")])
def test_a_large_upload_that_is_refused_is_not_read_and_the_connection_is_closed(
    served: Served, length: int, status: bytes
) -> None:
    with served.begin("a.bin", f"Content-Length: {length}", by="" if status == b"413" else "Bearer nope") as connection:
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"<error id=" in answer
    assert requests.get(served.url.partition("/ps/")[0] + "/healthz", timeout=20).ok


def test_a_chunked_upload_above_the_limit_is_refused_while_it_arrives(served: Served) -> None:
    served.config.documents.mkdir(parents=True, exist_ok=True)

    def endless() -> Iterator[bytes]:
        for _ in range(400):
            yield bytes(1 << 20)

    try:
        response = requests.put(served.url + "a.bin", data=endless(), headers=served.headers, timeout=60)
    except requests.ConnectionError:
        pass  # The client was still sending when the server had heard enough.
    else:
        assert response.status_code == 413
    wait_for(lambda: not served.half_written())
    assert is_untouched(served.config)


def test_a_large_upload_neither_fills_the_memory_nor_stops_other_requests(served: Served) -> None:
    size = 300 * 1024 * 1024
    health = served.url.partition("/ps/")[0] + "/healthz"
    requests.put(served.url + "warm.bin", data=bytes(1 << 20), headers=served.headers, timeout=20)
    base = peak = served.memory()
    slowest = 0.0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak, slowest
        while not done.is_set():
            peak = max(peak, served.memory())
            slowest = max(slowest, requests.get(health, timeout=60).elapsed.total_seconds())

    watching = threading.Thread(target=watch)
    watching.start()
    body = (bytes(1 << 20) for _ in range(300))
    try:
        response = requests.put(
            served.url + "large.bin", data=body, headers={**served.headers, "Accept": "application/json"}, timeout=60
        )
        streamed = requests.post(
            served.url.partition("&")[0],
            data=(part for part in (FORM, *(bytes(1 << 20) for _ in range(50)), b"\r\n--XX--\r\n")),
            headers={**served.headers, "Content-Type": "multipart/form-data; boundary=XX"},
            timeout=60,
        )
    finally:
        done.set()
        watching.join()
    assert response.json() == {"filename": "large.bin", "size": size}
    assert streamed.status_code == 201
    assert peak - base < 30_000_000
    assert slowest < 3


FORM = b'--XX\r\nContent-Disposition: form-data; name="f"; filename="form.bin"\r\n\r\n'


def test_create_app_makes_the_limit_of_one_request_only(config: Config) -> None:
    assert create_app(config).config["MAX_CONTENT_LENGTH"] == config.max_body


def test_packing_an_export_for_an_answer_at_once_does_not_stop_other_requests(served: Served) -> None:
    below = served.config.documents / "groups" / "1" / "documents"
    below.mkdir(parents=True)
    for number in range(20):
        (below / f"{number}.txt").write_bytes(os.urandom(1_500_000).hex().encode())
    base = served.url.partition("/ps/")[0]
    slowest, done = 0.0, threading.Event()

    def watch() -> None:
        nonlocal slowest
        while not done.is_set():
            slowest = max(slowest, requests.get(f"{base}/healthz", timeout=60).elapsed.total_seconds())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        answer = requests.get(f"{base}/members/contributor/groups/acme/export", headers=served.headers, timeout=60)
    finally:
        done.set()
        watching.join()
    assert answer.headers["Content-Type"] == "application/zip"
    assert slowest < answer.elapsed.total_seconds() / 2
