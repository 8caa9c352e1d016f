"""Claims about letters that some systems compose and others take apart: a name is found however it is typed."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from psthreads.domain.errors import BadParameter, Conflict, DocumentNotFound
from psthreads.domain.model import Level, Status
from psthreads.processes.export import Selection, export
from psthreads.processes.load import load
from psthreads.processes.move import move
from psthreads.processes.validate import validate
from tests.support.loading import Place

WHOLE, APART = (unicodedata.normalize(form, "/résumé/é.xml") for form in ("NFC", "NFD"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def _put(place: Place, path: str) -> None:
    """As another program would: the name as it is."""
    (place.group_path / path[1:]).parent.mkdir(exist_ok=True)
    (place.group_path / path[1:]).write_text("<old/>")


@pytest.mark.parametrize(("stored", "typed"), [(WHOLE, APART), (APART, WHOLE), (APART, APART), (WHOLE, WHOLE)])
def test_a_document_is_found_however_it_is_typed(place: Place, stored: str, typed: str) -> None:
    _put(place, stored)
    assert place.folder.resolve(typed) == stored
    assert place.folder.placed(typed) == stored
    assert place.folder.read(typed, 10) == b"<old/>"
    assert place.folder.kind(typed) == "document"
    assert [document.path for document in place.folder.walk(typed)] == [stored]
    assert [document.path for document in place.folder.walk(typed.rpartition("/")[0])] == [stored]
    place.folder.write(typed, b"<new/>")
    assert place.files(place.group_path) == {stored[1:]: b"<new/>"}
    assert place.run(validate, path=typed).status is Status.COMPLETED
    assert place.run(export, path=typed, includes=typed.rpartition("/")[2]).status is Status.COMPLETED


@pytest.mark.parametrize(("stored", "typed"), [(WHOLE, APART), (APART, WHOLE)])
def test_a_document_is_loaded_in_the_place_of_the_one_that_looks_the_same(
    place: Place, stored: str, typed: str
) -> None:
    _put(place, stored)
    place.upload(typed[1:])
    assert place.run(load).status is Status.FAILED
    assert place.run(load, overwrite="true").status is Status.COMPLETED
    assert place.files(place.group_path) == {stored[1:]: b"<new/>"}
    assert place.zone.count() == 0


def test_an_upload_replaces_the_one_that_looks_the_same(place: Place) -> None:
    place.upload(APART[1:], b"1")
    place.upload(WHOLE[1:], b"2")
    assert place.files(place.zone_path) == {WHOLE[1:]: b"2"}
    assert place.zone.remove(APART[1:])
    assert not list(place.zone_path.iterdir())


@pytest.mark.parametrize(("stored", "typed"), [(WHOLE, APART), (APART, WHOLE)])
def test_a_move_knows_folders_that_look_the_same(place: Place, stored: str, typed: str) -> None:
    _put(place, stored)
    folder = typed.rpartition("/")[0]
    for destination in (folder, f"{folder}/below"):
        with pytest.raises(BadParameter, match=r"is there already|is in the folder that is moved"):
            place.run(move, path=folder, destination=destination, merge="true")
    place.folder.write("other.xml", b"<a/>")
    with pytest.raises(Conflict):
        place.run(move, path="/other.xml", destination=typed)
    assert place.run(move, path=typed, destination="/new/").status is Status.COMPLETED
    assert place.run(move, path="/other.xml", destination=typed).status is Status.COMPLETED
    assert not place.lines(Level.WARN)
    assert len(place.files(place.group_path)) == 2


def test_two_that_look_the_same_are_two_where_another_program_made_them(place: Place) -> None:
    for path in ("/é.xml", unicodedata.normalize("NFD", "/é.xml")):
        (place.group_path / path[1:]).write_text(path)
        assert place.folder.read(path, 100).decode() == path
    assert [place.folder.read(document.path, 100).decode() for document in place.folder.walk()] == [
        document.path for document in place.folder.walk()
    ]
    with pytest.raises(DocumentNotFound):
        place.folder.resolve("/è.xml")


def test_patterns_match_however_they_are_typed() -> None:
    assert all(Selection(pattern, "").takes(path) for pattern in (WHOLE, APART) for path in (WHOLE, APART))
    assert not any(Selection("", pattern).takes(path) for pattern in (WHOLE, APART) for path in (WHOLE, APART))
