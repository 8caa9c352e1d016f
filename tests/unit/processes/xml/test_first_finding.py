"""Claims about the first line on a document that is not valid: it names what is wrong, where it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from psthreads.domain.model import Level
from tests.support.validating import RNG, Running

TYPES = 'datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes"'
BOOK = f"""<grammar {RNG} {TYPES}><start><ref name="book"/></start>
<define name="book"><element name="book"><ref name="common"/>
  <interleave><element name="title"><ref name="inline"/></element>
  <optional><element name="date"><data type="date"/></element></optional></interleave>
  <oneOrMore><choice><ref name="chapter"/><ref name="part"/></choice></oneOrMore></element></define>
<define name="part"><element name="part"><ref name="common"/>
  <oneOrMore><ref name="chapter"/></oneOrMore></element></define>
<define name="chapter"><element name="chapter"><ref name="common"/><element name="title"><ref name="inline"/></element>
  <zeroOrMore><ref name="block"/></zeroOrMore></element></define>
<define name="block"><choice><ref name="p"/><ref name="list"/><ref name="table"/><ref name="quote"/></choice></define>
<define name="p"><element name="p"><ref name="common"/><ref name="inline"/></element></define>
<define name="quote"><element name="quote"><oneOrMore><ref name="block"/></oneOrMore></element></define>
<define name="list"><element name="list">
  <optional><attribute name="kind"><choice><value>open</value><value>closed</value></choice></attribute></optional>
  <oneOrMore><element name="item"><choice><ref name="inline"/><oneOrMore><ref name="block"/></oneOrMore></choice>
  </element></oneOrMore></element></define>
<define name="table"><element name="table"><attribute name="columns"><data type="positiveInteger"/></attribute>
  <oneOrMore><element name="row"><oneOrMore><element name="cell"><ref name="inline"/></element></oneOrMore></element>
  </oneOrMore></element></define>
<define name="inline"><mixed><zeroOrMore><choice><element name="b"><ref name="inline"/></element>
  <element name="link"><attribute name="to"/><ref name="inline"/></element></choice></zeroOrMore></mixed></define>
<define name="common"><optional><attribute name="id"><data type="NCName"/></attribute></optional></define></grammar>"""
GOOD = """<book id="b">
<title>A <b>book</b></title>
<date>2026-01-01</date>
<part>
<chapter id="c"><title>One</title>
<p>Some <b>bold <link to="d">words</link></b></p>
<list kind="open">
<item>one</item>
<item><p>two</p>
<quote>
<p>deep</p>
</quote>
</item></list>
</chapter></part>
<chapter id="d">
<title>Two</title>
<table columns="2">
<row><cell>1</cell><cell>2</cell></row>
<row>
<cell>3</cell><cell>4</cell></row></table>
</chapter>
</book>"""
# What is replaced by what, the line that the first finding has to name, and a word of it.
MISTAKES = [
    ("<p>deep</p>", "<x>deep</x>", 11, "x"),
    ("<p>deep</p>", '<p no="1">deep</p>', 11, "no"),
    ("<p>deep</p>", "<p><p>deep</p></p>", 11, "p"),
    ("<p>deep</p>", "deep", 10, "quote"),
    ("<p>deep</p>", "", 10, "quote"),
    ("<p>deep</p>", '<p id="1 2">deep</p>', 11, "id"),
    ("<quote>\n<p>deep</p>\n</quote>", "<quote><b>deep</b></quote>", 10, "b"),
    ('kind="open"', 'kind="opened"', 7, "kind"),
    ('kind="open"', 'type="open"', 7, "type"),
    ("<item>one</item>", "<entry>one</entry>", 8, "entry"),
    ("<item>one</item>", "<item>one<p>x</p></item>", 8, "item"),
    ("<item>one</item>", "<p>one</p>", 8, "p"),
    ("<item>one</item>", "one", 7, "list"),
    ('<link to="d">words</link>', "<link>words</link>", 6, "link"),
    ('<link to="d">words</link>', '<link to="d"><p>words</p></link>', 6, "p"),
    ('<link to="d">words</link>', '<a to="d">words</a>', 6, "a"),
    ("<title>One</title>", "", 6, "title"),
    ("<title>One</title>", "<title>One</title><title>Two</title>", 5, "title"),
    ("<title>One</title>", "<title><p>One</p></title>", 5, "p"),
    ("<title>Two</title>", "<p>1</p>\n<title>Two</title>", 16, "p"),
    ("2026-01-01", "yesterday", 3, "yesterday"),
    ("<date>2026-01-01</date>", "<date>2026-01-01</date><date>2026-01-01</date>", 3, "date"),
    ("<date>2026-01-01</date>", "<day>2026-01-01</day>", 3, "day"),
    ('columns="2"', 'columns="none"', 17, "columns"),
    ('columns="2"', "", 17, "table"),
    ("<cell>3</cell>", "<cell>3<row/></cell>", 20, "row"),
    ("<cell>3</cell>", "<p>3</p>", 20, "p"),
    ("<cell>3</cell><cell>4</cell>", "\n", 19, "row"),
    ("<cell>1</cell>", '<cell span="2">1</cell>', 18, "span"),
    ("<part>\n", "<part><title>Part</title>\n", 4, "title"),
    ('<chapter id="d">', '<chapter id="d" lang="de">', 15, "lang"),
    ("</chapter>\n</book>", "</chapter>\n<index/>\n</book>", 22, "index"),
    ("</chapter>\n</book>", "</chapter>\n<p>after</p>\n</book>", 22, "p"),
]


@pytest.fixture
def run(tmp_path: Path) -> Running:
    run = Running(tmp_path)
    run.folder.write("schemas/book.rng", BOOK.encode())
    return run


def test_the_document_without_a_mistake_is_valid(run: Running) -> None:
    run.write(a_xml=GOOD)
    assert run.is_valid("a.xml"), run.reporter.lines()


@pytest.mark.parametrize(("old", "new", "line", "word"), MISTAKES)
def test_the_first_line_names_the_mistake_and_its_place(run: Running, old: str, new: str, line: int, word: str) -> None:
    assert old in GOOD
    run.write(a_xml=GOOD.replace(old, new, 1))
    first = run.errors("a.xml")[0]
    assert f"line {line}, " in first
    assert word in re.split(r"\W+", first.partition(f"line {line}, ")[2])


def test_each_of_several_mistakes_has_a_line(run: Running) -> None:
    run.write(a_xml=GOOD.replace("<p>deep</p>", "<x/>").replace("<cell>3", '<cell n="1">3').replace("2026", "MMXXVI"))
    first, second, third = run.errors("a.xml")[:3]
    assert "'MMXXVI-01-01'" in first
    assert "'x'" in second
    assert "n='1'" in third


def test_a_mistake_among_many_alternatives_is_told_once(run: Running) -> None:
    choices = "".join(f'<element name="e{number}"><empty/></element>' for number in range(9))
    run.folder.write("schemas/a.rng", f'<element name="a" {RNG}><interleave>{choices}</interleave></element>'.encode())
    run.write(a_xml="<a><x/></a>")
    errors = run.errors("a.xml")
    assert "The schema has no element 'x'" in errors[0]
    texts = [error.partition(": ")[2] for error in errors]
    assert len(set(texts)) == len(texts)


def test_a_large_document_with_many_mistakes_is_told_about_soon(run: Running) -> None:
    chapter = f"<chapter><title>T</title>{'<p>x</p>' * 20}<nonsense/></chapter>"
    run.write(a_xml=f"<book><title>B</title>{chapter * 500}</book>")
    errors = run.errors("a.xml")
    assert "The schema has no element 'nonsense'" in errors[0]
    assert len(run.reporter.lines(Level.ERROR)) < 30
