"""Claims about verdicts: each of the four means what it says, however a document is checked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from psthreads.domain.model import Level, Status
from psthreads.processes.load import load
from psthreads.processes.validation.verdict import UNREADABLE, Verdict, VerdictKind, decode, encode
from psthreads.processes.xml import checking as _checking
from psthreads.processes.xml.parsing import DocumentProblem
from tests.support.loading import Place
from tests.support.validating import NOTE_RNG, NOTE_SCH, NOTE_XSD, RNG, XS, Running

ID_XSD = f"""\
<xs:schema {XS}><xs:element name="list"><xs:complexType><xs:sequence>
<xs:element name="item" maxOccurs="unbounded"><xs:complexType><xs:attribute name="id" type="xs:ID"/></xs:complexType>
</xs:element></xs:sequence></xs:complexType></xs:element></xs:schema>"""


@pytest.fixture
def run(tmp_path: Path) -> Running:
    return Running(tmp_path / "root")


def test_each_kind_is_told_apart_in_messages_and_counts(run: Running) -> None:
    run.write(schemas__note_xsd=NOTE_XSD, schemas__bad_rng="<grammar/>")
    run.write(d__a_xml="<note><p>1</p></note>", d__b_xml="<b/>", d__c_xml="<note/>", d__e_xml="<bad/>", d__f_xml="<f/>")
    outcome = run.run("d")
    assert outcome.status is Status.FAILED
    assert outcome.message == (
        "5 documents: 1 valid by a schema, 2 well-formed without one, 1 not valid, 1 could not be checked."
    )
    assert run.reporter.lines(Level.INFO) == [
        "Document /d/a.xml is valid by /schemas/note.xsd.",
        "Document /d/b.xml is well-formed; no schema applies to it.",
        "Document /d/f.xml is well-formed; no schema applies to it.",
    ]
    invalid, unchecked = run.reporter.lines(Level.ERROR)
    assert invalid.startswith("Document /d/c.xml is not valid: line 1, column 1: ")
    assert unchecked.startswith("Document /d/e.xml could not be checked: the schema /schemas/bad.rng cannot be used: ")


def test_a_document_of_several_schemas_is_valid_by_all_of_them(run: Running) -> None:
    run.write(schemas__note_xsd=NOTE_XSD, schemas__note_rng=NOTE_RNG, schemas__note_sch=NOTE_SCH)
    run.write(a_xml="<note><p>1</p></note>")
    run.run("a.xml")
    assert run.reporter.lines() == [
        "Document /a.xml is valid by /schemas/note.xsd and /schemas/note.rng and /schemas/note.sch."
    ]


def test_where_one_schema_cannot_be_used_the_others_still_are(run: Running) -> None:
    run.write(schemas__note_xsd=NOTE_XSD, schemas__note_rng="<grammar/>", a_xml="<note><p>x</p></note>")
    first, second = run.errors("a.xml")
    assert first.startswith("Document /a.xml is not valid: line 1, column 7: ")
    assert second.startswith("Document /a.xml could not be checked to the end: the schema /schemas/note.rng ")


def test_a_schema_may_be_required(run: Running) -> None:
    run.write(schemas__note_xsd=NOTE_XSD, a_xml="<note><p>1</p></note>", b_xml="<b/>")
    assert run.run("a.xml", require_schema=True).status is Status.COMPLETED
    assert run.run("b.xml").status is Status.COMPLETED
    outcome = run.run("b.xml", require_schema=True)
    assert outcome.status is Status.FAILED
    assert run.reporter.lines(Level.ERROR) == [
        "Document /b.xml is well-formed, but no schema applies to it, and one is required"
    ]
    assert run.run("b.xml", require_schema=True, warn=True).status is Status.COMPLETED


def test_what_libxml2_calls_invalid_without_a_message_is_not_valid(run: Running) -> None:
    run.folder.write(
        "schemas/memo.rng",
        f"<element {RNG}><anyName><except><name>memo</name></except></anyName><text/></element>".encode(),
    )
    run.write(a_xml="<memo>text</memo>")
    (error,) = run.errors("a.xml")
    assert error.startswith("Document /a.xml is not valid: line 1, column 1: ")


@pytest.mark.parametrize("namespace", ["", ' xmlns:x="urn:x"'])
@pytest.mark.parametrize("size", [0, 300_000, 6_000_000])
def test_an_id_that_is_there_twice_is_found_in_documents_of_any_size(run: Running, namespace: str, size: int) -> None:
    filler = " " * size
    run.write(schemas__list_xsd=ID_XSD)
    run.write(a_xml=f'<list{namespace}><item id="a"/>{filler}<item id="a"/></list>')
    (error,) = run.errors("a.xml")
    assert "attribute 'id': 'a'" in error
    run.write(a_xml=f'<list{namespace}><item id="a"/>{filler}<item id="b"/></list>')
    assert run.is_valid("a.xml")


def test_an_id_of_a_part_of_the_schema_counts_too(run: Running) -> None:
    run.write(schemas__list_xsd=f'<xs:schema {XS}><xs:include schemaLocation="part.xsd"/></xs:schema>')
    run.folder.write("schemas/part.xsd", f'<?xml version="1.0" encoding="UTF-16"?>{ID_XSD}'.encode("utf-16"))
    run.write(a_xml='<list><item id="a"/><item id="a"/></list>')
    assert len(run.errors("a.xml")) == 1


@pytest.mark.parametrize(("ending", "schema"), [("rng", NOTE_RNG), ("sch", NOTE_SCH), ("xsd", NOTE_XSD)])
def test_a_large_document_is_checked_by_schemas_of_every_kind(run: Running, ending: str, schema: str) -> None:
    run.folder.write(f"schemas/note.{ending}", schema.encode())
    start = f"<note>{('<p>1</p>' + ' ' * 1_000) * 17_000}"
    run.write(a_xml=f"{start}<p>2</p></note>")
    assert run.run("a.xml").message == "1 document: 1 valid by a schema."
    run.write(a_xml=f"{start}<p>-x</p></note>")
    (error, *_) = run.errors("a.xml")
    assert re.search(rf"is not valid: line 1, column {len(start) + 1}: |column {len(start) + 6}: ", error)


def test_what_is_too_large_to_be_checked_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_checking, "LARGEST_TREE", 4_500_000)
    place = Place(tmp_path / "root")
    place.folder.write("schemas/note.rng", NOTE_RNG.encode())
    place.upload("a.xml", f"<note>{'<p>x</p>' * 600_000}</note>".encode())
    outcome = place.run(load, validate="true")
    assert outcome.status is Status.FAILED
    assert place.lines()[0] == (
        "Document /a.xml could not be checked: it is too large to be checked by /schemas/note.rng"
    )
    assert not (place.group_path / "a.xml").exists()


def test_a_verdict_comes_back_as_it_was() -> None:
    verdict = Verdict((DocumentProblem(1, 2, "é", "/a.rng"),), ("/b.xsd",), ("too large",), ("a note",))
    assert decode(encode(verdict)) == verdict
    assert verdict.kind is VerdictKind.INVALID


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"[1,2,3,4]", b'{"a":1}', b"[[[1]],[],[],[]]", b"null"])
def test_what_is_no_verdict_is_taken_for_a_document_that_was_not_checked(data: bytes) -> None:
    assert decode(data) == Verdict(unchecked=(UNREADABLE,))
