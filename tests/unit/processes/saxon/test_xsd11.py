"""Claims about XML Schema 1.1, and about schemas of 1.0 beside it."""

from __future__ import annotations

import socket
from functools import partialmethod
from pathlib import Path

import pytest

from psthreads.domain.model import Level
from psthreads.processes.load import load
from psthreads.processes.validate import validate
from psthreads.processes.validation.validator import Validator
from tests.support.extras import without_extras
from tests.support.group_of_documents import GroupOfDocuments
from tests.support.loading import Place
from tests.support.publishing import assert_nobody_called, listening

__all__ = ["listening"]

XS = 'xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:vc="http://www.w3.org/2007/XMLSchema-versioning"'


def schema(content: str, attributes: str = "") -> str:
    return f"<xs:schema {XS} {attributes}>{content}</xs:schema>"


def element(content: str, name: str = "alpha") -> str:
    return f'<xs:element name="{name}"><xs:complexType>{content}</xs:complexType></xs:element>'


ASSERT = element(
    '<xs:sequence><xs:element name="b" type="xs:int" maxOccurs="9"/></xs:sequence><xs:attribute name="n"'
    ' type="xs:int"/><xs:assert test="count(b) le @n"/>'
)


@pytest.fixture
def group(tmp_path: Path) -> GroupOfDocuments:
    return GroupOfDocuments(tmp_path, validate)


def told(group: GroupOfDocuments, xsd: str, document: str) -> list[str]:
    group.write({"schemas/alpha.xsd": xsd, "alpha.xml": document})
    group.run(path="/alpha.xml")
    lines = group.reporter.lines(Level.ERROR)
    return [
        line.replace("Document /alpha.xml is not valid: ", "").replace("Document /alpha.xml, ", "") for line in lines
    ]


@pytest.mark.parametrize(
    ("xsd", "valid", "invalid"),
    [
        (schema(ASSERT), '<alpha n="2"><b>1</b></alpha>', '<alpha n="1"><b>1</b><b>2</b></alpha>'),
        (
            schema(
                '<xs:element name="alpha" type="xs:anyType"><xs:alternative test="@k = \'i\'" type="I"/></xs:element>'
                '<xs:complexType name="I"><xs:simpleContent><xs:extension base="xs:int"><xs:attribute name="k"/>'
                "</xs:extension></xs:simpleContent></xs:complexType>"
            ),
            '<alpha k="i">1</alpha>',
            '<alpha k="i">x</alpha>',
        ),
        (
            schema(element('<xs:openContent><xs:any processContents="skip"/></xs:openContent><xs:sequence><xs:element'
                           ' name="b"/></xs:sequence>')),
            "<alpha><c/><b/><d/></alpha>",
            "<alpha><c/></alpha>",
        ),
        (
            schema(element('<xs:all><xs:element name="b" maxOccurs="2"/></xs:all>')),  # No mark of 1.1, and no 1.0.
            "<alpha><b/><b/></alpha>",
            "<alpha><b/><b/><b/></alpha>",
        ),
        (
            schema('<xs:element name="alpha" type="xs:int"/>', 'vc:minVersion="1.1"'),
            "<alpha>1</alpha>",
            "<alpha>x</alpha>",
        ),
    ],
)  # fmt: skip
def test_what_is_of_version_1_1_is_applied(group: GroupOfDocuments, xsd: str, valid: str, invalid: str) -> None:
    assert told(group, xsd, valid) == []
    (line, *_) = told(group, xsd, invalid)
    assert line.startswith("line 1, column ")


def test_parts_come_from_the_group_and_findings_have_their_places(
    group: GroupOfDocuments, listening: socket.socket
) -> None:
    part = ASSERT.replace('<xs:element name="alpha"><xs:complexType>', '<xs:complexType name="T">').replace(
        "</xs:complexType></xs:element>", "</xs:complexType>"
    )
    group.write({"parts/part.xsd": schema('<xs:include schemaLocation="../schemas/alpha.xsd"/>' + part)})
    xsd = schema('<xs:include schemaLocation="../parts/part.xsd"/><xs:element name="alpha" type="T"/>')
    assert told(group, xsd, '<alpha n="1">\n<b>1</b></alpha>') == []
    assert told(group, xsd, '<alpha n="1">\n<b>1</b>\n<b>x</b></alpha>') == [
        "line 1, column 1: assertion test is false",
        "line 3, column 1: invalid literal for int() with base 10: 'x'",
    ]
    port = listening.getsockname()[1]
    for address in ("file:///etc/hostname", f"http://127.0.0.1:{port}/x.xsd", "../../../x.xsd", "nix.xsd"):
        (line,) = told(group, xsd.replace("../parts/part.xsd", address) + " ", "<alpha/>")
        assert line.startswith(
            "Document /alpha.xml could not be checked: the schema /schemas/alpha.xsd cannot be used: "
        )
    assert_nobody_called(listening)


def test_a_schema_that_is_wrong_in_both_versions_is_told_by_libxml2(group: GroupOfDocuments) -> None:
    (line,) = told(group, schema('<xs:element name="alpha" type="nix"/>'), "<alpha/>")
    assert "does not resolve to a(n) type definition" in line


@pytest.mark.parametrize("test", ["doc('file:///etc/hostname')", "unparsed-text('file:///etc/hostname')", "1 +"])
def test_assertions_read_nothing(group: GroupOfDocuments, test: str) -> None:
    lines = told(group, schema(element(f'<xs:sequence/><xs:assert test="{test}"/>')), "<alpha/>")
    assert len(lines) == 1
    assert Path("/etc/hostname").read_text().strip() not in lines[0]


BOMBS = {
    "beta": '<xs:element name="beta"><xs:simpleType><xs:restriction base="xs:string"><xs:pattern value="((a+)+)+"/>'
    "</xs:restriction></xs:simpleType></xs:element>",
    "gamma": element(
        '<xs:sequence/><xs:assert test="count(for $i in 1 to 100000, $j in 1 to 100000 return $i) = 1"/>', "gamma"
    ),
}


def bounded(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    limited = partialmethod(Validator.__init__, seconds=seconds, memory=200 * 1024 * 1024)
    monkeypatch.setattr(Validator, "__init__", limited)


def test_a_bomb_is_a_finding_and_the_next_document_goes_on(
    group: GroupOfDocuments, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounded(monkeypatch, 10)
    group.write({f"schemas/{name}.xsd": schema(content, 'vc:minVersion="1.1"') for name, content in BOMBS.items()})
    group.write({"d/beta.xml": f"<beta>{'a' * 40}b</beta>", "d/gamma.xml": "<gamma/>", "d/z.xml": "<z/>"})
    outcome = group.run(path="/d")
    assert outcome.message == "3 documents: 1 well-formed without a schema, 2 could not be checked."
    for name in BOMBS:
        assert any(f"/d/{name}.xml could not be checked: the " in line for line in group.reporter.lines())


def test_load_with_validate_lets_no_bomb_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bounded(monkeypatch, 10)
    place = Place(tmp_path / "root")
    place.folder.write("schemas/beta.xsd", schema(BOMBS["beta"], 'vc:minVersion="1.1"').encode())
    place.upload("m.xml", f"<beta>{'a' * 40}b</beta>".encode())
    assert place.run(load, validate="true").message == "Nothing was loaded: 1 of 1 file is not valid."
    assert not (place.group_path / "m.xml").exists()


def test_without_the_extra_a_document_could_not_be_checked(tmp_path: Path) -> None:
    group = GroupOfDocuments(tmp_path, validate)
    group.write({"d/a.xml": "<alpha/>", "schemas/alpha.xsd": schema(ASSERT)})
    status, sentence, *lines = without_extras(tmp_path, "validate")
    assert (status, sentence) == ("failed", "1 document: 1 could not be checked.")
    assert (
        "Document /d/a.xml could not be checked: the schema /schemas/alpha.xsd cannot be used: it is XML Schema 1.1,"
        " which needs xmlschema, and that is not installed here: pip install 'psthreads[xsd11]' for the workers"
        in lines
    )
