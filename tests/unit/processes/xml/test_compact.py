"""Claims about RELAX NG's compact syntax, by the sections of ISO/IEC 19757-2 annex C that they come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.validating import Running

MODEL = '<?xml-model href="{}" type="application/relax-ng-compact-syntax"?>'


@pytest.fixture
def run(tmp_path: Path) -> Running:
    return Running(tmp_path)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ("element a { attribute b { xsd:int }, element c { text }* }", '<a b="1"><c>x</c></a>', '<a b="x"/>'),
        ('default namespace = "urn:a" element a { attribute b { text } }', '<a xmlns="urn:a" b=""/>', '<a b=""/>'),
        ('namespace p = "urn:a" element p:a { empty }', '<a xmlns="urn:a"/>', "<a/>"),
        (
            'default namespace p = "urn:a" start = element a { element p:b { empty } }',
            '<a xmlns="urn:a"><b/></a>',
            "<a/>",
        ),
        ('default namespace = "urn:a" element a { attribute (b | c) { text } }', '<a xmlns="urn:a" c=""/>', "<a/>"),
        ('datatypes d = "http://www.w3.org/2001/XMLSchema-datatypes" element a { d:int }', "<a>1</a>", "<a>x</a>"),
        ("element a { 'x' | \"y\" | '''z''' }", "<a>z</a>", "<a>w</a>"),
        ("element a { 'say \"x\" & <y>' }", '<a>say "x" &amp; &lt;y></a>', "<a/>"),
        ("element a { \"one\" ~ 'two' }", "<a>onetwo</a>", "<a>one</a>"),
        (r'element a { "\x{41}" }', "<a>A</a>", "<a>a</a>"),
        ("element a { xsd:string { maxLength = '2' } }", "<a>xx</a>", "<a>xxx</a>"),
        ("element a { mixed { element b { empty } & element c { empty } } }", "<a>x<c/>y<b/></a>", "<a><c/></a>"),
        ("element a { list { xsd:int+ } }", "<a>1 2</a>", "<a>1 x</a>"),
        ("element * - a { empty }", "<b/>", "<a/>"),
        (
            "start = a\na = element a { b? }\nb |= element b { empty }\nb |= element c { empty }",
            "<a><c/></a>",
            "<a><d/></a>",
        ),
        (
            "start = element \\element { \\text }\n\\text = empty",
            "<element/>",
            "<a/>",
        ),
        (
            "start = element a { grammar { start = element b { parent c } } } c = element c { empty }",
            "<a><b><c/></b></a>",
            "<a><b/></a>",
        ),
        # C.2.2: annotations and comments say nothing about what is valid.
        (
            """# it's a comment
            namespace a = "urn:ann" [ a:note = "x" ] start = [ a:x [ "y" ] ] element a { xsd:int >> a:doc [ "An int" ] }
            a:foot [ a:b = "c" "d" ]""",
            *("<a>1</a>", "<a>x</a>"),
        ),
        ("## It's documentation\nelement a { ## more\n text }", "<a/>", "<b/>"),
    ],
)
def test_a_schema_in_compact_syntax_says_what_it_means(run: Running, schema: str, good: str, bad: str) -> None:
    run.folder.write("s/x.rnc", schema.encode())
    run.write(a_xml=MODEL.format("s/x.rnc") + good)
    assert run.is_valid("a.xml"), run.reporter.lines()
    run.write(a_xml=MODEL.format("s/x.rnc") + bad)
    assert not run.is_valid("a.xml")


def test_inclusions_come_from_the_group_with_what_replaces_their_parts(run: Running) -> None:
    files = {
        "schemas/a.rnc": """default namespace = "urn:a"
            include "parts/b.rnc" { b = element b { xsd:int } }
            d |= external "parts/d.rng" | external "parts/e.rnc" """,
        "schemas/parts/b.rnc": "start = element a { b, d } b = element b { empty } d |= notAllowed",
        "schemas/parts/d.rng": '<element name="d" xmlns="http://relaxng.org/ns/structure/1.0"><empty/></element>',
        "schemas/parts/e.rnc": 'default namespace = "urn:e" element e { empty }',
    }
    for path, text in files.items():
        run.folder.write(path, text.encode())
    for content, is_valid in (
        ("<b>1</b><d/>", True),
        ('<b>1</b><e xmlns="urn:e"/>', True),
        ("<b/><d/>", False),
        ("<b>1</b>", False),
    ):
        run.write(x_xml=f'<a xmlns="urn:a">{content}</a>')
        assert run.is_valid("x.xml") is is_valid, run.reporter.lines()


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("element a {", "at its end: this is not"),
        ("element a { text }\n @", "line 2: this is not"),
        ("element a { b:c }", "the prefix 'b' is not declared"),
        ("\n\nelement a { text } }", "line 3"),
        ("element a { text ? ? }", "compact syntax"),
        ('element a { "x', "compact syntax"),
        ("\xff", "UTF-8"),
        ("element a { " * 5_000 + "empty" + " }" * 5_000, ""),
        ('include "file:///etc/passwd"', "not in this group"),
        ('include "../../../etc/passwd"', "out of the group"),
        ('include "http://127.0.0.1:9/x.rnc"', "not in this group"),
        ('start = external "/etc/passwd"', "no document"),
        ('include "a.rnc"', "circle"),
    ],
)
def test_what_cannot_be_used_is_told_by_its_path_and_line(run: Running, schema: str, words: str) -> None:
    run.folder.write("schemas/a.rnc", schema.encode("latin-1"))
    run.write(x_xml="<a/>")
    (error,) = run.errors("x.xml")
    assert "/schemas/a.rnc" in error
    assert words in error
