"""Claims about RELAX NG: verdicts as the specification has them, also where libxml2 has others."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from psthreads.domain.model import Level
from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.xml.relaxng import patterns as _patterns
from psthreads.processes.xml.relaxng.schema import RelaxNgSchema
from tests.support.validating import RNG, Running

TYPES = 'datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes"'


def empty(*names: str) -> str:
    return "".join(f'<element name="{name}"><empty/></element>' for name in names)


def inside(content: str) -> str:
    return f'<element name="a" {RNG} {TYPES}>{content}</element>'


# The content of a schema, valid documents, and others that are not.
CASES = [
    (
        f"<oneOrMore><interleave>{empty('b', 'c')}</interleave></oneOrMore>",  # 6.2.4: libxml2 takes it for a group
        ["<a><b/><c/><c/><b/></a>", "<a><c/><b/></a>"],
        ["<a><b/><b/><c/><c/></a>", "<a/>"],
    ),
    (
        (
            f"<interleave><group>{empty('b')}<zeroOrMore><text/></zeroOrMore></group>"
            '<element name="d"><element name="b"><oneOrMore><attribute name="x"/></oneOrMore></element></element>'
            "</interleave>"
        ),
        ['<a><b/>x<d><b x=""/></d></a>', '<a><d><b x=""/></d><b/>x</a>'],
        ["<a><b/><d><b/></d></a>", '<a>x<b x=""/></a>'],
    ),
    (
        f"<interleave><oneOrMore>{empty('b')}</oneOrMore><group>{empty('c', 'd')}</group><text/></interleave>",
        ["<a><b/><c/>x<b/><d/></a>", "<a><c/><d/><b/></a>"],
        ["<a><b/><d/><c/></a>", "<a><c/><d/></a>"],
    ),
    (
        (
            "<zeroOrMore><element><anyName><except><name>b</name></except></anyName><empty/></element></zeroOrMore>"
            f"{empty('b')}"
        ),
        ["<a><b/></a>", '<a><x/><y xmlns="urn:y"/><b/></a>'],
        ["<a><x/></a>", "<a><b/><b/></a>"],
    ),
    (
        (
            "<oneOrMore><attribute><anyName><except><name>x</name></except></anyName></attribute></oneOrMore>"
            '<attribute name="x"><value>1</value></attribute>'
        ),
        ["<a x='1' y='2'/>", "<a y='2' x='1' z=''/>"],
        ["<a x='1'/>", "<a x='2' y='2'/>", "<a y='1'/>"],
    ),
    (
        (
            f'<choice><group><attribute name="t"><value>b</value></attribute>{empty("b")}</group>'
            f'<group><attribute name="t"><value>c</value></attribute>{empty("c")}</group></choice>'
        ),
        ["<a t='b'><b/></a>", "<a t=' c '><c/></a>"],
        ["<a t='b'><c/></a>", "<a><b/></a>"],
    ),
    (
        (
            f'<choice><group><element name="b"><value>1</value></element>{empty("c")}</group>'
            f'<group><element name="b"><text/></element>{empty("d")}</group></choice>'
        ),
        ["<a><b>1</b><c/></a>", "<a><b>1</b><d/></a>", "<a><b>2</b><d/></a>"],
        ["<a><b>2</b><c/></a>"],
    ),
    (f"<zeroOrMore>{empty('b')}</zeroOrMore>{empty('b')}", ["<a><b/></a>", "<a><b/><b/><b/></a>"], ["<a/>"]),
    (
        '<list><oneOrMore><choice><data type="integer"/><value>auto</value></choice></oneOrMore></list>',
        ["<a>1 auto\n2</a>", "<a>1 <!-- a comment -->2</a>"],
        ["<a/>", "<a>1 automatic</a>"],
    ),
    (
        '<data type="token"><except><choice><value>x</value><value>y</value></choice></except></data>',
        ["<a>z</a>", "<a>x y</a>"],
        ["<a> x </a>"],
    ),
    (
        '<data type="string"><param name="pattern">[a-z]+</param><param name="pattern">.{2}</param></data>',
        ["<a>ab</a>"],
        ["<a>abc</a>", "<a>1b</a>"],
    ),
    ('<value type="integer">1</value>', ["<a>1</a>", "<a> 01 </a>"], ["<a>2</a>", "<a/>"]),
    ('<value type="string"> 1</value>', ["<a> 1</a>"], ["<a>1</a>"]),
    (
        '<value type="QName" xmlns:p="urn:p">p:x</value>',
        ['<a xmlns:q="urn:p">q:x</a>', '<a xmlns:p="urn:p"> p:x </a>'],
        ["<a>p:x</a>", '<a xmlns:p="urn:q">p:x</a>'],
    ),
    ("<data type='IDREFS'/>", ["<a>b c</a>"], ["<a>1</a>", "<a/>"]),
    ("<empty/>", ["<a/>", "<a> <!-- nothing --> </a>"], ["<a>x</a>", "<a><b/></a>", "<a b=''/>"]),
]


def is_valid(schema: str, document: str) -> bool:
    return not RelaxNgSchema("/a.rng", etree.fromstring(schema)).findings(etree.fromstring(document))


@pytest.mark.parametrize(("content", "valid", "invalid"), CASES)
def test_a_verdict_is_the_specifications(content: str, valid: list[str], invalid: list[str]) -> None:
    schema = inside(content)
    assert [document for document in valid if not is_valid(schema, document)] == []
    assert [document for document in invalid if is_valid(schema, document)] == []


def test_definitions_are_combined_and_belong_to_their_grammar() -> None:
    schema = f"""<grammar {RNG} ns="urn:n"><start><ref name="a"/></start>
    <define name="a"><element name="a"><grammar><start><group><ref name="in"/><parentRef name="in"/></group></start>
      <define name="in"><element name="inner"><empty/></element></define></grammar></element></define>
    <div><define name="in" combine="interleave">{empty("b")}</define></div>
    <define name="in" combine="interleave"><attribute name="c"/></define></grammar>"""
    assert is_valid(schema, '<a xmlns="urn:n" c=""><inner/><b/></a>')
    assert not is_valid(schema, '<a xmlns="urn:n" c=""><inner/><inner/></a>')
    assert not is_valid(schema, '<a c=""><inner/><b/></a>')


def test_definitions_that_double_cost_what_they_are() -> None:
    doubled = "".join(
        f'<define name="r{n}"><choice><ref name="r{n + 1}"/><group><ref name="r{n + 1}"/><ref name="r{n + 1}"/></group>'
        "</choice></define>"
        for n in range(6)
    )
    last = f'<define name="r6">{empty("b")}</define>'
    schema = f'<grammar {RNG}><start><element name="a"><ref name="r0"/></element></start>{doubled}{last}</grammar>'
    assert is_valid(schema, f"<a>{'<b/>' * 64}</a>")
    assert not is_valid(schema, f"<a>{'<b/>' * 65}</a>")


def test_what_needs_too_many_states_is_not_checked(run: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_patterns, "_MOST_PATTERNS", 20)
    content = "".join(f"<optional>{empty(f'b{number}')}</optional>" for number in range(9))
    run.folder.write("schemas/a.rng", inside(f"<interleave>{content}</interleave>").encode())
    run.write(a_xml=f"<a>{''.join(f'<b{number}/>' for number in range(8, -1, -1))}</a>")
    assert run.run("a.xml").message == "1 document: 1 could not be checked."
    (error,) = run.reporter.lines(Level.ERROR)
    assert "/schemas/a.rng" in error


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (f'<grammar {RNG}><start><ref name="a"/></start></grammar>', "a"),
        (f'<grammar {RNG}><start><ref name="a"/></start><define name="a"><ref name="a"/></define></grammar>', "a"),
        (inside('<data type="integer"><param name="whiteSpace">collapse</param></data>'), "line 1"),
        (f'<element name="a" {RNG} datatypeLibrary="urn:x"><data type="b"/></element>', "b"),
    ],
)
def test_a_schema_that_breaks_the_rules_is_refused(schema: str, reason: str) -> None:
    with pytest.raises((Unusable, etree.LxmlError), match=reason):
        RelaxNgSchema("/a.rng", etree.fromstring(schema))


@pytest.fixture
def run(tmp_path: Path) -> Running:
    return Running(tmp_path / "root")


def test_references_are_relative_to_xml_base(run: Running) -> None:
    run.folder.write("schemas/parts/b.rng", f'<element name="b" {RNG}><empty/></element>'.encode())
    run.folder.write("schemas/a.rng", inside('<group xml:base="parts/x"><externalRef href="b.rng"/></group>').encode())
    run.write(a_xml="<a><b/></a>", b_xml="<a><c/></a>")
    assert run.is_valid("a.xml")
    assert not run.is_valid("b.xml")
    run.folder.write("schemas/a.rng", inside('<group xml:base="../.."><externalRef href="b.rng"/></group>').encode())
    (error,) = run.errors("a.xml")
    assert "leads out of the group" in error


def test_what_overrides_nothing_is_told(run: Running) -> None:
    run.folder.write("schemas/b.rng", f"<grammar {RNG}><start>{empty('a')}</start></grammar>".encode())
    run.folder.write(
        "schemas/a.rng",
        f'<grammar {RNG}><include href="b.rng"><define name="c"><empty/></define></include></grammar>'.encode(),
    )
    run.write(a_xml="<a/>")
    (error,) = run.errors("a.xml")
    assert "'c'" in error
    assert "'b.rng'" in error


def test_a_mistake_is_one_finding_that_names_what_may_be_there(run: Running) -> None:
    run.folder.write("schemas/a.rng", inside(empty("b", "c", "d")).encode())
    run.write(a_xml="<a>\n<b/>\n<d/>\n</a>")
    (error,) = run.errors("a.xml")
    assert error.endswith(
        "is not valid: line 3, column 1: The element 'd' is not allowed here in the element 'a'; "
        "the schema has 'c' there"
    )
    assert run.reporter.lines(Level.WARN) == []
