"""Claims about uploading into a loading zone: what arrives is whole, and what is refused leaves nothing."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from flask import Flask
from lxml import etree
from werkzeug.test import TestResponse

from psthreads.audit.entries import SETUP
from psthreads.documents.layout import open_storage
from psthreads.documents.zones import MemberZone
from psthreads.domain.access import Role
from psthreads.domain.config import Config
from psthreads.web.http import uploads
from tests.support.backends import in_both
from tests.support.checkout import ROOT
from tests.support.loading import is_untouched
from tests.support.people import PASSWORD, People

UPLOAD = "/ps/servlet/upload"
XSD = etree.XMLSchema(etree.parse(ROOT / "schemas" / "thread.xsd"))
JSON_SCHEMA = jsonschema.Draft202012Validator(json.loads((ROOT / "schemas" / "thread.schema.json").read_text()))
MOST = 100_000


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, max_upload=MOST)


@pytest.fixture
def zone(people: People, config: Config) -> MemberZone:
    return open_storage(config).loading_zone(people.acme, people.members["contributor"].id)


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


def all_of(zone: MemberZone) -> dict[str, bytes]:
    return {found.path: zone.read(found.path, 1 << 20) for found in zone.walk(lambda *_: None)}


@in_both("backend")
def test_a_file_is_put_into_the_members_own_zone(upload: Uploader, zone: MemberZone) -> None:
    response = upload("PUT", f"{UPLOAD}?group=acme&filename=docs/ä.xml", data=b"<a/>")
    assert response.status_code == 201
    assert '<upload filename="docs/ä.xml" size="4" member=' in response.text
    assert all_of(zone) == {"/docs/ä.xml": b"<a/>"}
    again = upload("PUT", f"{UPLOAD}?group=acme&filename=docs/ä.xml", data=b"", headers={"Accept": "application/json"})
    assert again.status_code == 200
    assert again.json is not None
    assert (again.json["filename"], again.json["size"]) == ("docs/ä.xml", 0)
    assert all_of(zone) == {"/docs/ä.xml": b""}


def test_a_group_can_be_named_by_its_id_and_administrators_use_every_group(
    upload: Uploader, people: People, config: Config
) -> None:
    for by in ("manager", "chief"):
        assert upload("PUT", f"{UPLOAD}?group={people.acme.id}&filename=a.xml", by, data=b"x").status_code == 201
        assert open_storage(config).loading_zone(people.acme, people.members[by].id).count() == 1


@pytest.mark.parametrize("in_query", [True, False])
@in_both("backend")
def test_a_form_puts_all_of_its_files(upload: Uploader, zone: MemberZone, in_query: bool) -> None:  # noqa: FBT001
    files = [file("a.xml"), file("b.xml", b"x" * 70_000)]
    query, fields = ("?group=acme", {}) if in_query else ("", {"group": "acme"})
    response = upload("POST", UPLOAD + query, **form(**fields, file=files))
    assert response.status_code == 201
    sizes = re.findall(r'<upload filename="([^"]+)" size="([0-9]+)"', response.text)
    assert sizes == [("a.xml", "4"), ("b.xml", "70000")]
    assert all_of(zone) == {"/a.xml": b"<a/>", "/b.xml": b"x" * 70_000}
    again = upload(
        "POST",
        f"{UPLOAD}?group=acme",
        **form(filename="b.xml", f=file("c.xml")),
        headers={"Accept": "application/json"},
    )
    assert again.status_code == 200
    assert again.json is not None
    assert [(it["filename"], it["size"]) for it in again.json["uploads"]] == [("b.xml", 4)]


@pytest.mark.parametrize(
    "filename", ["../a", "/etc/passwd", "a/../b", "a\\b", "a%00b", "a%0Ab", ".psthreads-1", "n" * 256]
)
def test_a_filename_that_leads_elsewhere_is_refused(upload: Uploader, config: Config, filename: str) -> None:
    response = upload("PUT", f"{UPLOAD}?group=acme&filename={filename}", data=b"x")
    assert response.status_code == 400
    assert is_untouched(config)


@in_both("backend")
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


@in_both("backend")
def test_a_form_that_is_cut_off_leaves_nothing_of_any_file(upload: Uploader, config: Config) -> None:
    whole = raw(('name="f"; filename="a.xml"', b"<a/>"), ('name="f"; filename="b.xml"', b"<b/>" * 1_000))
    whole["data"] = whole["data"][:-500]
    assert upload("POST", f"{UPLOAD}?group=acme", **whole).status_code == 400
    assert is_untouched(config)


@in_both("backend")
def test_a_folder_is_not_replaced_by_a_file(upload: Uploader, zone: MemberZone) -> None:
    assert upload("PUT", f"{UPLOAD}?group=acme&filename=a/b.xml", data=b"x").status_code == 201
    assert upload("PUT", f"{UPLOAD}?group=acme&filename=a", data=b"x").status_code == 409
    assert upload("PUT", f"{UPLOAD}?group=acme&filename=a/b.xml/c", data=b"x").status_code == 409
    assert all_of(zone) == {"/a/b.xml": b"x"}


@in_both("backend")
def test_the_limit_is_exact_and_a_larger_file_leaves_nothing(upload: Uploader, zone: MemberZone) -> None:
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


def test_a_body_that_says_to_be_a_form_is_still_taken_as_the_file(upload: Uploader, zone: MemberZone) -> None:
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


def test_a_session_uploads_only_with_its_own_token_in_a_header(app: Flask, people: People, zone: MemberZone) -> None:
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


def test_clearing_answers_how_many_files_there_were_below_every_prefix(upload: Uploader, zone: MemberZone) -> None:
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


@in_both("backend")
def test_only_an_administrator_clears_the_zone_of_somebody_else(upload: Uploader, zone: MemberZone) -> None:
    upload("PUT", f"{UPLOAD}?group=acme&filename=a", data=b"x")
    path = "/members/contributor/groups/acme/loadingzone/clear"
    assert upload("POST", path, "manager").status_code == 403
    assert upload("POST", path, "reviewer").status_code == 403
    assert upload("POST", path.replace("contributor", "manager"), "manager").data.endswith(b'filesremoved="0"/>')
    assert zone.count() == 1
    assert upload("POST", path, "chief").data.endswith(b'filesremoved="1"/>')


@pytest.mark.parametrize("method", ["PUT", "POST"])
@in_both("backend")
def test_who_loses_the_role_while_a_file_arrives_leaves_none(
    upload: Uploader, people: People, config: Config, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def lose(_most: int) -> None:
        people.directory.by(SETUP).set_membership(people.members["contributor"], people.acme, Role.REVIEWER)

    monkeypatch.setattr(uploads, "_check_length", lose)  # It comes after the first check of the caller.
    more = {"data": b"x"} if method == "PUT" else form(file=file("a.xml"))
    name = "&filename=a.xml" if method == "PUT" else ""
    assert upload(method, f"{UPLOAD}?group=acme{name}", **more).status_code == 403
    assert is_untouched(config)


def test_a_full_disk_is_told_and_leaves_nothing(
    app: Flask, people: People, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(uploads, "_sync", full)
    response = app.test_client(use_cookies=False).put(
        f"{UPLOAD}?group=acme&filename=a.xml", data=b"x", headers=people.bearer("contributor")
    )
    assert response.status_code == 507
    assert b'<error id="0507">' in response.data
    assert is_untouched(config)
