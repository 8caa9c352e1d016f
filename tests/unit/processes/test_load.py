"""Claims about loading: documents are old or new and never half, and nothing is loaded that should not be."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from psthreads.authoring.context import Context
from psthreads.authoring.process import Start
from psthreads.documents.side_by_side import WINDOW
from psthreads.domain.errors import BadParameter, Conflict, UnsafePath
from psthreads.domain.model import Level, Status
from psthreads.processes.load import load
from tests.support.backends import in_both
from tests.support.loading import Place, place_at

XSD = b"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
<xs:element name="book"><xs:complexType><xs:attribute name="title" use="required"/></xs:complexType></xs:element>
</xs:schema>"""


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    return place_at(tmp_path / "documents", request)


def test_the_zones_files_become_documents_and_leave_the_zone(place: Place) -> None:
    for name in ("a.xml", "b/c.xml", "b/picture.png"):
        place.upload(name, name.encode())
    outcome = place.run(load)
    assert (outcome.status, outcome.message) == (Status.COMPLETED, "Successfully loaded 3 files")
    assert place.files(place.group_path) == {name: name.encode() for name in ("a.xml", "b/c.xml", "b/picture.png")}
    assert list(place.zone_path.iterdir()) == []
    assert place.xml == '<progress total="3" current="3"/>'
    assert place.lines(Level.INFO) == [
        "Looking at the loading zone",
        "Loaded /a.xml",
        "Loaded /b/c.xml",
        "Loaded /b/picture.png",
        "Waiting for the disk",
    ]
    assert not place.hidden()


@in_both("place")
def test_an_empty_zone_loads_nothing_and_says_so(place: Place) -> None:
    outcome = place.run(load)
    assert outcome.status is Status.COMPLETED
    assert outcome.message == "There was nothing to load: the loading zone is empty."


@in_both("place")
def test_a_folder_may_be_named_that_need_not_exist(place: Place) -> None:
    place.upload("b/a.xml")
    assert place.run(load, folder="documents//new/").message == "Successfully loaded 1 file"
    assert set(place.files(place.group_path)) == {"documents/new/b/a.xml"}


@in_both("place")
def test_what_exists_is_told_and_nothing_is_touched(place: Place) -> None:
    for name in ("a.xml", "b.xml", "c.xml"):
        place.upload(name)
    place.folder.write("b.xml", b"<old/>")
    place.folder.write("c.xml", b"<old/>")
    outcome = place.run(load, overwrite="false")
    assert outcome.status is Status.FAILED
    assert outcome.message.startswith(
        "Nothing was loaded: 2 of 3 files cannot be put in place: repeat it with overwrite"
    )
    assert place.lines() == [
        "/b.xml cannot be loaded: /b.xml exists already.",
        "/c.xml cannot be loaded: /c.xml exists already.",
    ]
    assert place.files(place.group_path) == {"b.xml": b"<old/>", "c.xml": b"<old/>"}
    assert place.zone.count() == 3


@in_both("place")
def test_the_events_of_what_exists_are_capped(place: Place) -> None:
    for number in range(150):
        place.upload(f"{number}.xml")
        place.folder.write(f"{number}.xml", b"<old/>")
    assert "150 of 150 files" in place.run(load).message
    told = place.lines()
    assert len(told) == 101
    assert told[-1] == "There are 50 more like this"


@in_both("place")
def test_what_exists_is_replaced_when_that_was_asked_for(place: Place) -> None:
    place.upload("a.xml", b"<new/>")
    place.folder.write("a.xml", b"<old/>")
    place.folder.write("b.xml", b"<old/>")
    assert place.run(load, overwrite="true").message == "Successfully loaded 1 file"
    assert place.files(place.group_path) == {"a.xml": b"<new/>", "b.xml": b"<old/>"}


@pytest.mark.parametrize("overwrite", ["true", "false"])
@in_both("place")
def test_a_file_in_the_place_of_a_folder_or_the_other_way_round_is_told_and_nothing_is_touched(
    place: Place, overwrite: str
) -> None:
    for name in ("a.xml", "folder", "file/a.xml"):
        place.upload(name)
    place.folder.write("folder/a.xml", b"<old/>")
    place.folder.write("file", b"<old/>")
    outcome = place.run(load, overwrite=overwrite)
    assert outcome.status is Status.FAILED
    told = place.lines()
    assert len(told) == 2
    assert "'/file' is not a folder" in told[0]
    assert told[1] == "/folder cannot be loaded: /folder is a folder."
    assert place.files(place.group_path) == {"folder/a.xml": b"<old/>", "file": b"<old/>"}
    assert place.zone.count() == 3


def test_a_path_that_gets_too_long_is_told(place: Place) -> None:
    place.upload(f"{'b' * 200}/" * 10 + "a.xml")
    assert place.run(load, folder=f"{'c' * 200}/" * 12).status is Status.FAILED
    assert "longer than 4,096 characters" in place.lines()[0]
    assert place.zone.count() == 1


@in_both("place")
def test_a_folder_that_is_unsafe_or_a_document_is_refused_before_anything_starts(place: Place) -> None:
    place.folder.write("a.xml", b"<a/>")
    (check,) = load.checks

    def start(folder: str) -> None:
        check(Start(*(None,) * 2, place.folder, place.root, {"folder": folder}, place.zone))  # type: ignore[arg-type]

    for folder, error in (("../8", UnsafePath), ("a\\b", UnsafePath), ("n" * 300, UnsafePath), ("a.xml", BadParameter)):
        with pytest.raises(error):
            start(folder)
    with pytest.raises(Conflict):
        start("a.xml/b")
    start("a/new/one")
    start("/")


@in_both("place")
def test_nothing_is_loaded_when_a_document_is_not_valid_and_that_was_asked_for(place: Place) -> None:
    place.folder.write("schemas/book.xsd", XSD)
    place.upload("good.xml", b'<book title="Good"/>')
    place.upload("bad.xml", b"<book/>")
    place.upload("worse.xml", b"<book>")
    place.upload("picture.png", b"no XML")
    outcome = place.run(load, validate="true")
    assert (outcome.status, outcome.message) == (Status.FAILED, "Nothing was loaded: 2 of 4 files are not valid.")
    told = place.lines()
    assert told[0].startswith("Document /bad.xml is not valid: line 1, column 1: ")
    assert told[1].startswith("Document /worse.xml is not valid: line 1")
    assert set(place.files(place.group_path)) == {"schemas/book.xsd"}
    assert place.zone.count() == 4
    assert '<validating total="3" current="3"/>' in place.xml
    place.zone.remove("worse.xml")
    place.upload("bad.xml", b'<book title="No longer"/>')
    assert place.run(load, validate="true").message == "Successfully loaded 3 files"
    assert place.folder.read("bad.xml", 100) == b'<book title="No longer"/>'


@in_both("place")
def test_a_schema_that_is_loaded_along_counts_for_the_documents_beside_it(place: Place) -> None:
    place.upload("schemas/book.xsd", XSD)
    place.upload("bad.xml", b"<book/>")
    assert place.run(load, validate="true").status is Status.FAILED
    assert place.run(load).status is Status.COMPLETED


def when_a_is_loaded(place: Place, act: Callable[[], object]) -> Callable[[Context], None]:
    """Upload a.xml, z.xml and more files between them than are moved side by side; act once the first is loaded."""
    for name in ("a.xml", *(f"m{number:02}.xml" for number in range(2 * WINDOW)), "z.xml"):
        place.upload(name)

    def listen(context: Context) -> None:
        say = context.message

        def message(text: str) -> None:
            say(text)
            if text == "Loaded /a.xml":
                act()

        context.message = message  # type: ignore[method-assign]

    return listen


@in_both("place")
def test_a_document_that_comes_to_exist_meanwhile_is_not_overwritten(place: Place) -> None:
    outcome = place.run(load, when_a_is_loaded(place, lambda: place.folder.write("z.xml", b"<theirs/>")))
    assert outcome.status is Status.FAILED
    assert outcome.message == f"Loaded {2 * WINDOW + 1} files; 1 could not be, as the log says."
    (told,) = place.lines()
    assert told.startswith("/z.xml was not loaded, and is still in the loading zone: There is something at '/z.xml'")
    assert place.folder.read("z.xml", 100) == b"<theirs/>"
    assert set(place.files(place.zone_path)) == {"z.xml"}


@in_both("place")
def test_a_file_that_goes_from_the_zone_meanwhile_is_told(place: Place) -> None:
    assert place.run(load, when_a_is_loaded(place, lambda: place.zone.remove("z.xml"))).status is Status.FAILED
    assert "There is no file '/z.xml' in the loading zone" in place.lines()[0]


def test_links_in_the_zone_and_in_the_group_are_not_followed(place: Place, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.xml").write_bytes(b"secret")
    place.upload("a.xml")
    (place.zone_path / "link.xml").symlink_to(outside / "secret.xml")
    assert place.run(load).message == "Successfully loaded 1 file"
    (told,) = place.lines(Level.WARN)
    assert told.startswith("/link.xml in the loading zone was left out: it is a symbolic link")
    (place.group_path / "linked").symlink_to(outside)
    place.upload("linked/secret.xml", b"changed")
    assert place.run(load, overwrite="true").status is Status.FAILED
    assert "symbolic link" in place.lines()[0]
    assert place.files(outside) == {"secret.xml": b"secret"}


@pytest.mark.parametrize("overwrite", ["true", "false"])
def test_files_are_copied_where_the_zone_is_on_another_disk(
    place: Place, monkeypatch: pytest.MonkeyPatch, overwrite: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(type(place.zone), "move_out", refuse)
    place.upload("b/a.xml", b"<new/>")
    if overwrite == "true":
        place.folder.write("b/a.xml", b"<old/>")
    assert place.run(load, overwrite=overwrite).message == "Successfully loaded 1 file"
    assert place.files(place.group_path) == {"b/a.xml": b"<new/>"}
    assert place.zone.count() == 0
    assert not place.hidden()


def test_a_refusal_of_the_file_system_is_an_event(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(type(place.zone), "move_out", refuse)
    place.upload("a.xml")
    assert place.run(load).status is Status.FAILED
    assert place.lines() == ["/a.xml was not loaded, and is still in the loading zone: Disk quota exceeded."]


@in_both("place")
def test_a_load_that_was_stopped_goes_on_where_it_was(place: Place) -> None:
    for number in range(20):
        place.upload(f"{number}.xml")
    place.zone.move_out("3.xml", place.folder, "3.xml", overwrite=False)
    assert place.run(load).message == "Successfully loaded 19 files"
    assert len(place.files(place.group_path)) == 20
    assert load.restartable
    assert load.exclusive


@in_both("place")
def test_a_load_ends_only_after_all_that_it_moved_is_on_the_disk(place: Place) -> None:
    for number in range(3):
        place.upload(f"{number}.xml")
    sync, seen = place.folder.sync, []

    def look_first() -> None:
        seen.append(set(place.files(place.group_path)))
        sync()

    place.folder.sync = look_first  # type: ignore[method-assign]
    place.run(load)
    assert seen == [{"0.xml", "1.xml", "2.xml"}]
