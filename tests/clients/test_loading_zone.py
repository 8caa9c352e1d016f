"""Uploads and loading zones as PageSeeder's clients use them."""

from __future__ import annotations

import io
from typing import Any

import pytest
from flask import Flask

from psthreads.documents.layout import Documents
from psthreads.domain.config import Config
from psthreads.domain.errors import BadParameter, NotFound
from psthreads.processes.load import load
from psthreads.processes.unzip import unzip
from psthreads.processes.upload_request import parse
from psthreads.testing import run
from tests.clients.answers import Caller, bearer, xml
from tests.support.archives import pack
from tests.support.people import People

SERVLET = "/ps/servlet/upload"
BASE = "/ps/service/members/contributor/groups/acme/loadingzone"


def put(caller: Caller, name: str, path: str = SERVLET, **query: str) -> Any:
    return caller.put(path, b"<a/>", query_string={"group": "acme", "filename": name, **query})


def paths_in(caller: Caller, **query: str) -> list[str]:
    return [file.get("path", "") for file in xml(caller.get(BASE, query_string=query))]


def test_the_answer_of_an_upload_has_what_pageseeder_rs_requires(contributor: Caller, people: People) -> None:
    """pageseeder-rs, model.rs, Upload (508): member, number of notifications; File (498): name, path, type."""
    root = xml(put(contributor, "docs/a.xml"))
    assert (root.get("filename"), root.get("size")) == ("docs/a.xml", "4")
    assert root.get("member") == str(people.members["contributor"].id)
    assert 0 <= int(root.get("max-workflow-notifications", "")) < 256
    (file,) = root.findall("file")
    assert dict(file.attrib) == {"name": "a.xml", "path": "docs/a.xml", "type": "file"}


@pytest.mark.parametrize("prefix", ["", "/ps/service", "/ps/api"])
def test_the_service_uploads_like_the_servlet(contributor: Caller, prefix: str) -> None:
    """SDK, services.txt: PUT /upload and POST /upload."""
    path = f"{prefix}/upload"
    assert put(contributor, "a.xml", path).status_code == 201
    assert put(contributor, "a.xml", path).status_code == 200
    form = {"group": "~acme", "file": (io.BytesIO(b"<b/>"), "b.xml")}
    posted = contributor.post(f"{path}.json", data=form).json
    assert posted is not None
    assert [(it["filename"], it["file"]["path"]) for it in posted["uploads"]] == [("b.xml", "b.xml")]
    assert paths_in(contributor) == ["a.xml", "b.xml"]


def test_an_upload_id_keeps_an_upload_apart(contributor: Caller, config: Config, people: People) -> None:
    """PageSeeder, /upload and clear: a member has one loading zone for each uploadid, and one without."""
    put(contributor, "general.xml")
    for name in ("one", "two"):
        answer = xml(put(contributor, f"{name}.xml", uploadid=name))
        assert answer.get("uploadid") == name
    form = {"group": "acme", "uploadid": "two", "file": (io.BytesIO(b"<b/>"), "more.xml")}
    assert contributor.post(SERVLET, data=form).status_code == 201
    assert paths_in(contributor) == ["general.xml"]
    assert paths_in(contributor, uploadid="two") == ["more.xml", "two.xml"]
    assert xml(contributor.post(f"{BASE}/clear?uploadid=two")).get("filesremoved") == "2"
    assert xml(contributor.post(f"{BASE}/clear?uploadid=absent")).get("filesremoved") == "0"
    assert paths_in(contributor, uploadid="one") == ["one.xml"]
    assert xml(contributor.post(f"{BASE}/clear")).get("filesremoved") == "1"
    assert paths_in(contributor, uploadid="one") == ["one.xml"]
    folders = config.documents / "loading" / str(people.acme.id)
    assert sorted(path.name.partition("~")[2] for path in folders.iterdir()) == ["", "one"]


@pytest.mark.parametrize("upload_id", ["../x", "a/b", "x" * 65, "a b", "ä", "~"])
def test_an_upload_id_leads_nowhere_else(contributor: Caller, upload_id: str) -> None:
    for answer in (
        put(contributor, "a.xml", uploadid=upload_id),
        contributor.post(f"{BASE}/clear", query_string={"uploadid": upload_id}),
        contributor.get(BASE, query_string={"uploadid": upload_id}),
        contributor.post(f"{BASE}/start", query_string={"uploadid": upload_id}),
        contributor.post(f"{BASE}/unzip", query_string={"uploadid": upload_id, "path": "a.zip"}),
    ):
        assert (answer.status_code, b"uploadid" in answer.data) == (400, True)


def test_what_chooses_the_zone_comes_before_the_files(contributor: Caller) -> None:
    head = 'Content-Disposition: form-data; name="{}"{}'
    parts = (("group", "", "acme"), ("file", '; filename="b.xml"', "<b/>"), ("uploadid", "", "late"))
    body = "".join(f"--x\r\n{head.format(name, more)}\r\n\r\n{text}\r\n" for name, more, text in parts) + "--x--\r\n"
    answer = contributor.post(SERVLET, data=body, content_type="multipart/form-data; boundary=x")
    assert (answer.status_code, b"before its first file" in answer.data) == (400, True)
    assert paths_in(contributor) == paths_in(contributor, uploadid="late") == []


def test_administrators_upload_for_a_member_and_nobody_else_does(
    app: Flask, contributor: Caller, chief: Caller, people: People
) -> None:
    """PageSeeder, /upload: administrators can upload on behalf of another member."""
    answer = put(chief, "for-them.xml", member="~contributor")
    assert xml(answer).get("member") == str(people.members["contributor"].id)
    form = {"group": "acme", "member": "contributor", "file": (io.BytesIO(b"<b/>"), "too.xml")}
    assert chief.post(SERVLET, data=form).status_code == 201
    assert paths_in(contributor) == ["for-them.xml", "too.xml"]
    manager = bearer(app.test_client(), people, "manager")
    assert put(manager, "a.xml", member="contributor").status_code == 403
    assert put(contributor, "a.xml", member="contributor").status_code == 201
    assert manager.get(BASE).status_code == 403


def test_a_direct_upload_is_refused_with_what_to_do(contributor: Caller) -> None:
    """bridge, DocumentManager.upload (line 301) sends autoload=true and a url."""
    answer = put(contributor, "a.xml", autoload="true")
    assert (answer.status_code, b"loadingzone/start" in answer.data) == (400, True)
    assert put(contributor, "a.xml", autoload="false").status_code == 201
    form = {"autoload": "true", "group": "acme", "file-1": (io.BytesIO(b"<b/>"), "b.xml")}
    assert contributor.post(SERVLET, data=form).status_code == 400
    assert paths_in(contributor) == ["a.xml"]


def test_the_list_of_a_loading_zone_is_pageseeders_and_bounded(
    contributor: Caller, config: Config, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """netdox, get_loading_zone (line 712); SDK, services.txt: GET …/loadingzone."""
    for name in ("c.xml", "docs/a.xml", "b.xml"):
        put(contributor, name)
    root = xml(contributor.get(BASE))
    assert (root.tag, root.get("member")) == ("loadingzone", str(people.members["contributor"].id))
    assert dict(root[2].attrib) == {"name": "a.xml", "path": "docs/a.xml", "type": "file", "size": "4"}
    monkeypatch.setattr("psthreads.web.api.loading_zone._MOST_LISTED", 2)
    shortened = contributor.get(f"{BASE}.json").json
    assert shortened is not None
    assert ([file["path"] for file in shortened["files"]], shortened["isTruncated"]) == (["b.xml", "c.xml"], True)


ONE = '<upload-request version="3.0"><files><file path="docs/a.xml"/></files></upload-request>'


def test_an_upload_request_loads_the_files_that_it_names() -> None:
    """PageSeeder, start loading: xmlspec."""
    uploads = {"docs/a.xml": b"<a/>", "b.xml": b"<b/>", "c.xml": b"<c/>"}
    result = run(load, parameters={"xmlspec": ONE}, loading_zone=uploads)
    assert result.message == "Successfully loaded 1 file"
    assert result.documents == {"/docs/a.xml": b"<a/>"}
    everything = run(load, parameters={}, loading_zone=uploads)
    assert len(everything.documents) == 3


def test_an_upload_request_says_whether_to_validate_and_to_overwrite() -> None:
    flags = "<validate>true</validate><overwrite>true</overwrite><index>x</index>"
    request = parse(f"<upload-request>{flags}</upload-request>")
    assert (request.validate, request.overwrite, request.keeps, request.paths) == (True, True, False, frozenset())
    assert parse("<upload-request><overwrite>false</overwrite></upload-request>").keeps
    assert parse("  ") == parse("<upload-request/>")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("<upload-request>", "well-formed"),
        ("<other/>", "<upload-request>"),
        ("<upload-request><files/></upload-request>", "names no file"),
        ("<upload-request><files><file/></files></upload-request>", "no path"),
        ("<upload-request><files><file path='..'/></files></upload-request>", "leave the folder"),
        ("<upload-request><files><file path='a' docid='x'/></files></upload-request>", "'docid'"),
        ("<upload-request><files><file path='a'><action/></file></files></upload-request>", "<action>"),
        ("<upload-request><files><mediatype value='x'/></files></upload-request>", "<mediatype>"),
        ("<upload-request><overwrite summary='true'>true</overwrite></upload-request>", "'summary'"),
        ("<upload-request><validate>perhaps</validate></upload-request>", "true or false"),
        ("<upload-request><folder>x</folder></upload-request>", "<folder>"),
        ("<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><upload-request>&e;</upload-request>", ""),
    ],
)
def test_what_an_upload_request_cannot_have_here_is_refused_by_name(spec: str, words: str) -> None:
    if not words:
        assert parse(spec).paths == frozenset()
        return
    with pytest.raises(BadParameter, match=words):
        parse(spec)


def test_a_start_checks_the_upload_request_first(contributor: Caller) -> None:
    put(contributor, "b.xml")
    start = f"{BASE}/start"
    assert contributor.post(start, data={"xmlspec": ONE}).status_code == 404
    assert contributor.post(start, data={"xmlspec": "<x"}).status_code == 400
    keep = "<upload-request><overwrite>false</overwrite></upload-request>"
    assert contributor.post(start, data={"xmlspec": keep, "overwrite": "true"}).status_code == 400
    put(contributor, "docs/a.xml")
    assert contributor.post(start, data={"xmlspec": ONE}).status_code == 202


def test_the_archive_stays_where_the_client_says_so() -> None:
    """netdox, zip_upload (line 744): deleteoriginal; PageSeeder, unzip loading zone content."""
    uploads = {"a.zip": pack(("a.xml", b"<a/>"))}
    kept = run(unzip, parameters={"path": "a.zip", "deleteoriginal": False}, loading_zone=uploads)
    assert sorted(kept.loading_zone) == ["/a.xml", "/a.zip"]
    removed = run(unzip, parameters={"path": "a.zip", "deleteoriginal": True}, loading_zone=uploads)
    assert sorted(removed.loading_zone) == ["/a.xml"]


def test_unzip_and_load_work_in_the_upload_alone(config: Config, people: People) -> None:
    zone = Documents(config.documents).loading_zone(people.acme, 7)
    one = zone.of_upload("one")
    with pytest.raises(NotFound):
        one.resolve("a.xml")
    with one.write("a.xml", 10) as arrival:
        arrival.write(b"<a/>")
    assert (one.count(), zone.count()) == (1, 0)
    one.clear()
    assert not (config.documents / "loading" / str(people.acme.id) / "7~one").exists()
