"""Claims about the validate process: what it finds, and how it tells it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from psthreads.authoring.context import Cancelled
from psthreads.authoring.process import Start
from psthreads.documents.layout import Document
from psthreads.domain.errors import DocumentNotFound, UnsafePath
from psthreads.domain.model import Level, Outcome, Status
from psthreads.processes.endings import is_xml
from psthreads.processes.validate import validate
from psthreads.processes.validation.validator import LARGEST_SENT
from tests.support.backends import in_both
from tests.support.group_of_documents import server_of
from tests.support.validating import (
    GROUP,
    MEMBER,
    NOTE_RNG,
    NOTE_SCH,
    NOTE_XSD,
    RNG,
    SCH,
    SECRET,
    XS,
    XSI,
    Running,
    with_secrets_outside,
)


@pytest.fixture
def run(tmp_path: Path, request: pytest.FixtureRequest) -> Running:
    return with_secrets_outside(tmp_path, server_of(request))


@in_both("run")
def test_a_valid_document_is_a_message_and_an_invalid_one_an_error_with_line_and_column(run: Running) -> None:
    run.write(schemas__note_xsd=NOTE_XSD)
    run.write(documents__a_psml="<note><p>1</p></note>", documents__b_psml="<note>\n<p>1</p>\n  <p>é</p><q/></note>")
    run.write(documents__c_psml="<note>\n  <p>1</q></note>")
    outcome = run.run("documents")
    assert outcome == Outcome(Status.FAILED, "3 documents: 1 valid by a schema, 2 not valid.")
    assert run.reporter.lines(Level.INFO) == ["Document /documents/a.psml is valid by /schemas/note.xsd."]
    first, second, third = run.reporter.lines(Level.ERROR)
    assert first.startswith(
        "Document /documents/b.psml is not valid: line 3, column 3: Element 'p': 'é' is not a valid"
    )
    assert second.startswith("Document /documents/b.psml, line 3, column 11: Element 'q'")
    assert third.startswith("Document /documents/c.psml is not valid: line 2, column ")
    assert sum(report.errors for report in run.reporter.reports) == 2
    assert run.reporter.xml.startswith('<progress total="3" current="3"/><report>')


def test_with_warn_the_same_are_warnings_and_the_thread_completes(run: Running) -> None:
    run.write(a_xml="<a>", b_xml="<b/>")
    outcome = run.run(warn=True)
    assert outcome == Outcome(Status.COMPLETED, "2 documents: 1 well-formed without a schema, 1 not valid.")
    assert len(run.reporter.lines(Level.WARN)) == 1
    assert run.reporter.lines(Level.ERROR) == []


@in_both("run")
def test_an_empty_group_completes_and_says_that_there_was_nothing(run: Running) -> None:
    assert run.run() == Outcome(Status.COMPLETED, "There was nothing to check: no XML document below /.")
    run.write(picture_png="not XML")
    assert run.run().message.endswith("below /. 1 other file was not checked.")


@pytest.mark.parametrize(
    "name", ["a.xml", "A.PSML", "b.svg", "c.xsl", "d.xslt", "e.xhtml", "f.ditamap", ".xml", "g.nxml", "h.MusicXML"]
)
def test_xml_is_told_by_its_name(name: str) -> None:
    assert is_xml(name)


@pytest.mark.parametrize("name", ["a.txt", "xml", "a.xml.gz", "a.xmlx", "a.html", "a.xml/b"])
def test_other_names_are_not_xml(name: str) -> None:
    assert not is_xml(name)


@pytest.mark.parametrize(("ending", "schema"), [("xsd", NOTE_XSD), ("rng", NOTE_RNG), ("sch", NOTE_SCH)])
def test_a_groups_schema_of_each_kind_applies_by_the_root_element(run: Running, ending: str, schema: str) -> None:
    run.folder.write(f"schemas/note.{ending}", schema.encode())
    run.write(good_xml="<note><p>1</p></note>", other_xml="<other><p>-1</p></other>")
    assert run.is_valid("good.xml")
    assert run.is_valid("other.xml")
    run.write(bad_xml="<note>\n\n <p>1</p><p>x</p></note>")
    assert "line 3, column 10: " in run.errors("bad.xml")[0]


@pytest.mark.parametrize(
    ("schema", "naming"),
    [
        (NOTE_XSD, '<note {xsi} xsi:noNamespaceSchemaLocation="{href}">{body}</note>'),
        (NOTE_XSD, '<?xml-model href="{href}" schematypens="http://www.w3.org/2001/XMLSchema"?><note>{body}</note>'),
        (NOTE_RNG, '<?xml-model href="{href}"?><!-- c --><note>{body}</note>'),
        (NOTE_RNG, '<?xml-model href="{href}" schematypens="http://relaxng.org/ns/structure/1.0"?><note>{body}</note>'),
        (
            NOTE_SCH,
            '<?xml-model href="{href}" schematypens="http://purl.oclc.org/dsdl/schematron"?><note>{body}</note>',
        ),
    ],
)
@pytest.mark.parametrize("href", ["../mine.schema", "/docs/mine.schema", "../../docs/x%2F../mine.schema"])
def test_a_document_names_its_schema_relative_to_itself_or_to_the_group(
    run: Running, schema: str, naming: str, href: str
) -> None:
    run.folder.write("docs/mine.schema", schema.encode())
    text = naming.replace("{xsi}", XSI).replace("{href}", href)
    run.folder.write("docs/below/a.xml", text.replace("{body}", "<p>1</p>").encode())
    assert run.is_valid()
    run.folder.write("docs/below/a.xml", text.replace("{body}", "<p>x</p>").encode())
    assert not run.is_valid()


def test_a_document_that_names_a_schema_does_not_escape_the_groups(run: Running) -> None:
    run.write(
        schemas__note_sch=NOTE_SCH, lax_rng=f'<element name="note" {RNG}><element name="p"><text/></element></element>'
    )
    run.write(a_xml='<?xml-model href="lax.rng"?><note><p>-1</p></note>')
    assert len(run.errors("a.xml")) == 1
    run.write(a_xml='<?xml-model href="lax.rng"?><?xml-model href="schemas/note.sch"?><note><p>-1</p><q/></note>')
    assert ["A p is positive" in error for error in run.errors("a.xml")].count(True) == 1


def test_several_schemas_named_for_namespaces_all_apply(run: Running) -> None:
    run.write(
        one_xsd=f"""<xs:schema {XS} targetNamespace="urn:1"><xs:element name="a"><xs:complexType><xs:sequence>
        <xs:any namespace="##other"/></xs:sequence></xs:complexType></xs:element></xs:schema>""",
        two_xsd=f'<xs:schema {XS} targetNamespace="urn:2"><xs:element name="b" type="xs:int"/></xs:schema>',
    )
    text = '<a xmlns="urn:1" {} xsi:schemaLocation="urn:1 one.xsd urn:2 two.xsd">\n<b xmlns="urn:2">{}</b></a>'
    run.write(d_xml=text.format(XSI, 1))
    assert run.is_valid("d.xml")
    run.write(d_xml=text.format(XSI, "x"))
    assert "line 2, column 1: " in run.errors("d.xml")[0]


@in_both("run")
def test_all_schemas_of_a_document_apply(run: Running) -> None:
    run.write(schemas__note_xsd=NOTE_XSD, schemas__note_rng=NOTE_RNG, schemas__note_sch=NOTE_SCH)
    run.write(a_xml="<note><p>-4</p><p>13</p></note>")
    assert run.errors("a.xml") == ["Document /a.xml is not valid: line 1, column 7: A p is positive, not -4"]
    run.write(a_xml="<note><p>x</p></note>")
    assert len(run.errors("a.xml")) > 2


@in_both("run")
def test_a_schema_that_cannot_be_used_is_an_error_for_each_document_that_names_it(run: Running) -> None:
    run.write(broken_xsd="<xs:schema", empty_rng=f"<grammar {RNG}/>", text_xml="<text/>", no_xsd=f"<xs:nope {XS}/>")
    hrefs = ["broken.xsd", "text.xml", "no.xsd", ""]
    for number, href in enumerate(hrefs):
        run.folder.write(f"d/{number}.xml", f'<a {XSI} xsi:noNamespaceSchemaLocation="../{href}"/>'.encode())
    run.folder.write("d/rng.xml", b'<?xml-model href="../empty.rng"?><a/>')
    run.folder.write("d/mixed.xml", f'<?xml-model href="../empty.rng" schematypens="{XS[10:-1]}"?><a/>'.encode())
    run.folder.write("d/rnc.xml", b'<?xml-model href="a.rnc" schematypens="urn:rnc"?><a/>')
    assert len(run.errors("d")) == len(hrefs) + 3


@in_both("run")
def test_schemas_are_made_of_parts_inside_the_group(run: Running) -> None:
    run.write(
        schemas__note_xsd=f'<xs:schema {XS}><xs:include schemaLocation="parts/p.xsd"/></xs:schema>',
        schemas__parts__p_xsd=f'<xs:schema {XS}><xs:include schemaLocation="../whole.xsd"/></xs:schema>',
        schemas__whole_xsd=NOTE_XSD,
        schemas__note_rng=f"""<grammar {RNG}><include href="parts/g.rng"><define name="more"><ref name="p"/></define>
        </include></grammar>""",
        schemas__parts__g_rng=f"""<grammar {RNG}><start><element name="note"><zeroOrMore><ref name="more"/></zeroOrMore>
        </element></start><define name="more"><notAllowed/></define>
        <define name="p"><externalRef href="p.rng"/></define></grammar>""",
        schemas__parts__p_rng=f'<element name="p" {RNG}><text/></element>',
        schemas__note_sch=f"""<schema {SCH}><include href="parts/p.sch"/><pattern><rule context="note">
        <extends href="parts/q.sch#two"/></rule></pattern></schema>""",
        schemas__parts__q_sch=f"""<pattern {SCH}><rule id="two" context="none">
        <assert test="p != 3">no 3</assert></rule></pattern>""",
        schemas__parts__p_sch=f"""<pattern {SCH}><rule context="p"><assert test=". != 1">no 1</assert></rule>
        </pattern>""",
    )
    run.write(good_xml="<note><p>2</p></note>", bad_xml="<note><p>1</p></note>", worse_xml="<note><q/></note>")
    assert run.is_valid("good.xml")
    assert run.errors("bad.xml") == ["Document /bad.xml is not valid: line 1, column 7: no 1"]
    assert len(run.errors("worse.xml")) >= 2
    run.write(third_xml="<note><p>3</p></note>")
    assert run.errors("third.xml") == ["Document /third.xml is not valid: line 1, column 1: no 3"]


def test_utf_16_is_xml_too(run: Running) -> None:
    run.write(schemas__note_xsd=NOTE_XSD)
    run.folder.write("a.xml", '<?xml version="1.0" encoding="UTF-16"?><note><p>1</p></note>'.encode("utf-16"))
    assert run.is_valid("a.xml")
    run.folder.write("a.xml", '<?xml version="1.0" encoding="UTF-16"?><note><p>é</p></note>'.encode("utf-16"))
    assert not run.is_valid("a.xml")


def test_at_most_twenty_problems_of_a_document_are_told(run: Running) -> None:
    run.write(schemas__note_xsd=NOTE_XSD)
    run.write(a_xml=f"<note>{'<p>x</p>' * 20}</note>")
    assert len(run.errors("a.xml")) == 20
    run.write(a_xml=f"<note>{'<p>x</p>' * 1_000}</note>")
    errors = run.errors("a.xml")
    assert len(errors) == 21
    assert errors[-1] == "Document /a.xml has more problems than these 20."
    assert sum(report.errors for report in run.reporter.reports) == 1


@in_both("run")
def test_what_is_wrong_in_a_larger_document_is_found_at_its_line_and_column(run: Running) -> None:
    run.write(schemas__note_xsd=NOTE_XSD)
    many = "<p>1</p>\n" * 40_000
    run.write(a_xml=f"<note>\n{many}  <p>x</p>\n{many}<q/></note>")
    first, second = run.errors("a.xml")
    assert (
        first.startswith("Document /a.xml is not valid: line 40002, column 3: Element 'p'")
        or "40002, column 7" in first
    )
    assert second.startswith("Document /a.xml, line 80003, column 1: Element 'q'")
    run.write(a_xml=f"<note>{'<q/>' * 100_000}</note>")
    assert len(run.errors("a.xml")) <= 21


def test_links_and_pipes_are_left_out_with_a_warning(run: Running) -> None:
    (run.inside / "link.xml").symlink_to(run.root.parent / "outside.xml")
    (run.inside / "linked").symlink_to(run.root.parent)
    run.write(a_xml="<a/>")
    assert run.run() == Outcome(Status.COMPLETED, "1 document: 1 well-formed without a schema.")
    assert len(run.reporter.lines(Level.WARN)) == 2
    assert SECRET not in "".join(run.reporter.lines())


def test_a_document_that_becomes_a_link_or_goes_meanwhile_is_a_warning(run: Running) -> None:
    run.write(a_xml="<a/>", b_xml="<b/>", c_xml="<c/>")
    contents = run.folder.contents

    def swapped(*arguments: Any) -> Iterator[tuple[Document, bytes | None]]:
        for number, document in enumerate(contents(*arguments)):
            yield document
            if not number:
                for name in ("b.xml", "c.xml"):
                    (run.inside / name).unlink()
                (run.inside / "b.xml").symlink_to(run.root.parent / "outside.xml")

    run.folder.contents = swapped  # type: ignore[method-assign, assignment]
    assert run.run() == Outcome(Status.COMPLETED, "1 document: 1 well-formed without a schema.")
    assert len(run.reporter.lines(Level.WARN)) == 2


def test_a_large_document_that_goes_before_its_turn_is_a_warning(run: Running) -> None:
    run.write(a_xml="<a/>", b_xml="<b/>" + " " * LARGEST_SENT)
    contents = run.folder.contents

    def removed(*arguments: Any) -> Iterator[tuple[Document, bytes | None]]:
        for document in contents(*arguments):
            (run.inside / "b.xml").unlink(missing_ok=True)
            yield document

    run.folder.contents = removed  # type: ignore[method-assign, assignment]
    assert run.run() == Outcome(Status.COMPLETED, "1 document: 1 well-formed without a schema.")
    assert len(run.reporter.lines(Level.WARN)) == 1


@in_both("run")
def test_a_cancel_ends_it_between_two_documents(run: Running) -> None:
    run.write(a_xml="<a/>", b_xml="<b/>")
    context = run.context()
    say = context.message

    def message(text: str) -> None:
        say(text)
        context.interrupt(Cancelled())

    context.message = message  # type: ignore[method-assign]
    with pytest.raises(Cancelled):
        validate.function(context)
    for report in context.close():
        run.reporter.report(report)
    assert run.reporter.lines() == ["Document /a.xml is well-formed; no schema applies to it."]


@pytest.mark.parametrize(
    ("path", "error"),
    [("../8", UnsafePath), ("nope", DocumentNotFound), ("%2e%2e", DocumentNotFound), ("link", UnsafePath)],
)
def test_an_unknown_or_unsafe_path_is_refused_before_anything_starts(
    run: Running, path: str, error: type[Exception]
) -> None:
    (run.inside / "link").symlink_to(run.root.parent)
    (check,) = validate.checks
    with pytest.raises(error):
        check(Start(MEMBER, GROUP, run.folder, run.documents.scratch, validate.read({"path": path})))
    assert check(Start(MEMBER, GROUP, run.folder, run.documents.scratch, validate.read({}))) is None
    with pytest.raises(error):
        run.run(path)
