"""Claims about the export and the validation of 10,000 documents: what they count, and what a cancel leaves."""

from __future__ import annotations

import time
import zipfile
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from lxml import etree

from psthreads.authoring.process import Process
from psthreads.documents.layout import Documents
from psthreads.domain.config import Config
from psthreads.domain.model import Level, Status
from psthreads.processes.export import export
from psthreads.processes.validate import validate
from psthreads.threads.store import ThreadStore
from tests.support.group_of_documents import THREAD, GroupOfDocuments
from tests.support.moments import DOCUMENTS, Moments, seconds_of
from tests.support.people import People
from tests.support.validating import NOTE_XSD
from tests.support.waiting import wait_for
from tests.system.stack import worker

ZIP = f"acme-export-{THREAD}.zip"
REPORTS = {f"report-{THREAD}.html", f"report-{THREAD}.xml"}


def fill(inside: Path, count: int = 10_000) -> None:
    """Notes in folders of a hundred; every hundredth is not valid, and every thousandth is no XML."""
    (inside / "schemas").mkdir(parents=True, exist_ok=True)
    (inside / "schemas/note.xsd").write_text(NOTE_XSD)
    for number in range(count):
        path = inside / "documents" / f"{number // 100:03}" / f"{number:05}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        ending = "" if number % 1_000 == 999 else "</note>"
        path.write_text(f"<note>\n<p>{'x' if number % 100 == 50 else number}</p>{ending}")
    (inside / "documents/picture.png").write_bytes(b"picture")


@pytest.fixture
def exported(tmp_path: Path) -> GroupOfDocuments:
    return GroupOfDocuments(tmp_path, export)


@pytest.fixture
def validated(tmp_path: Path) -> GroupOfDocuments:
    return GroupOfDocuments(tmp_path, validate)


def test_an_export_holds_exactly_the_files_that_are_there(exported: GroupOfDocuments) -> None:
    fill(exported.inside)
    outcome = exported.run(path="/documents")
    files = [str(path.relative_to(exported.inside)) for path in exported.inside.rglob("documents/**/*.*")]
    assert outcome.message.startswith(f"Exported {len(files):,} documents")
    with zipfile.ZipFile(exported.results / ZIP) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == sorted(files)
        assert {name: archive.read(name) for name in archive.namelist()} == {
            name: content for name, content in exported.contents().items() if name.startswith("documents/")
        }
    assert exported.reporter.xml == (
        f'<processing total="{len(files)}" current="{len(files)}"/>'
        f'<packaging total="{len(files)}" current="{len(files)}"/><zip>{ZIP}</zip>'
    )


def test_a_validation_counts_the_documents_that_are_wrong(validated: GroupOfDocuments) -> None:
    fill(validated.inside)
    outcome = validated.run(path="/documents")
    documents = {str(path.relative_to(validated.inside)): path.read_text() for path in validated.inside.rglob("*.xml")}
    invalid = {path for path, text in documents.items() if "<p>x" in text or "</note>" not in text}
    assert (len(documents), len(invalid)) == (10_000, 110)
    assert outcome.message == "10,000 documents: 9,890 valid by a schema, 110 not valid. 1 other file was not checked."
    assert outcome.status is Status.FAILED
    assert len(validated.reporter.lines(Level.INFO)) == 9_890
    told = {line.split(" ", 2)[1].lstrip("/") for line in validated.reporter.lines(Level.ERROR)}
    assert told == invalid
    report = etree.parse(validated.results / f"report-{THREAD}.xml").getroot()
    assert {each.get("path", "").lstrip("/") for each in report.iter("document")} == invalid
    assert (report.get("checked"), report.get("invalid"), report.get("others")) == ("10000", "110", "1")


# An interrupt that comes while Python removes an object is raised at the next report, and told to stderr.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("process", "made"), [(export, {ZIP}), (validate, REPORTS)])
def test_a_cancel_at_any_moment_leaves_nothing_or_everything(tmp_path: Path, process: Process, made: set[str]) -> None:
    group = GroupOfDocuments(tmp_path, process)
    fill(group.inside, DOCUMENTS)
    longest = seconds_of(lambda: group.run(path="/documents"))
    before = group.contents()
    moments = Moments(longest)
    for moment in moments:
        for path in group.results.iterdir():
            path.unlink()
        outcome = group.run(after=moment, path="/documents")
        there = {path.name for path in group.results.iterdir()}
        assert there in (set(), made)
        assert list(group.scratch.iterdir()) == []
        assert group.contents() == before
        named = {name for name in made if any(name in (report.xml or "") for report in group.reporter.reports)}
        assert named == there
        # A cancel that comes once the files are named is as good, and does not count: most have to come before that.
        moments.note(in_time=outcome.status is Status.CANCELLED and not there)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("process", [export, validate])
def test_a_cancel_of_10000_documents_ends_it_within_half_a_second(tmp_path: Path, process: Process) -> None:
    group = GroupOfDocuments(tmp_path, process)
    fill(group.inside)
    started = time.monotonic()
    assert group.run(after=0.2, path="/documents").status is Status.CANCELLED
    assert time.monotonic() - started < 0.7
    assert not group.results.exists() or list(group.results.iterdir()) == []


def started(client: FlaskClient, people: People, process: str) -> str:
    address = f"/members/contributor/groups/acme/{process}.json"
    answer = client.post(address, data={"path": "/documents"}, headers=people.bearer("contributor"))
    assert answer.status_code == 202, answer.data
    return str(answer.get_json()["id"])


@pytest.mark.parametrize("process", ["export", "validate"])
def test_a_thread_that_is_cancelled_in_a_worker_leaves_no_file(
    app: Flask, people: People, config: Config, store: ThreadStore, process: str
) -> None:
    documents = Documents(config.documents)
    fill(config.documents / "groups" / str(people.acme.id))
    client = app.test_client(use_cookies=False)
    headers = people.bearer("contributor")
    with worker(config):
        thread_id = started(client, people, process)
        wait_for(lambda: 'current="' in store.fetch(thread_id).xml)
        client.post(f"/groups/acme/threads/{thread_id}/cancel", headers=headers)
        wait_for(lambda: store.fetch(thread_id).status.is_final)
    assert store.fetch(thread_id).message == "Cancelled by contributor"
    hidden = [path for path in config.documents.glob("*/**/*") if path.name[:1] == "."]
    assert [path for path in config.documents.rglob("*") if thread_id in path.name] + hidden == []
    assert list(documents.scratch.iterdir()) == []


def test_a_threads_reports_are_named_in_it_and_can_be_downloaded(
    app: Flask, people: People, config: Config, store: ThreadStore
) -> None:
    fill(config.documents / "groups" / str(people.acme.id), 100)
    client = app.test_client(use_cookies=False)
    headers = people.bearer("contributor")
    with worker(config):
        thread_id = started(client, people, "validate")
        wait_for(lambda: store.fetch(thread_id).status.is_final)
    xml = etree.fromstring(client.get(f"/groups/acme/threads/{thread_id}/progress", headers=headers).data)
    for name, kind in (("report", "text/html"), ("report-xml", "application/xml")):
        filename = xml.findtext(name)
        assert filename is not None
        answer = client.get(f"/ps/member-resource/acme/{filename}", headers=headers, buffered=True)
        assert answer.status_code == 200
        assert answer.mimetype in {kind, "text/xml"}
        assert b"100 documents: 99 valid by a schema, 1 not valid." in answer.data
