"""Ten thousand files through each process by itself, compared one by one with what is there afterwards."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from psthreads.domain.model import Level, Outcome, Status
from psthreads.processes.export import export
from psthreads.processes.load import load
from psthreads.processes.move import move
from psthreads.processes.unzip import unzip
from psthreads.processes.validate import validate
from tests.support.archives import entry, pack
from tests.support.group_of_documents import GroupOfDocuments
from tests.support.loading import Place
from tests.support.moving import fill
from tests.support.publishing import TITLE, Publishing
from tests.support.validating import NOTE_XSD


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "documents")


def test_only_so_many_files_and_folders_are_accepted(place: Place) -> None:
    for names in (
        [f"{number}.xml" for number in range(100_001)],
        [f"{number}/" + "a/" * 60 for number in range(2_000)],
    ):
        place.upload("in.zip", pack(*((entry(f"{name}x", 0), b"") for name in names), method=zipfile.ZIP_STORED))
        assert place.run(unzip, path="in.zip").status is Status.FAILED
        assert place.lines() == [
            "/in.zip is not unpacked: it has more than 100,000 files and folders: pack them in several archives."
        ]
    assert place.zone.count() == 1


def test_ten_thousand_documents_are_all_unpacked(place: Place) -> None:
    entries = {
        f"docs/{number % 100:02}/{number:05}.psml": b'<document level="portable"><p>%d</p></document>' % number
        for number in range(10_000)
    }
    place.upload("kept.xml", b"<kept/>")
    place.upload("in.zip", pack(*entries.items()))
    assert place.run(unzip, path="in.zip").message == "Successfully unzipped 10,000 files"
    assert place.files(place.zone_path) == {"kept.xml": b"<kept/>", **entries}


def test_ten_thousand_files_are_all_loaded(place: Place) -> None:
    files = {
        f"docs/{number % 100:02}/{number:05}.psml": b'<document level="portable"><p>%d</p></document>' % number
        for number in range(10_000)
    }
    for name, content in files.items():
        path = place.zone_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert place.run(load, validate="true").message == "Successfully loaded 10,000 files"
    assert place.files(place.group_path) == files


def test_ten_thousand_documents_are_exported(tmp_path: Path) -> None:
    group = GroupOfDocuments(tmp_path, export)
    names = [f"many/{number:05}.xml" for number in range(10_000)]
    group.write(dict.fromkeys(names, "<a/>"))
    group.check()
    assert group.run().message == "Exported 10,000 documents (40.0 kB)"
    (result,) = group.results.iterdir()
    with zipfile.ZipFile(result) as archive:
        assert sorted(archive.namelist()) == names


def test_ten_thousand_documents_are_published_each_as_its_own(tmp_path: Path) -> None:
    group = Publishing(tmp_path)
    group.stylesheet(TITLE)
    group.fill(10_000)
    assert group.run(path="/documents").message == "Published 10,000 documents"
    published = group.published()
    assert len(published) == 10_000
    for number in range(10_000):
        assert published[f"documents/{number // 100:03}/{number:05}.html"] == f"<p>{number}</p>\n"


def test_ten_thousand_documents_are_moved_each_with_its_content(tmp_path: Path) -> None:
    group = GroupOfDocuments(tmp_path, move)
    fill(group, 10_000, each=100)
    before = group.contents()
    outcome = group.run(path="/documents", destination="/moved")
    assert outcome.message == "Successfully moved 10,101 files/folders"
    assert len([line for line in group.reporter.lines() if line.startswith("Moving /")]) == 10_101
    assert group.contents() == {path.replace("documents", "moved", 1): data for path, data in before.items()}
    assert sum(1 for path in (group.inside / "moved").rglob("*") if path.is_dir()) == 100
    assert not (group.inside / "documents").exists()


def test_ten_thousand_documents_are_each_an_event(tmp_path: Path) -> None:
    group = GroupOfDocuments(tmp_path, validate)
    group.write({"schemas/note.xsd": NOTE_XSD})
    for number in range(10_000):
        value = "x" if number % 100 == 50 else "1"
        group.write({f"many/{number // 100:03}/{number % 100:03}.xml": f"<note><p>{value}</p></note>"})
    assert group.run(path="many") == Outcome(Status.FAILED, "10,000 documents: 9,900 valid by a schema, 100 not valid.")
    assert len(group.reporter.lines(Level.INFO)) == 9_900
    assert len(group.reporter.lines(Level.ERROR)) == 100
    assert 'total="10000" current="10000"' in group.reporter.xml
