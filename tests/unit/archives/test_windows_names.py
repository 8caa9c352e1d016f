"""Claims about names that Windows cannot have: an export tells them."""

from __future__ import annotations

from pathlib import Path

import pytest

from psthreads.authoring.process import Start
from psthreads.domain.model import Level, Status
from psthreads.processes.archives.names import suits_windows
from psthreads.processes.export import export
from tests.support.loading import GROUP, MEMBER, Place

ODD = (
    *("con", "aux.xml", "docs/NUL", "docs/com1.tar.gz", "lpt9/a.xml", "COM¹", "prn .xml", "conin$"),
    *("a.", "docs./a.xml", "a ", "docs /a.xml", "a:b", "a<b", 'a"b', "a|b.xml", "a?.xml", "*"),
)
FINE = ("console.xml", "a.con", "com10.xml", "docs/auxiliary", ".hidden", "a b.xml", "ä.xml", "...a", "nullable")


def test_windows_has_no_devices_signs_or_ends_in_names() -> None:
    assert not [name for name in ODD if suits_windows(f"/{name}")]
    assert all(suits_windows(f"/{name}") for name in FINE)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_an_export_tells_each_and_their_number(place: Place) -> None:
    for name in ("fine.xml", "aux.xml", "docs/a?.xml"):
        place.folder.write(name, b"<a/>")
    outcome = place.run(export)
    assert (outcome.status, outcome.message) == (
        Status.COMPLETED,
        "Exported 3 documents (12 bytes); Windows cannot have 2 names in it, as the log says",
    )
    assert place.lines(Level.WARN) == [
        f"{path} has a name that Windows cannot have: rename it if it is needed there."
        for path in ("/aux.xml", "/docs/a?.xml")
    ]
    for number in range(30):
        place.folder.write(f"{number}:.xml", b"<a/>")
    assert "Windows cannot have 32 names" in place.run(export).message
    assert len(place.lines(Level.WARN)) == 20


def test_an_export_with_such_a_name_is_a_thread_that_can_tell_it(place: Place) -> None:
    place.folder.write("fine.xml", b"<a/>")
    (check,) = export.checks
    place.documents.scratch.mkdir(parents=True, exist_ok=True)
    start = Start(MEMBER, GROUP, place.folder, place.documents.scratch, export.read({}))
    answer = check(start)
    assert answer is not None
    place.folder.write("aux.xml", b"<a/>")
    assert check(start) is None
