"""Claims about dry runs: nothing is changed, and what they say is what a run then does."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from psthreads.domain.model import Level, Outcome, Status
from psthreads.processes.load import load
from psthreads.processes.move import move
from tests.support.group_of_documents import GroupOfDocuments
from tests.support.loading import Place
from tests.support.publishing import Publishing, sheet

XSD = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
<xs:element name="book"><xs:complexType><xs:attribute name="title" use="required"/></xs:complexType></xs:element>
</xs:schema>"""
GOOD, BAD = '<book title="Good"/>', "<book/>"


@dataclass(frozen=True)
class Load:
    """A group, a loading zone, and the parameters of a load."""

    group: dict[str, str]
    zone: dict[str, str]
    values: dict[str, str] = field(default_factory=dict)


LOADS = {
    "new": Load({}, {"a.xml": GOOD, "b/c.png": "x"}, {"folder": "/new"}),
    "nothing": Load({}, {}),
    "replaced": Load({"a.xml": "old"}, {"a.xml": GOOD, "b.xml": GOOD}, {"overwrite": "true"}),
    "in the way": Load({"a.xml": "old", "b/c.xml": "old"}, {"a.xml": GOOD, "b": "x", "d.xml": GOOD}),
    "not valid": Load({"schemas/book.xsd": XSD}, {"a.xml": GOOD, "b.xml": BAD, "c.xml": "<book"}, {"validate": "true"}),
    "some not valid": Load(
        {"schemas/book.xsd": XSD, "a.xml": "old"},
        {"a.xml": GOOD, "b.xml": BAD, "c.xml": "<book", "d.png": "x"},
        {"skip-invalid": "true", "overwrite": "true"},
    ),
    "none valid": Load({"schemas/book.xsd": XSD}, {"a.xml": BAD, "b.xml": "<book"}, {"skip-invalid": "true"}),
    "valid by what is not": Load(
        {"schemas/book.xsd": XSD},
        {"schemas/book.xsd": "<xs", "a.xml": GOOD, "b.xml": BAD},
        {"skip-invalid": "true", "overwrite": "true"},
    ),
}


def _lines(place: Place | GroupOfDocuments, verb: str) -> list[str]:
    """The paths that the log names after this verb."""
    lines = place.lines(Level.INFO) if isinstance(place, Place) else place.reporter.lines(Level.INFO)
    return [
        line.removeprefix(verb).split(": ")[0].split(" to ")[0].split(" as ")[0]
        for line in lines
        if line.startswith(verb)
    ]


def _complaints(place: Place) -> list[str]:
    return [
        line
        for line in place.lines(Level.ERROR) + place.lines(Level.WARN)
        if "not valid" in line or "cannot be" in line
    ]


@pytest.mark.parametrize("name", LOADS)
def test_a_dry_run_of_load_says_what_a_load_then_does(tmp_path: Path, name: str) -> None:
    case = LOADS[name]
    place = Place(tmp_path)
    for path, text in case.group.items():
        place.folder.write(path, text.encode())
    for path, text in case.zone.items():
        place.upload(path, text.encode())
    before = place.files(place.group_path), place.files(place.zone_path)

    rehearsed = place.run(load, None, **case.values, **{"dry-run": "true"})
    assert (place.files(place.group_path), place.files(place.zone_path)) == before
    announced, complaints = _lines(place, "Would load "), _complaints(place)
    replaced = {
        line.split(": ")[0].removeprefix("Would load ") for line in place.lines(Level.INFO) if "would replace" in line
    }
    counts = place.xml if case.zone else ""

    outcome = place.run(load, None, **case.values)
    assert rehearsed.status is outcome.status
    assert announced == _lines(place, "Loaded ")
    assert complaints == _complaints(place)
    after = place.files(place.group_path)
    assert {path.lstrip("/") for path in announced} == {path for path in after if after[path] != before[0].get(path)}
    assert {path.lstrip("/") for path in replaced} == {path for path in before[0] if after[path] != before[0][path]}
    if case.zone:
        new = len(announced) - len(replaced)
        refused = len(case.zone) - len(announced) if announced else len(complaints)
        assert f'<dry-run new="{new}" replaced="{len(replaced)}" refused="{refused}"/>' in counts
    assert "Nothing was changed." in rehearsed.message or not case.zone


def test_what_is_not_valid_stays_in_the_zone_and_is_listed(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.folder.write("schemas/book.xsd", XSD.encode())
    for path, text in {"a.xml": GOOD, "b.xml": BAD, "c/d.xml": "<book", "e.png": "x"}.items():
        place.upload(path, text.encode())
    outcome = place.run(load, None, **{"skip-invalid": "true"})
    assert outcome.status is Status.COMPLETED
    assert outcome.message == "Successfully loaded 2 files; 2 not valid, and still in the loading zone, as the log says"
    assert [line.split(":")[0] for line in place.lines(Level.WARN)] == [
        "Document /b.xml is not valid",
        "Document /c/d.xml is not valid",
    ]
    assert set(place.files(place.group_path)) == {"schemas/book.xsd", "a.xml", "e.png"}
    assert set(place.files(place.zone_path)) == {"b.xml", "c/d.xml"}


def _tree(root: Path) -> list[tuple[str, bytes]]:
    return sorted(
        (str(path.relative_to(root)), path.read_bytes() if path.is_file() else b"") for path in root.rglob("*")
    )


@pytest.mark.parametrize(
    ("path", "destination", "merge"),
    [
        ("/documents", "/archive", "false"),
        ("/documents", "/new/deep/", "false"),
        ("/documents", "/archive", "true"),
        ("/documents/a.psml", "/archive/b.psml", "false"),
        ("/documents/b", "/", "false"),
    ],
)
@pytest.mark.parametrize("linked", ["", "linked"])
def test_a_dry_run_of_move_says_what_a_move_then_does(
    tmp_path: Path, path: str, destination: str, merge: str, linked: str
) -> None:
    group = GroupOfDocuments(tmp_path, move)
    group.write({"documents/a.psml": "a", "documents/b/c.psml": "c", "documents/b/d/e.psml": "e", "archive/x": "x"})
    (group.inside / "documents" / "empty").mkdir()
    if linked:
        (group.inside / "documents" / "b" / "d" / "link").symlink_to("/etc")
    values = {"path": path, "destination": destination, "merge": merge}
    before = _tree(group.inside)
    rehearsed = group.run(after=0, context=None, **values, **{"dry-run": "true"})
    assert _tree(group.inside) == before
    announced, warned = _lines(group, "Would move "), len(group.reporter.lines(Level.WARN))
    outcome = group.run(after=0, context=None, **values)
    assert announced == _lines(group, "Moving ")
    assert warned == len(group.reporter.lines(Level.WARN))
    assert rehearsed.status is outcome.status
    count = outcome.message.split(" ")[2]
    assert rehearsed.message.startswith(f"Would move {count} file")
    assert rehearsed.message.endswith("Nothing was changed.")


def test_a_dry_run_of_a_move_that_would_overwrite_is_refused_as_the_move(tmp_path: Path) -> None:
    group = GroupOfDocuments(tmp_path, move)
    group.write({"documents/a.psml": "a", "archive/documents/a.psml": "x"})
    messages = {
        group.run(after=0, context=None, path="/documents", destination="/archive", **{"dry-run": value}).message
        for value in ("true", "false")
    }
    assert len(messages) == 1
    assert "nothing is overwritten" in messages.pop()


@pytest.mark.parametrize(
    "documents", [{"a.psml": "<a n='1'/>"}, {"a.psml": "<a n='1'/>", "a.xml": "<a/>", "b.psml": "<a"}, {"b.xml": "<a"}]
)
def test_a_dry_run_of_publish_says_what_a_publication_then_does(tmp_path: Path, documents: dict[str, str]) -> None:
    group = Publishing(tmp_path)
    group.stylesheet(sheet("<p><xsl:value-of select='/a/@n'/></p>", method="html"))
    group.write({f"documents/{path}": text for path, text in documents.items()})
    rehearsed = group.run(after=0, context=None, path="/documents", **{"dry-run": "true"})
    assert not group.results.exists() or not list(group.results.iterdir())
    lines = [line for line in group.reporter.lines(Level.INFO) if line.startswith("Would publish ")]
    names = {line.rsplit(" as ", 1)[1] for line in lines}
    announced, refused = _lines(group, "Would publish "), len(group.reporter.lines(Level.ERROR))
    outcome: Outcome = group.run(path="/documents")
    assert rehearsed.status is outcome.status
    assert announced == _lines(group, "Published ")
    assert refused == len(group.reporter.lines(Level.ERROR))
    assert names == (set(group.published()) if announced else set())
