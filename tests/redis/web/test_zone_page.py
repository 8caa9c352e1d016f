"""The page of a loading zone: uploads by a form that is never read as a whole, and removal after a question."""

from __future__ import annotations

import errno
import io
import re
from dataclasses import dataclass, replace
from html import unescape
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from psthreads.audit.entries import SETUP
from psthreads.documents.folders.loading_zone import LoadingZone
from psthreads.documents.layout import Documents
from psthreads.domain.access import Role
from psthreads.domain.config import Config
from psthreads.web.http import uploads
from tests.support.desk import HOSTILE, texts
from tests.support.forms import sign_in, token_in
from tests.support.people import People

PAGE = "/dashboard/groups/acme/loading-zone"
MOST = 3_000_000


@pytest.fixture
def config(config: Config) -> Config:
    # A form may be smaller by far than what is uploaded: it would be refused if the body was read as one.
    return replace(config, max_upload=MOST, max_body=100_000)


@dataclass
class Visitor:
    browser: FlaskClient
    zone: LoadingZone

    def get(self, status: int = 200) -> str:
        answer = self.browser.get(PAGE)
        assert answer.status_code == status
        return answer.text

    def upload(self, *parts: tuple[str, bytes], token: str = "", late: bool = False) -> TestResponse:
        """Send a form as a browser does: the fields in their order, each with the rest of its Content-Disposition."""
        field = ('name="csrf_token"', (token or token_in(self.get())).encode())
        ordered = (*parts, field) if late else (field, *parts)
        body = b"".join(
            b"--XX\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (head.encode(), content)
            for head, content in ordered
        )
        return self.browser.post(PAGE, data=body + b"--XX--\r\n", content_type="multipart/form-data; boundary=XX")

    def remove(self, status: int, **fields: str) -> TestResponse:
        answer = self.browser.post(f"{PAGE}/remove", data={"csrf_token": token_in(self.get()), **fields})
        assert answer.status_code == status
        return answer

    def files(self) -> dict[str, int]:
        return {found.path: found.size for found in self.zone.walk(lambda *_: None)}


@pytest.fixture
def visitor(app: Flask, people: People, config: Config) -> Visitor:
    client = app.test_client()
    assert sign_in(client, "contributor") == 303
    return Visitor(client, Documents(config.documents).loading_zone(people.acme, people.members["contributor"].id))


def file(name: str, content: bytes = b"<a/>") -> tuple[str, bytes]:
    return f'name="file"; filename="{name}"', content


def test_files_are_uploaded_with_the_form_and_stand_on_the_page(visitor: Visitor) -> None:
    assert "No files" in visitor.get()
    answer = visitor.upload(file("a.xml"), file("books.zip", b"x" * 2_000_000))
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{PAGE}?done=uploaded")
    assert visitor.files() == {"/a.xml": 4, "/books.zip": 2_000_000}
    page = visitor.browser.get(answer.headers["Location"]).text
    for said in ("Files uploaded.", "2 files, by path", "/a.xml", "4 B", "/books.zip", "2.0 MB"):
        assert said in texts(page)
    assert re.findall(r'href="([^"]*/start/[^"]*)"', page) == [
        "/dashboard/groups/acme/start/load",
        "/dashboard/groups/acme/start/unzip?path=/books.zip",
    ]
    assert 'value="/books.zip"' in visitor.browser.get("/dashboard/groups/acme/start/unzip?path=/books.zip").text


@pytest.mark.parametrize("token", ["wrong", "late"])
def test_a_form_without_the_sessions_token_before_its_files_is_refused_and_leaves_nothing(
    visitor: Visitor, config: Config, token: str
) -> None:
    late = token == "late"
    answer = visitor.upload(file("a.xml"), token="" if late else token, late=late)
    assert answer.status_code == 403
    assert "Load the page again" in answer.text
    assert visitor.files() == {}
    assert not list((config.documents / "loading").rglob("*.xml"))


@pytest.mark.parametrize(
    ("parts", "status", "sentence"),
    [
        ([], 400, "Choose at least one file."),
        ([file("", b"")], 400, "Choose at least one file."),
        ([file("a.xml"), file("../b.xml")], 400, "'../b.xml'"),
        ([file("a.xml"), file(".psthreads-1")], 400, "'.psthreads-1'"),
        ([file("a.xml"), file("a.xml")], 400, "have the same name"),
        ([file("a.xml"), file("./a.xml")], 400, "have the same name"),
        ([file("a"), file("a/b.xml"), file("z.xml")], 400, "in the way of another"),
        ([file("a/b.xml"), file("a"), file("z.xml")], 400, "in the way of another"),
        ([file("a.xml", b"x" * 2_000_000), file("b.xml", b"x" * 2_000_000)], 413, "3,000,000 bytes"),
        ([file(f"{number}.xml") for number in range(51)], 400, "more than 50 files"),
    ],
)
def test_a_form_that_cannot_be_kept_says_why_on_the_page_and_leaves_nothing(
    visitor: Visitor, parts: list[tuple[str, bytes]], status: int, sentence: str
) -> None:
    answer = visitor.upload(*parts)
    assert answer.status_code == status
    assert sentence in texts(answer.text)
    assert "Your loading zone" in answer.text
    assert visitor.files() == {}


def test_where_the_disk_is_full_at_the_end_no_file_is_there_and_none_is_replaced(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor.upload(file("b.xml", b"<old/>"))
    synced: list[int] = []

    def full_at_the_third(fd: int) -> None:
        synced.append(fd)
        if len(synced) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(uploads, "_sync", full_at_the_third)
    answer = visitor.upload(file("a.xml"), file("b.xml"), file("c.xml"))
    assert answer.status_code == 507
    assert "no space left" in texts(answer.text)
    assert visitor.files() == {"/b.xml": 6}


@pytest.mark.parametrize(("change", "status"), [("role", 403), ("sessions", 302), ("group", 404)])
def test_who_loses_the_right_while_files_arrive_leaves_none(
    visitor: Visitor, people: People, monkeypatch: pytest.MonkeyPatch, change: str, status: int
) -> None:
    changes, contributor = people.directory.by(SETUP), people.members["contributor"]

    def lose(_fd: int) -> None:
        if change == "role":
            changes.set_membership(contributor, people.acme, Role.REVIEWER)
        elif change == "sessions":
            changes.sign_out_everywhere(contributor)
        else:
            changes.remove_group(people.acme)

    monkeypatch.setattr(uploads, "_sync", lose)
    assert visitor.upload(file("a.xml")).status_code == status
    assert visitor.files() == {}


def test_a_field_filename_renames_nothing(visitor: Visitor) -> None:
    assert visitor.upload(('name="filename"', b"other.xml"), file("a.xml")).status_code == 303
    assert visitor.files() == {"/a.xml": 4}


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [('name="csrf_token"', b"")],
        [('name="csrf_token"; filename="csrf_token"', b"{token}")],
        [('name="file"; filename=""', b""), ('name="csrf_token"', b"{token}")],
        [('name="csrf_token"', b"wrong"), ('name="csrf_token"', b"{token}")],
    ],
)
def test_no_other_way_to_send_the_token_opens_the_form(visitor: Visitor, parts: list[tuple[str, bytes]]) -> None:
    right = token_in(visitor.get()).encode()
    body = b"".join(
        b"--XX\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n"
        % (head.encode(), content.replace(b"{token}", right))
        for head, content in (*parts, file("a.xml"))
    )
    answer = visitor.browser.post(
        f"{PAGE}?csrf_token={right.decode()}",
        data=body + b"--XX--\r\n",
        content_type="multipart/form-data; boundary=XX",
    )
    assert answer.status_code in {400, 403}
    assert visitor.files() == {}


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"])
def test_what_is_no_form_with_files_is_refused(visitor: Visitor, kind: str) -> None:
    answer = visitor.browser.post(PAGE, data=b"csrf_token=1&file=a", content_type=kind)
    assert answer.status_code == (400 if kind.startswith("multipart") else 415)
    assert visitor.files() == {}


def test_a_file_or_all_are_removed_after_a_question(visitor: Visitor) -> None:
    visitor.upload(file("a.xml"), file("b.xml"), file("c.xml"))
    assert "Remove /a.xml from your loading zone?" in texts(visitor.remove(200, path="/a.xml").text)
    assert len(visitor.files()) == 3
    visitor.remove(303, path="/a.xml", confirmed="true")
    answer = visitor.remove(303, path="/gone.xml", confirmed="true")
    assert "no longer exists" in visitor.browser.get(answer.headers["Location"]).text
    assert "../a.xml" in texts(visitor.remove(400, path="../a.xml", confirmed="true").text)
    assert set(visitor.files()) == {"/b.xml", "/c.xml"}
    # What was not said is not everything.
    assert "Choose a file" in texts(visitor.remove(400, confirmed="true").text)
    question = visitor.remove(200, all="true").text
    assert "Remove all files from your loading zone (2 files)?" in texts(question)
    assert "audit" not in question
    answer = visitor.remove(303, all="true", confirmed="true")
    assert "All files removed." in visitor.browser.get(answer.headers["Location"]).text
    assert visitor.files() == {}


def test_a_removed_file_leaves_no_folder_in_the_way_and_what_cannot_be_loaded_can_be_removed(
    visitor: Visitor, config: Config
) -> None:
    visitor.upload(file("docs/deep/a.xml"))
    visitor.remove(303, path="docs/deep/a.xml", confirmed="true")
    assert visitor.upload(file("docs")).status_code == 303
    assert visitor.upload(file("link.xml")).status_code == 303
    (root,) = {path.parent for path in (config.documents / "loading").rglob("link.xml")}
    (root / "link.xml").rename(root / "\\odd")
    (root / "docs").unlink()
    page = visitor.get()
    for said in ("No files", "1 other entry cannot be loaded", "Remove all…"):
        assert said in texts(page)
    visitor.remove(303, all="true", confirmed="true")
    assert not list(root.rglob("*"))


def test_it_is_each_members_own_and_of_one_group(app: Flask, people: People, config: Config, visitor: Visitor) -> None:
    visitor.upload(file("mine.xml"))
    other, reviewer = app.test_client(), app.test_client()
    assert sign_in(other, "manager") == 303
    assert "mine.xml" not in other.get(PAGE).text
    # A path that leads into another member's zone is none in one's own.
    for path, status in (("", 400), (f"../{people.members['contributor'].id}/mine.xml", 400), ("/mine.xml", 303)):
        data = {"csrf_token": token_in(other.get(PAGE).text), "confirmed": "true", "path": path}
        assert other.post(f"{PAGE}/remove", data=data).status_code == status
    data = {"csrf_token": token_in(other.get(PAGE).text), "confirmed": "true", "all": "true"}
    assert other.post(f"{PAGE}/remove", data=data).status_code == 303
    assert set(visitor.files()) == {"/mine.xml"}
    assert sign_in(reviewer, "reviewer") == 303
    assert reviewer.get(PAGE).status_code == 403
    stranger: Any = app.test_client().post(
        PAGE, data={"file": (io.BytesIO(b"x"), "a.xml")}, content_type="multipart/form-data"
    )
    assert stranger.status_code == 302
    assert "/sign-in" in stranger.headers["Location"]


def test_hostile_names_are_text_and_the_page_stays_light(visitor: Visitor) -> None:
    hostile = HOSTILE.replace("/", "")
    for name in (hostile, "\u202egpj.exe", f"{hostile}.zip"):
        with visitor.zone.write(name, 10) as arrival:
            arrival.write(b"x")
    page = visitor.get()
    assert hostile not in page
    assert hostile in texts(page)
    assert "unzip?path=/%3Cimg" in page
    longest = "\U0001f600" * 63
    with visitor.zone.write("/".join([longest] * 15) + "/z.zip", 10) as arrival:
        arrival.write(b"x")
    for number in range(299):
        folder = "/".join(("<&\"'\u4e2d" * 20 + str(number)) for _ in range(number % 4 + 1))
        with visitor.zone.write(f"{folder}/{number}.zip", 10) as arrival:
            arrival.write(b"x")
    found: list[str] = []
    following = PAGE
    while following:
        page = visitor.browser.get(following).text
        assert len(page.encode()) < 60_000
        found += re.findall(r'name="path" value="([^"]+)"', page)
        more = re.search(r'<a href="([^"]+)" rel="next">', page)
        following = unescape(more[1]) if more else ""
    assert [unescape(path) for path in found] == list(visitor.files())
    assert len(found) == 303
