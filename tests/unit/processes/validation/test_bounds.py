"""Claims about schemas and documents that take for ever, need all memory or break a library: one finding each."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from psthreads.domain.model import Level, Status
from psthreads.processes.load import load
from tests.support.loading import Place
from tests.support.validating import NOTE_XSD, RNG, SCH, XS, Running, limited

SECONDS = 1.0
MEMORY = 96 * 1024 * 1024
GOOD = "<note><p>1</p></note>"


def doubled(number: int) -> str:
    twice = f'<ref name="r{number + 1}"/>' * 2
    return f'<define name="r{number}"><choice><ref name="r{number + 1}"/><group>{twice}</group></choice></define>'


DOUBLING_RNG = (
    f'<grammar {RNG}><start><element name="bomb"><ref name="r0"/></element></start>'
    + "".join(map(doubled, range(40)))
    + '<define name="r40"><element name="p"><empty/></element></define></grammar>'
)
LETS = "".join(f'<let name="s{number + 1}" value="concat($s{number}, $s{number})"/>' for number in range(32))
DOUBLING_SCH = (
    f'<schema {SCH}><let name="s0" value="\'0123456789\'"/>{LETS}'
    '<pattern><rule context="p"><assert test="$s32">no</assert></rule></pattern></schema>'
)
COUNTING_SCH = (
    f'<schema {SCH}><pattern><rule context="p"><assert test="count(//p[count(//p[count(//p[. = 1]) &gt; 1]) &gt; 1])">'
    "no</assert></rule></pattern></schema>"
)
FOLDING_SCH = (  # XSLT 3
    f'<schema {SCH} queryBinding="xslt3"><pattern><rule context="*"><assert test="string-length(fold-left(1 to 60,'
    " 'ab', function($a, $b) {concat($a, $a)})) = 1\">no</assert></rule></pattern></schema>"
)
REPEATING_XSD = (  # XML Schema 1.1
    f'<xs:schema {XS}><xs:element name="bomb"><xs:simpleType><xs:restriction base="xs:string">'
    '<xs:assertion test="true()"/><xs:pattern value="((a+)+)+"/></xs:restriction></xs:simpleType></xs:element>'
    "</xs:schema>"
)
MANY = f"<bomb>{'<p>1</p>' * 5_000}</bomb>"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Running:
    limited(monkeypatch, seconds=SECONDS, memory=MEMORY)
    run = Running(tmp_path / "root")
    run.write(schemas__note_xsd=NOTE_XSD, a_xml=GOOD, z_xml=GOOD)
    return run


@pytest.mark.parametrize(
    ("ending", "schema", "document", "reason"),
    [
        ("rng", DOUBLING_RNG, "<bomb/>", "the schema /schemas/bomb.rng took more than 1 s to compile"),
        ("sch", COUNTING_SCH, MANY, "the check by /schemas/bomb.sch took more than 1 s"),
    ],
)
def test_a_bomb_is_one_finding_and_the_next_documents_go_on(
    run: Running, ending: str, schema: str, document: str, reason: str
) -> None:
    run.folder.write(f"schemas/bomb.{ending}", schema.encode())
    run.write(m_xml=document)
    outcome = run.run()
    assert run.reporter.lines(Level.ERROR) == [f"Document /m.xml could not be checked: {reason}"]
    assert outcome.status is Status.FAILED
    assert "2 valid by a schema" in outcome.message
    assert outcome.message.split(".")[0].endswith("1 could not be checked")


def test_a_bomb_of_memory_is_one_finding(run: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    limited(monkeypatch, seconds=30, memory=MEMORY)
    run.folder.write("schemas/bomb.sch", DOUBLING_SCH.encode())
    run.write(m_xml="<bomb><p/></bomb>")
    (error,) = run.errors("m.xml")
    # Where libxslt itself meets the limit, it only says that it has failed.
    assert error.startswith("Document /m.xml could not be checked: the ")
    assert "/schemas/bomb.sch" in error


def test_fifty_documents_of_a_bomb_cost_what_one_does_and_leave_no_memory(run: Running) -> None:
    run.folder.write("schemas/bomb.rng", DOUBLING_RNG.encode())
    for number in range(50):
        run.folder.write(f"bombs/{number:02}.xml", b"<bomb/>")
    before, process = len(psutil.Process().children()), psutil.Process()
    run.run("z.xml")
    memory = process.memory_info().rss
    outcome = run.run("/bombs")
    assert outcome.message == "50 documents: 50 could not be checked."
    assert process.memory_info().rss < memory + 32 * 1024 * 1024
    assert len(process.children()) == before
    errors = run.reporter.lines(Level.ERROR)
    assert len(errors) == 50
    assert all("/schemas/bomb.rng took more than 1 s to compile" in error for error in errors)


def test_fifty_bombs_in_a_row_are_fifty_findings(run: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    limited(monkeypatch, seconds=0.3, memory=MEMORY)
    kinds = (("rng", DOUBLING_RNG), ("sch", FOLDING_SCH), ("xsd", REPEATING_XSD))
    for number in range(50):
        ending, schema = kinds[number % len(kinds)]
        run.folder.write(f"schemas/bomb{number}.{ending}", schema.replace('"bomb"', f'"bomb{number}"').encode())
        run.folder.write(f"bombs/{number:02}.xml", f"<bomb{number}>{'a' * 40}b</bomb{number}>".encode())
    memory = psutil.Process().memory_info().rss
    assert run.run("/bombs").message == "50 documents: 50 could not be checked."
    assert len(set(run.reporter.lines(Level.ERROR))) == 50
    assert psutil.Process().memory_info().rss < memory + 32 * 1024 * 1024


def test_a_schema_by_which_three_checks_ran_out_is_not_applied_any_more(run: Running) -> None:
    run.folder.write("schemas/bomb.sch", COUNTING_SCH.encode())
    for number in range(6):
        run.folder.write(f"bombs/{number}.xml", MANY.encode())
    assert run.run("/bombs").message == "6 documents: 6 could not be checked."
    errors = run.reporter.lines(Level.ERROR)
    assert ["it is not applied any more" in error for error in errors] == [False] * 3 + [True] * 3


@pytest.mark.parametrize("root", ["pattern", "rules", "library", "diagnostics", "phase"])
def test_a_schematron_file_that_is_no_schema_says_so(run: Running, root: str) -> None:
    run.folder.write("schemas/bomb.sch", f"<{root} {SCH}/>".encode())
    run.write(m_xml="<bomb/>")
    (error,) = run.errors("m.xml")
    assert error.startswith("Document /m.xml could not be checked: the schema /schemas/bomb.sch cannot be used: ")
    assert f"'{root}'" in error


@pytest.mark.parametrize(
    "content", [b"", b"\0\xff\xfe", b"\x1f\x8b\x08", "<grammar/>".encode("utf-32"), b"<a>\xe9</a>"]
)
@pytest.mark.parametrize("ending", ["xsd", "rng", "sch"])
def test_a_schema_that_is_no_xml_says_so(run: Running, ending: str, content: bytes) -> None:
    run.folder.write(f"schemas/bomb.{ending}", content)
    run.write(m_xml="<bomb/>")
    (error,) = run.errors("m.xml")
    assert error.startswith(f"Document /m.xml could not be checked: the schema /schemas/bomb.{ending} cannot be used: ")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_schema_that_is_no_file_says_so(run: Running, make: Callable[[Path], None]) -> None:
    make(run.inside / "schemas" / "bomb.rng")
    run.write(m_xml="<bomb/>")
    (error,) = run.errors("m.xml")
    assert error.startswith("Document /m.xml could not be checked: ")
    assert "/schemas/bomb.rng" in error


def test_a_path_that_is_cut_inside_a_character_ends_nothing(run: Running) -> None:
    name = "é" * 400
    schema = (
        f'<xs:schema {XS}><xs:element name="{name}"><xs:complexType><xs:sequence>'
        f'<xs:element name="{name}" type="xs:int"/></xs:sequence></xs:complexType></xs:element></xs:schema>'
    )
    run.folder.write("long.xsd", schema.encode())
    model = '<?xml-model href="long.xsd"?>'
    run.write(m_xml=f"{model}<{name}>\n<{name}>x</{name}></{name}>")
    (error, *_) = run.errors("m.xml")
    assert error.startswith("Document /m.xml is not valid: line 2, column 1: ")


def xsd(content: str) -> str:
    return f"<xs:schema {XS}>{content}</xs:schema>"


def bomb_of(content: str) -> str:
    return xsd(f'<xs:element name="bomb">{content}</xs:element>')


@pytest.mark.parametrize(
    "schema",
    [
        xsd('<xs:import namespace="urn:x" schemaLocation="bomb.xsd"/>'),
        bomb_of(
            '<xs:complexType><xs:sequence><xs:element name="p" minOccurs="9999999" maxOccurs="10000000"/>'
            "</xs:sequence></xs:complexType>"
        ),
        bomb_of(
            '<xs:simpleType><xs:restriction base="xs:string"><xs:pattern value="((a{0,100}){0,100}){0,100}"/>'
            "</xs:restriction></xs:simpleType>"
        ),
    ],
)
def test_what_goes_in_circles_or_counts_far_ends_within_its_limits(run: Running, schema: str) -> None:
    run.folder.write("schemas/bomb.xsd", schema.encode())
    run.write(m_xml=f"<bomb>{'a' * 400}b</bomb>")
    assert "2 valid by a schema" in run.run().message


def test_a_schema_that_includes_itself_has_what_it_declares(run: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # It is xmlschema that applies it, whose import alone takes a second on a busy machine.
    limited(monkeypatch, seconds=30, memory=MEMORY)
    run.folder.write(
        "schemas/bomb.xsd",
        xsd('<xs:include schemaLocation="bomb.xsd"/><xs:element name="bomb" type="xs:int"/>').encode(),
    )
    run.write(m_xml="<bomb>1</bomb>", n_xml="<bomb>b</bomb>")
    assert "3 valid by a schema, 2 well-formed without one, 1 not valid" in run.run().message


def test_deep_and_wide_documents_have_a_verdict(run: Running) -> None:
    attributes = " ".join(f"b{number}=''" for number in range(20_000))
    run.write(deep_xml="<a>" * 300 + "</a>" * 300, wide_xml=f"<a {attributes}/>")
    run.write(empty_xml="<a/>" + " " * 3_000_000, long_xml=f"<a>{'x' * 11_000_000}</a>")
    assert run.run().message == "7 documents: 2 valid by a schema, 4 well-formed without one, 1 could not be checked."
    assert run.reporter.lines(Level.ERROR) == [
        "Document /deep.xml could not be checked: line 1, column 771: Excessive depth in document: 256"
    ]


def test_what_the_parser_does_not_take_is_not_said_to_be_wrong(run: Running) -> None:
    contents = {
        "encoding.xml": b"<?xml version='1.0' encoding='x-own'?><a/>",
        "ebcdic.xml": "<?xml version='1.0' encoding='IBM037'?><a/>".encode("cp037"),
        "name.xml": b"<%s/>" % (b"a" * 60_000),
        "comment.xml": b"<!DOCTYPE a [<!ENTITY b 'c'>]><a><!--%s--></a>" % (b"x" * 11_000_000),
        "attribute.xml": b"<a b='%s'/>" % (b"x" * 11_000_000),
        "version.xml": b"<?xml version='1.1'?><a>&#1;</a>",
    }
    for name, content in contents.items():
        run.folder.write(name, content)
    assert run.run().message.endswith(", 6 could not be checked.")
    assert {line.split(" could not")[0] for line in run.reporter.lines(Level.ERROR)} == {
        f"Document /{name}" for name in contents
    }


@pytest.mark.parametrize(
    ("ending", "schema", "document"),
    [("rng", DOUBLING_RNG, "<bomb/>"), ("sch", COUNTING_SCH, MANY)],
)
def test_load_with_validate_lets_no_bomb_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, schema: str, document: str
) -> None:
    limited(monkeypatch, seconds=SECONDS, memory=MEMORY)
    place = Place(tmp_path / "root")
    place.folder.write(f"schemas/bomb.{ending}", schema.encode())
    place.upload("m.xml", document.encode())
    outcome = place.run(load, validate="true")
    assert outcome.message == "Nothing was loaded: 1 of 1 file is not valid."
    assert not (place.group_path / "m.xml").exists()
    assert "Document /m.xml could not be checked: " in place.lines()[0]
