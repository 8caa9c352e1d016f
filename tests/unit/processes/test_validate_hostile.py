"""Claims about documents and schemas that mean ill: what the validate process never reads, and never does."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from psthreads.domain.model import Level
from tests.support.validating import RNG, SCH, SECRET, XS, XSI, Running, with_secrets_outside


@pytest.fixture
def run(tmp_path: Path) -> Running:
    return with_secrets_outside(tmp_path)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server that nobody may call."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server
        with pytest.raises(BlockingIOError):
            server.accept()


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
        run.write(a_xml=f'<out {XSI} xsi:noNamespaceSchemaLocation="{href}"><p/></out>')  # By outside.xsd not valid.
        if href.startswith("link"):
            (error,) = run.errors("a.xml")
            assert "link" in error
        else:
            assert run.is_valid("a.xml")
            (warning,) = run.reporter.lines(Level.WARN)
            assert "could not be had" in warning
            assert SECRET not in warning


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
        '<!ENTITY % x SYSTEM "../../../outside.xml"> %x;',
        '<!ENTITY x "&x;">',
    ],
)
@pytest.mark.parametrize("part", ["note.xsd", "part.xsd"])
def test_no_entity_of_a_schema_or_what_it_includes_leads_outside(run: Running, declaration: str, part: str) -> None:
    run.write(
        note_xml="<note/>", schemas__note_xsd=f'<xs:schema {XS}><xs:include schemaLocation="part.xsd"/></xs:schema>'
    )
    run.write(schemas__part_xsd=f'<xs:schema {XS}><xs:element name="note"/></xs:schema>')
    assert run.is_valid("note.xml")
    text = (run.inside / "schemas" / part).read_text().replace("</xs:schema>", "<!-- &x; -->&x;</xs:schema>")
    doctype = f"<!DOCTYPE xs:schema [{declaration.replace('{}', str(run.root.parent))}]>"
    run.folder.write(f"schemas/{part}", (doctype + text).encode())
    (error,) = run.errors("note.xml")
    assert "entity" in error


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        ("rng", f'<grammar {RNG}><include href="note.rng"/></grammar>'),
        ("rng", f'<externalRef {RNG} href="note.rng"/>'),
        ("sch", f'<schema {SCH}><include href="note.sch"/></schema>'),
        ("sch", f'<schema {SCH} queryBinding="stx"><pattern/></schema>'),
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
    assert error.startswith(("Document /a.xml is not valid: line 1, column ", "Document /a.xml could not be checked: "))
    assert "entit" in error.lower()
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
        b"\x1f\x8b\x08\x00\x00",
    ],
)
def test_whatever_is_no_xml_is_one_error_with_line_and_column(run: Running, content: bytes) -> None:
    run.folder.write("a.xml", content)
    (error,) = run.errors()
    assert error.startswith("Document /a.xml is not valid: line 1, column ")
    assert "XML_PARSE_HUGE" not in error
