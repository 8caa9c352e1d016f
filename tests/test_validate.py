"""Claims about the validate process: what it finds, how it tells it, and what it never reads."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from psthreads.access import Group, Member
from psthreads.context import Cancelled, Context
from psthreads.documents import Documents, GroupFolder
from psthreads.errors import DocumentNotFound, UnsafePath
from psthreads.model import Level, Outcome, Report, Standing, Status
from psthreads.processes.validate import is_xml, validate
from psthreads.registry import Start

GROUP = Group(7, "acme")
MEMBER = Member(1, "jjones")
SECRET = "the secret outside"
XS = 'xmlns:xs="http://www.w3.org/2001/XMLSchema"'
XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
RNG = 'xmlns="http://relaxng.org/ns/structure/1.0"'
SCH = 'xmlns="http://purl.oclc.org/dsdl/schematron"'
NOTE_XSD = f"""\
<xs:schema {XS}><xs:element name="note"><xs:complexType><xs:sequence>
<xs:element name="p" type="xs:int" maxOccurs="unbounded"/></xs:sequence></xs:complexType></xs:element></xs:schema>"""
NOTE_RNG = f"""\
<element name="note" {RNG} datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes">
<oneOrMore><element name="p"><data type="int"/></element></oneOrMore></element>"""
NOTE_SCH = f"""\
<schema {SCH}><pattern><rule context="p"><assert test=". &gt; 0">A p is positive, not <value-of select="."/>.</assert>
<report test=". = 13" role="warning">Bad luck.</report></rule></pattern></schema>"""


class Reports:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.reports: list[Report] = []

    def report(self, report: Report) -> Standing:
        self.reports.append(report)
        return Standing.OWNED

    def lines(self, level: Level | None = None) -> list[str]:
        lines = (line for report in self.reports for line in report.lines)
        return [line.message for line in lines if level in {None, line.level}]

    @property
    def xml(self) -> str:
        return [report.xml for report in self.reports if report.xml is not None][-1]


class Running:
    """A group's folder, and the process run in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.documents = Documents(root)
        self.folder: GroupFolder = self.documents.group(GROUP)
        self.inside = root / "groups" / "7"
        self.folder.create()
        self.reporter = Reports()

    def context(self) -> Context:
        self.reporter = Reports()
        return Context(
            thread_id="0" * 32,
            member=MEMBER,
            group=GROUP,
            folder=self.folder,
            results=self.documents.results(GROUP.id),
            scratch=self.documents.scratch,
            reporter=self.reporter,
        )

    def write(self, **documents: str) -> None:
        for name, text in documents.items():
            self.folder.write(name.replace("__", "/").replace("_", "."), text.encode())

    def run(self, path: str = "/", *, warn: bool = False) -> Outcome:
        context = self.context()
        outcome = validate.function(context, path, warn)
        for report in context.close():
            self.reporter.report(report)
        assert isinstance(outcome, Outcome)
        return outcome

    def errors(self, path: str = "/") -> list[str]:
        """What is said at ERROR level, when a run fails because of it."""
        assert self.run(path).status is Status.FAILED
        everything = "\n".join(self.reporter.lines())
        assert SECRET not in everything
        assert str(self.root) not in everything
        assert "lxml" not in everything
        return self.reporter.lines(Level.ERROR)

    def is_valid(self, path: str = "/") -> bool:
        status = self.run(path).status
        assert (status is Status.COMPLETED) == (not self.reporter.lines(Level.ERROR))
        return status is Status.COMPLETED


@pytest.fixture
def run(tmp_path: Path) -> Running:
    (tmp_path / "outside.xml").write_text(f"<p>{SECRET}</p>")
    (tmp_path / "outside.xsd").write_text(f'<xs:schema {XS}><xs:element name="out" type="xs:string"/></xs:schema>')
    (tmp_path / "outside.rng").write_text(
        f'<grammar {RNG}><start><element name="note"><text/></element></start></grammar>'
    )
    (tmp_path / "outside.sch").write_text(f'<pattern {SCH}><rule context="p"><assert test="1"/></rule></pattern>')
    return Running(tmp_path / "root")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server that nobody may call."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_valid_document_is_a_message_and_an_invalid_one_an_error_with_line_and_column(run: Running) -> None:
    run.write(schemas__note_xsd=NOTE_XSD)
    run.write(documents__a_psml="<note><p>1</p></note>", documents__b_psml="<note>\n<p>1</p>\n  <p>é</p><q/></note>")
    run.write(documents__c_psml="<note>\n  <p>1</q></note>")
    outcome = run.run("documents")
    assert outcome == Outcome(Status.FAILED, "2 of 3 documents are not valid.")
    assert run.reporter.lines(Level.INFO) == ["Document /documents/a.psml is valid."]
    first, second, third = run.reporter.lines(Level.ERROR)
    assert first.startswith(
        "Document /documents/b.psml is not valid: line 3, column 3: Element 'p': 'é' is not a valid"
    )
    assert second.startswith("Document /documents/b.psml, line 3, column 11: Element 'q'")
    assert third.startswith("Document /documents/c.psml is not valid: line 2, column ")
    assert sum(report.errors for report in run.reporter.reports) == 2
    assert run.reporter.xml == '<progress total="3" current="3"/>'


def test_with_warn_the_same_are_warnings_and_the_thread_completes(run: Running) -> None:
    run.write(a_xml="<a>", b_xml="<b/>")
    outcome = run.run(warn=True)
    assert outcome == Outcome(Status.COMPLETED, "1 of 2 documents is not valid.")
    assert len(run.reporter.lines(Level.WARN)) == 1
    assert run.reporter.lines(Level.ERROR) == []


def test_an_empty_group_completes_and_says_that_there_was_nothing(run: Running) -> None:
    assert run.run() == Outcome(Status.COMPLETED, "There was nothing to check: no XML document below /.")
    run.write(picture_png="not XML")
    assert run.run().message.endswith("below /. 1 other file was not checked.")


@pytest.mark.parametrize("name", ["a.xml", "A.PSML", "b.svg", "c.xsl", "d.xslt", "e.xhtml", "f.ditamap", ".xml"])
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


def test_all_schemas_of_a_document_apply(run: Running) -> None:
    run.write(schemas__note_xsd=NOTE_XSD, schemas__note_rng=NOTE_RNG, schemas__note_sch=NOTE_SCH)
    run.write(a_xml="<note><p>-4</p><p>13</p></note>")
    assert run.errors("a.xml") == ["Document /a.xml is not valid: line 1, column 7: A p is positive, not -4"]
    run.write(a_xml="<note><p>x</p></note>")
    assert len(run.errors("a.xml")) > 2


def test_a_schema_that_cannot_be_had_is_an_error_for_each_document_that_names_it(run: Running) -> None:
    run.write(broken_xsd="<xs:schema", empty_rng=f"<grammar {RNG}/>", text_xml="<text/>", no_xsd=f"<xs:nope {XS}/>")
    hrefs = ["nope.xsd", "broken.xsd", "text.xml", "no.xsd", "", "[", "http://[", "a%00b", "."]
    for number, href in enumerate(hrefs):
        run.folder.write(f"d/{number}.xml", f'<a {XSI} xsi:noNamespaceSchemaLocation="../{href}"/>'.encode())
    run.folder.write("d/rng.xml", b'<?xml-model href="../empty.rng"?><a/>')
    run.folder.write("d/mixed.xml", f'<?xml-model href="../empty.rng" schematypens="{XS[10:-1]}"?><a/>'.encode())
    run.folder.write("d/rnc.xml", b'<?xml-model href="a.rnc" schematypens="urn:rnc"?><a/>')
    assert len(run.errors("d")) == len(hrefs) + 3


def test_nothing_is_checked_against_a_schema_outside_the_group(run: Running, listener: socket.socket) -> None:
    outside = run.root.parent
    (run.inside / "link.xsd").symlink_to(outside / "outside.xsd")
    (run.inside / "linked").symlink_to(outside)
    port = listener.getsockname()[1]
    hrefs = [
        f"{outside}/outside.xsd",
        f"file://{outside}/outside.xsd",
        "../../../outside.xsd",
        "..%2f..%2f..%2foutside.xsd",
        "link.xsd",
        "linked/outside.xsd",
        f"http://127.0.0.1:{port}/outside.xsd",
        f"//127.0.0.1:{port}/outside.xsd",
        "file:///etc/passwd",
        "group://host/outside.xsd",
        "group:///../../../outside.xsd",
    ]
    for href in hrefs:
        run.write(a_xml=f'<out {XSI} xsi:noNamespaceSchemaLocation="{href}"/>')
        (error,) = run.errors("a.xml")
        assert error.startswith("Document /a.xml is not valid: line 1, column 1: ")


def test_locations_on_other_elements_are_not_loaded(run: Running, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    run.write(
        schemas__a_xsd=f"""<xs:schema {XS}><xs:element name="a"><xs:complexType><xs:sequence>
        <xs:any namespace="##any" processContents="lax"/></xs:sequence></xs:complexType></xs:element></xs:schema>""",
        a_xml=f"""<a><out {XSI} xsi:noNamespaceSchemaLocation="file://{run.root.parent}/outside.xsd">
        <b xmlns="urn:b" xsi:schemaLocation="urn:b http://127.0.0.1:{port}/b.xsd"/></out></a>""",
    )
    assert run.is_valid("a.xml")  # By outside.xsd, `out` could hold no element.


def escapes(outside: Path, name: str, port: int) -> list[str]:
    return [
        f"{outside}/{name}",
        f"file://{outside}/{name}",
        f"../../../../{name}",
        f"linked/{name}",
        f"http://127.0.0.1:{port}/{name}",
    ]


XSD_INCLUDES = [
    '<xs:include schemaLocation="{}"/>',
    '<xs:import namespace="urn:x" schemaLocation="{}"/>',
    '<xs:redefine schemaLocation="{}"/>',
]
RNG_INCLUDES = [
    '<include href="{}"/>',
    '<start><externalRef href="{}"/></start>',
    '<div><include href="{}"><start><text/></start></include></div>',
]
SCH_INCLUDES = [
    '<include href="{}"/>',
    '<pattern><rule context="p"><extends href="{}"/></rule></pattern>',
    '<pattern><rule context="p"><assert test="document(\'{}\')">{}</assert></rule></pattern>',
    '<pattern><rule context="document(\'{}\')//p"><report test="true()"/></rule></pattern>',
    '<let name="x" value="document(\'{}\')"/><pattern><rule context="p"><report test="$x"/></rule></pattern>',
]


@pytest.mark.parametrize(
    ("ending", "schema", "include"),
    [
        *(("xsd", f'<xs:schema {XS}>{{}}<xs:element name="note"/></xs:schema>', include) for include in XSD_INCLUDES),
        *(("rng", f"<grammar {RNG}>{{}}</grammar>", include) for include in RNG_INCLUDES),
        *(("sch", f"<schema {SCH}>{{}}</schema>", include) for include in SCH_INCLUDES),
    ],
)
def test_a_schema_includes_nothing_from_outside_the_group(
    run: Running, listener: socket.socket, ending: str, schema: str, include: str
) -> None:
    outside = run.root.parent
    run.write(note_xml="<note><p>1</p></note>")
    (run.inside / "linked").symlink_to(outside)
    for href in escapes(outside, f"outside.{ending}", listener.getsockname()[1]):
        text = schema.replace("{}", include.replace("{}", href))
        run.folder.write(f"schemas/note.{ending}", text.encode())
        (error,) = run.errors("note.xml")
        assert f"/schemas/note.{ending} cannot be" in error


@pytest.mark.parametrize("base", ["file://{}/", "http://127.0.0.1:{port}/"])
def test_a_base_attribute_moves_no_reference_outside(run: Running, listener: socket.socket, base: str) -> None:
    base = base.replace("{port}", str(listener.getsockname()[1])).replace("{}", str(run.root.parent))
    run.write(note_xml="<note>text</note>")
    run.write(schemas__note_rng=f'<grammar {RNG} xml:base="{base}"><include href="outside.rng"/></grammar>')
    run.errors("note.xml")


@pytest.mark.parametrize(
    "declaration",
    [
        '<!ENTITY x SYSTEM "file://{}/outside.xml">',
        '<!ENTITY % x SYSTEM "file://{}/outside.xml"> %x;',
        '<!ENTITY x "y">',
    ],
)
@pytest.mark.parametrize("part", ["note.xsd", "part.xsd"])
def test_a_schema_or_what_it_includes_declares_no_entities(run: Running, declaration: str, part: str) -> None:
    run.write(
        note_xml="<note/>", schemas__note_xsd=f'<xs:schema {XS}><xs:include schemaLocation="part.xsd"/></xs:schema>'
    )
    run.write(schemas__part_xsd=f'<xs:schema {XS}><xs:element name="note"/></xs:schema>')
    assert run.is_valid("note.xml")
    text = (run.inside / "schemas" / part).read_text()
    doctype = f"<!DOCTYPE xs:schema [{declaration.replace('{}', str(run.root.parent))}]>"
    run.folder.write(f"schemas/{part}", (doctype + text).encode())
    (error,) = run.errors("note.xml")
    assert "declares the entity 'x'" in error


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


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        ("rng", f'<grammar {RNG}><include href="note.rng"/></grammar>'),
        ("rng", f'<externalRef {RNG} href="note.rng"/>'),
        ("sch", f'<schema {SCH}><include href="note.sch"/></schema>'),
        ("sch", f'<schema {SCH} queryBinding="xslt2"><pattern/></schema>'),
        ("sch", f'<schema {SCH}><pattern><rule context="p["><assert test="1"/></rule></pattern></schema>'),
    ],
)
def test_schemas_that_go_in_circles_or_cannot_work_are_errors(run: Running, ending: str, text: str) -> None:
    run.folder.write(f"schemas/note.{ending}", text.encode())
    run.write(note_xml="<note><p>1</p></note>")
    assert len(run.errors("note.xml")) == 1


def test_includes_that_multiply_are_refused(run: Running) -> None:
    for number in range(12):
        twice = f'<externalRef href="{number + 1}.rng"/>' * 4
        run.folder.write(f"schemas/{number}.rng", f'<element name="note" {RNG}>{twice}</element>'.encode())
    run.folder.write("schemas/12.rng", f"<text {RNG}/>".encode())
    run.write(note_xml='<?xml-model href="schemas/0.rng"?><note/>')
    assert "too often" in run.errors("note.xml")[0]


LAUGHS = "".join(f'<!ENTITY l{number} "{f"&l{number - 1};" * 10}">' for number in range(1, 12))


@pytest.mark.parametrize(
    "text",
    [
        f'<!DOCTYPE a [<!ENTITY l0 "lol">{LAUGHS}]><a>&l11;</a>',
        f'<!DOCTYPE a [<!ENTITY l0 "lol">{LAUGHS}]><a b="&l11;"/>',
        f'<!DOCTYPE a [<!ENTITY l0 "{"lol" * 10_000}">]><a>{"&l0;" * 10_000}</a>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file://{}/outside.xml">]><a>&x;</a>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "../../../outside.xml">]><a>&x;</a>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "http://127.0.0.1:{port}/">]><a>&x;</a>',
        '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:{port}/"> %x;]><a/>',
        '<!DOCTYPE a [<!ENTITY % x SYSTEM "file://{}/outside.xml"> %x;]><a/>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:{port}/a.dtd"><a>&x;</a>',
        '<!DOCTYPE a PUBLIC "x" "file://{}/outside.xml"><a b="&x;">&x;</a>',
    ],
)
def test_an_entity_bomb_or_an_external_entity_is_one_clear_error(
    run: Running, listener: socket.socket, text: str
) -> None:
    port = str(listener.getsockname()[1])
    run.write(a_xml=text.replace("{}", str(run.root.parent)).replace("{port}", port))
    (error,) = run.errors("a.xml")
    assert error.startswith("Document /a.xml is not valid: line 1, column ")
    assert "entit" in error
    assert "xmlCtxt" not in error


def test_a_doctype_without_entities_is_no_problem_and_nothing_is_loaded(run: Running, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    run.write(
        a_xml=f'<!DOCTYPE a SYSTEM "http://127.0.0.1:{port}/a.dtd"><a xmlns:xi="http://www.w3.org/2001/XInclude"/>'
    )
    run.write(
        b_xml=f'<b xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="{run.root.parent}/outside.xml"/></b>'
    )
    assert run.is_valid()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"\xff\xfe",
        b"text",
        b"<a>\xff</a>",
        b"<a/><b/>",
        b"<x:a/>",
        b"<a>" * 10_000,
        b"\x1f\x8b\x08\x00\x00",
    ],
)
def test_whatever_is_no_xml_is_one_error_with_line_and_column(run: Running, content: bytes) -> None:
    run.folder.write("a.xml", content)
    (error,) = run.errors()
    assert error.startswith("Document /a.xml is not valid: line 1, column ")
    assert "XML_PARSE_HUGE" not in error


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
    assert run.run() == Outcome(Status.COMPLETED, "1 document is valid.")
    assert len(run.reporter.lines(Level.WARN)) == 2
    assert SECRET not in "".join(run.reporter.lines())


def during(run: Running, act: Callable[[], object]) -> Outcome:
    """Run the process and act after its first message."""
    context = run.context()
    say = context.message

    def message(text: str) -> None:
        say(text)
        act()

    context.message = message  # type: ignore[method-assign]
    outcome = validate.function(context)
    for report in context.close():
        run.reporter.report(report)
    assert isinstance(outcome, Outcome)
    return outcome


def test_a_document_that_becomes_a_link_or_goes_meanwhile_is_a_warning(run: Running) -> None:
    run.write(a_xml="<a/>", b_xml="<b/>", c_xml="<c/>")

    def swap() -> None:
        for name in ("b.xml", "c.xml"):
            (run.inside / name).unlink(missing_ok=True)
        (run.inside / "b.xml").symlink_to(run.root.parent / "outside.xml")

    assert during(run, swap) == Outcome(Status.COMPLETED, "1 document is valid.")
    assert len(run.reporter.lines(Level.WARN)) == 2


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
    assert run.reporter.lines() == ["Document /a.xml is valid."]


def test_ten_thousand_documents_are_each_an_event(run: Running) -> None:
    run.write(schemas__note_xsd=NOTE_XSD)
    for part in range(100):
        below = run.inside / "many" / f"{part:03}"
        below.mkdir(parents=True)
        for number in range(100):
            value = "x" if number == 50 else "1"
            (below / f"{number:03}.xml").write_text(f"<note><p>{value}</p></note>")
    assert run.run("many") == Outcome(Status.FAILED, "100 of 10,000 documents are not valid.")
    assert len(run.reporter.lines(Level.INFO)) == 9_900
    assert len(run.reporter.lines(Level.ERROR)) == 100
    assert 'total="10000" current="10000"' in run.reporter.xml


LARGE = dedent("""
    import sys
    from pathlib import Path
    sys.path.insert(0, str(Path(sys.argv[2])))
    from test_validate import Running

    def peak():
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

    run = Running(Path(sys.argv[1]))
    run.write(warm__a_xml="<note><p>1</p></note>")
    run.run("warm")
    base = peak()
    print(run.run("large").message)
    print(*run.reporter.lines(), sep="\\n")
    print(peak() - base)
""")


@pytest.mark.parametrize("kind", ["valid", "invalid", "bomb", "text"])
def test_a_document_of_200_mb_is_checked_with_bounded_memory(run: Running, kind: str) -> None:
    run.write(schemas__note_xsd=NOTE_XSD, schemas__note_rng=NOTE_RNG)
    (run.inside / "large").mkdir()
    with (run.inside / "large" / "a.xml").open("wb") as file:
        if kind == "bomb":
            file.write(f'<!DOCTYPE note [<!ENTITY l0 "lol">{LAUGHS}]><note b="&l11;">'.encode())
        else:
            file.write(b"<note>\n")
        block = b"x" * 1_000_000 if kind == "text" else b"<p>" + b" " * 900 + b"1</p>\n"
        for _ in range(200_000_000 // len(block)):
            file.write(block)
        file.write(b"<q/></note>" if kind == "invalid" else b"</note>")
    here = Path(__file__).parent
    command = [sys.executable, "-c", LARGE, str(run.root), str(here)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=here.parent)
    outcome, *lines, grown = done.stdout.splitlines()
    assert int(grown) < 50_000  # kB
    assert lines[0].endswith("MB: it is checked while it is read.")
    if kind == "valid":
        assert outcome == "1 document is valid."
        assert lines[1] == "Document /large/a.xml is well-formed, but too large to be checked by /schemas/note.rng."
    else:
        assert outcome == "1 of 1 document is not valid."
        where = {"invalid": f"line {200_000_000 // 909 + 2}, column 1: Element 'q'", "bomb": "", "text": "line "}[kind]
        assert f"Document /large/a.xml is not valid: {where}" in lines[1]


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
