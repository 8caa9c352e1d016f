"""Starts over HTTP that mean harm, and groups that are hard work: nothing outside is read, and memory is bounded."""

from __future__ import annotations

import re
import socket
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import psutil
import pytest
from flask import Flask
from lxml import etree
from redis import Redis
from werkzeug.test import TestResponse

from psthreads.domain.config import Config
from psthreads.domain.model import Event, Level, Status, Thread
from psthreads.threads.store import ThreadStore
from tests.support.people import People
from tests.support.waiting import wait_for
from tests.system.stack import Program, worker

SECRET = "what only the neighbours know"
GROUP = "/members/contributor/groups/acme"
MEGABYTE = 1024 * 1024


class Service:
    """The service as a contributor uses it. No answer may hold the secret, or say where the service keeps its files."""

    def __init__(self, app: Flask, people: People, store: ThreadStore, root: Path) -> None:
        self._client = app.test_client(use_cookies=False)
        self._headers = people.bearer("contributor")
        self.store = store
        self.root = root
        self.inside = root / "groups" / str(people.acme.id)

    def __call__(self, method: str, path: str, query: str = "", form: str = "") -> TestResponse:
        content_type = "application/x-www-form-urlencoded" if form else None
        # As it stands, encoded by whoever means harm.
        url = f"{path}?{query}" if query else path
        response = self._client.open(url, method=method, data=form, content_type=content_type, headers=self._headers)
        assert SECRET.encode() not in response.data
        assert str(self.root).encode() not in response.data
        response.close()
        return response

    def started(self) -> int:
        statuses = (Status.INITIALISED, Status.INPROGRESS, Status.COMPLETED, Status.FAILED)
        return sum(self.store.count(status) for status in statuses)

    def run(self, start: str, program: Program) -> tuple[Thread, list[Event], int]:
        """The thread when it has ended, its log, and the most memory that any of the worker's processes took."""
        response = self("POST", start)
        assert response.status_code == 202, response.data
        thread_id = etree.fromstring(response.data).attrib["id"]
        peak = 0

        def look() -> Thread | None:
            nonlocal peak
            peak = max(peak, memory(program))
            self("GET", f"/groups/acme/threads/{thread_id}/progress")
            now = self.store.fetch(thread_id)
            return now if now.status.is_final else None

        thread = wait_for(look, 120)
        assert thread is not None
        events: list[Event] = []
        while True:
            page = self.store.log(thread_id, len(events) + 1, 5_000)
            if not page.events:
                break
            events += page.events
        everything = "\n".join((thread.message, thread.xml, *(event.message for event in events)))
        assert SECRET not in everything
        assert str(self.root) not in everything
        return thread, events, peak

    def write(self, name: str, text: str) -> None:
        path = self.inside / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def memory(program: Program) -> int:
    """The resident memory of the largest process of the program, in bytes."""
    most = 0
    for process in [psutil.Process(program.pid), *program.children()]:
        try:
            most = max(most, process.memory_info().rss)
        except psutil.NoSuchProcess:
            continue
    return most


def contents(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(archive)) as file:
        return {name: file.read(name) for name in file.namelist()}


@pytest.fixture
def outside(config: Config) -> Path:
    """What is around the group's folder, with a secret in each place: the way there leads through links, too."""
    around = config.documents.parent
    for folder in (around, config.documents, config.documents / "groups", config.documents / "groups" / "2"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "secret.xml").write_text(f"<secret>{SECRET}</secret>")
    (around / "secret.xsd").write_text(
        '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="note"><xs:simpleType>'
        f'<xs:restriction base="xs:string"><xs:enumeration value="{SECRET}"/></xs:restriction>'
        "</xs:simpleType></xs:element></xs:schema>"
    )
    return around


@pytest.fixture
def service(app: Flask, people: People, store: ThreadStore, config: Config, outside: Path) -> Service:
    made = Service(app, people, store, config.documents)
    made.write("documents/a.xml", "<a/>")
    (made.inside / "link").symlink_to(outside)
    (made.inside / "link.xml").symlink_to(outside / "secret.xml")
    return made


@pytest.fixture
def program(redis: Redis, config: Config) -> Iterator[Program]:
    with worker(config) as running:
        wait_for(lambda: redis.exists("rq:workers"))
        yield running


# What a path may be. `{outside}` is where the secret is; the text is what is on the wire.

PATHS = [
    ("nope", 404),
    ("documents/nope.xml", 404),
    ("documents/a.xml/b", 404),
    ("..", 400),
    ("../2/secret.xml", 400),
    ("documents/../../2/secret.xml", 400),
    ("/../../secret.xml", 400),
    ("/etc/passwd", 404),
    ("{outside}/secret.xml", 404),
    ("file://{outside}/secret.xml", 404),
    ("%2e%2e", 400),
    ("%2e%2e%2f2%2fsecret.xml", 400),
    ("..%2f..%2fsecret.xml", 400),
    ("%252e%252e%252f2%252fsecret.xml", 404),
    ("%c0%ae%c0%ae/2/secret.xml", 404),
    ("%ef%bc%8e%ef%bc%8e/2/secret.xml", 404),
    ("..%5c2%5csecret.xml", 400),
    ("documents%5c..%5c..", 400),
    ("documents/a.xml%00", 400),
    ("%00", 400),
    ("documents/a.xml%0a", 400),
    ("link", 400),
    ("link/secret.xml", 400),
    ("link.xml", 400),
    ("link/../documents", 400),
    ("x" * 4_097, 400),
    ("x/" * 2_000, 404),
]


@pytest.mark.parametrize(("path", "status"), PATHS, ids=[path[:40] for path, _ in PATHS])
def test_a_path_that_is_not_there_or_leads_outside_is_refused_before_anything_starts(
    service: Service, outside: Path, path: str, status: int
) -> None:
    path = path.replace("{outside}", str(outside).replace("/", "%2F"))
    answers = [
        service("POST", f"{GROUP}/validate", f"path={path}"),
        service("POST", f"{GROUP}/validate", form=f"warn=true&path={path}"),
        service("POST", f"/ps/service{GROUP}/export.xml", f"path={path}"),
        service("GET", f"/ps/api{GROUP}/export.xml", f"path={path}"),
    ]
    for answer in answers:
        assert (answer.status_code, answer.mimetype) == (status, "application/xml")
        message = etree.fromstring(answer.data).findtext("message") or ""
        refused = ("The path '", "Parameter 'path' is '")
        assert message.startswith(refused if status == 400 else "There is no document or folder '"), message
    assert service.started() == 0
    assert not list((service.root / "tmp").glob("*"))


@pytest.mark.parametrize(
    "patterns", ["includes=../**", "includes={outside}/**", "includes=link/**", "includes=%2e%2e/*"]
)
def test_a_pattern_takes_nothing_from_outside(service: Service, outside: Path, patterns: str) -> None:
    answer = service("GET", f"{GROUP}/export", patterns.replace("{outside}", str(outside)))
    assert answer.status_code == 400
    assert b"No document matches" in answer.data
    assert service.started() == 0


@pytest.mark.parametrize(
    "path",
    [
        "/ps/member-resource/acme/..%2f..%2f2%2fsecret.xml",
        "/ps/member-resource/acme/..%5csecret.xml",
        "/ps/member-resource/acme/%252e%252e%252fsecret.xml",
        "/ps/member-resource/acme/secret.xml%00",
        "/ps/member-resource/acme/link.xml",
        "/ps/member-resource/..%2f2/secret.xml",
        "/ps/member-resource/acme/../2/secret.xml",
        "/schemas/..%2f..%2fsecret.xml",
        "/static/..%2f..%2fsecret.xml",
        "/static/link.xml",
    ],
)
def test_no_file_from_elsewhere_is_handed_out(service: Service, path: str) -> None:
    results = service.root / "results" / "1"
    results.mkdir(parents=True)
    (results / "link.xml").symlink_to(service.root / "secret.xml")
    assert service("GET", path).status_code in {400, 404}


def test_links_that_lead_outside_are_told_and_neither_validated_nor_exported(
    service: Service, program: Program, outside: Path
) -> None:
    small = service("GET", f"{GROUP}/export")
    assert contents(small.data) == {"documents/a.xml": b"<a/>"}
    for number in range(25):
        service.write(f"documents/{number:02}.xml", "<a/>")
    thread, events, _ = service.run(f"{GROUP}/validate", program)
    assert (thread.status, thread.message) == (Status.COMPLETED, "26 documents: 26 well-formed without a schema.")
    assert left_out(events) == {"/link", "/link.xml"}
    thread, events, _ = service.run(f"{GROUP}/export", program)
    assert left_out(events) == {"/link", "/link.xml"}
    name = etree.fromstring(f"<x>{thread.xml}</x>").findtext("zip")
    archive = service("GET", f"/ps/member-resource/acme/{name}")
    assert set(contents(archive.data).values()) == {b"<a/>"}
    assert len(contents(archive.data)) == 26


def left_out(events: list[Event]) -> set[str]:
    warnings = [event.message for event in events if event.level is Level.WARN]
    assert all("it is a symbolic link or leads through one" in warning for warning in warnings)
    return {warning.partition(" was left out")[0] for warning in warnings}


def test_an_empty_group_is_told_as_empty(service: Service, program: Program) -> None:
    (service.inside / "documents" / "a.xml").unlink()
    (service.inside / "link.xml").unlink()
    (service.inside / "link").unlink()
    thread, _, _ = service.run(f"{GROUP}/validate", program)
    assert thread.status is Status.COMPLETED
    assert thread.message == "There was nothing to check: no XML document below /."
    answer = service("POST", f"{GROUP}/export")
    assert answer.status_code == 400
    assert b"there is nothing to export" in answer.data


# Hard work, and the memory that it takes in the worker's processes.


def test_ten_thousand_documents_are_each_an_event_in_a_worker_of_bounded_memory(
    service: Service, program: Program
) -> None:
    for part in range(100):
        for number in range(100):
            service.write(f"many/{part:02}/{number:02}.xml", "<a>" if number == 50 else "<a><b>Text</b></a>")
    idle = memory(program)
    thread, events, peak = service.run(f"{GROUP}/validate?path=many", program)
    assert (thread.status, thread.message) == (
        Status.FAILED,
        "10,000 documents: 9,900 well-formed without a schema, 100 not valid.",
    )
    assert thread.xml.startswith('<progress total="10000" current="10000"/><report>')
    told = [event.message.split()[1] for event in events if event.message.startswith("Document /many/")]
    assert told == [f"/many/{part:02}/{number:02}.xml" for part in range(100) for number in range(100)]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert peak - idle < 64 * MEGABYTE


LAUGHS = '<!ENTITY l0 "lol">' + "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(12))


def test_documents_that_mean_harm_are_an_event_each_in_a_worker_of_bounded_memory(
    service: Service, program: Program, outside: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/secret"
        xsi = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation'
        harm = {
            "bomb": f"<!DOCTYPE a [{LAUGHS}]><a>&l12;</a>",
            "bomb-in-an-attribute": f'<!DOCTYPE a [{LAUGHS}]><a b="&l12;"/>',
            "external": f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{outside}/secret.xml">]><a>&x;</a>',
            "relative": '<!DOCTYPE a [<!ENTITY x SYSTEM "../../2/secret.xml">]><a>&x;</a>',
            "http": f'<!DOCTYPE a [<!ENTITY x SYSTEM "{address}">]><a>&x;</a>',
            "parameter": f'<!DOCTYPE a [<!ENTITY % x SYSTEM "{address}">%x;]><a/>',
            "schema-by-path": f'<note {xsi}="file://{outside}/secret.xsd">x</note>',
            "schema-by-dots": f'<note {xsi}="../../../../secret.xsd">x</note>',
            "schema-by-link": f'<note {xsi}="../link/secret.xsd">x</note>',
            "schema-by-http": f'<note {xsi}="{address}">x</note>',
        }
        for name, text in harm.items():
            service.write(f"harm/{name}.xml", text)
        service.write(
            "harm/include.xml",
            f'<a xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="file://{outside}/secret.xml"/></a>',
        )
        service.write("harm/dtd.xml", f'<!DOCTYPE a SYSTEM "{address}"><a/>')
        idle = memory(program)
        thread, events, peak = service.run(f"{GROUP}/validate?path=harm", program)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert thread.status is Status.FAILED
    assert thread.message.startswith("12 documents: 5 well-formed without a schema, ")
    *errors, last = (event.message for event in events if event.level is Level.ERROR)
    assert last == thread.message
    absent = {"schema-by-path", "schema-by-dots", "schema-by-http"}
    assert {error.split()[1] for error in errors} == {f"/harm/{name}.xml" for name in harm.keys() - absent}
    warnings = [event.message for event in events if event.level is Level.WARN]
    assert all("could not be had" in warning for warning in warnings)
    assert {warning.split()[1] for warning in warnings} == {f"/harm/{name}.xml," for name in (*absent, "dtd")}
    assert all(re.search(" is not valid: line 1, column | could not be checked: ", error) for error in errors)
    assert all(len(error) < 2_000 for error in errors)
    # The inclusion is not expanded, and nothing is loaded for them.
    assert {event.message for event in events if event.level is Level.INFO} >= {
        "Document /harm/include.xml is well-formed; no schema applies to it.",
        "Document /harm/dtd.xml is well-formed; no schema applies to it.",
    }
    assert peak - idle < 64 * MEGABYTE


def test_a_document_of_200_mb_is_checked_and_exported_in_a_worker_of_bounded_memory(
    service: Service, program: Program
) -> None:
    block = b"<p>" + b"text " * 2_000 + b"</p>\n"
    large = service.inside / "large" / "a.xml"
    large.parent.mkdir()
    with large.open("wb") as file:
        file.write(b"<note>\n")
        for _ in range(200_000_000 // len(block)):
            file.write(block)
        file.write(b"</note>")
    idle = memory(program)
    thread, events, peak = service.run(f"{GROUP}/validate?path=large", program)
    assert (thread.status, thread.message) == (Status.COMPLETED, "1 document: 1 well-formed without a schema.")
    assert any("is well-formed" in event.message for event in events)
    assert peak - idle < 64 * MEGABYTE
    # One document is no more than twenty, but too large to be answered at once.
    thread, _, peak = service.run(f"{GROUP}/export?path=large", program)
    assert (thread.status, thread.message) == (Status.COMPLETED, "Exported 1 document (200.0 MB)")
    assert peak - idle < 64 * MEGABYTE
