"""Claims about Schematron with query bindings of XSLT 2 and 3."""

from __future__ import annotations

from functools import partialmethod
from pathlib import Path

import pytest

from psthreads.domain.model import Level, Status
from psthreads.processes.load import load
from psthreads.processes.validate import validate
from psthreads.processes.validation.validator import Validator
from tests.support.extras import without_extras
from tests.support.group_of_documents import GroupOfDocuments
from tests.support.loading import Place

ISO = "http://purl.oclc.org/dsdl/schematron"
XSL = 'xmlns:xsl="http://www.w3.org/1999/XSL/Transform"'
MEBIBYTE = 1024 * 1024


def schema(content: str, binding: str = "xslt2", more: str = "") -> str:
    return f'<schema xmlns="{ISO}" queryBinding="{binding}" {more}>{content}</schema>'


def rule(test: str, context: str = "a", text: str = "Wrong.") -> str:
    return f'<pattern><rule context="{context}"><assert test="{test}">{text}</assert></rule></pattern>'


@pytest.fixture
def group(tmp_path: Path) -> GroupOfDocuments:
    return GroupOfDocuments(tmp_path, validate)


def told(group: GroupOfDocuments, sch: str, document: str, phase: str = "") -> list[str]:
    group.write({"schemas/a.sch": sch, "a.xml": document})
    group.run(path="/a.xml", phase=phase)
    prefix = "Document /a.xml, "
    return [
        line.replace("Document /a.xml is not valid: ", "").removeprefix(prefix)
        for line in group.reporter.lines(Level.ERROR)
    ]


@pytest.mark.parametrize("binding", ["xslt2", "XSLT2", "xslt3", "xpath2", "xpath3", "xpath31"])
def test_every_later_binding_is_applied(group: GroupOfDocuments, binding: str) -> None:
    test = rule("every $b in b satisfies $b castable as xs:date").replace("<pattern>", f"{XS}<pattern>")
    assert told(group, schema(test, binding), "<a><b>2020-01-01</b></a>") == []
    assert told(group, schema(test, binding), "<a n=''>\n<b>no</b></a>") == ["line 1, column 1: Wrong"]


XS = '<ns prefix="xs" uri="http://www.w3.org/2001/XMLSchema"/>'


def test_the_first_rule_that_matches_a_node_applies_and_reports_and_roles_count(group: GroupOfDocuments) -> None:
    sch = schema(
        '<ns prefix="x" uri="urn:x"/><let name="max" value="max(//@n/number())"/><pattern><let name="three" value="3"/>'
        '<rule context="x:b[@n = $three]"><assert test="upper-case(.) = \'A\'" diagnostics="d"><name/> is not'
        ' <value-of select="(1, $max)"/></assert></rule><rule context="x:b"><report test="true()">second</report>'
        '</rule></pattern><pattern><let name="three" value="4"/><rule context="@n[. = $three]"><assert'
        ' test="false()">of an <emph>attribute</emph></assert><report test="true()" role="warning">w</report></rule>'
        "</pattern>"
        '<diagnostics><diagnostic id="d">in <value-of select="name(..)"/></diagnostic></diagnostics>'
    )
    document = '<a xmlns="urn:x">\n<b n="3">a</b>\n<b n="3">q</b>\n<b n="4"/></a>'
    assert told(group, sch, document) == [
        "line 3, column 1: b is not 1 4 in a",
        "line 4, column 1: second",
        "line 4, column 1: of an attribute",
    ]


def test_abstract_patterns_and_rules_extends_and_includes(group: GroupOfDocuments) -> None:
    group.write(
        {"schemas/part.sch": f'<rule xmlns="{ISO}"><report test="count(c) gt 1">More than one.</report></rule>'}
    )
    sch = schema(
        '<pattern abstract="true" id="t"><rule context="$of"><assert test="$need">Incomplete.</assert></rule></pattern>'
        '<pattern is-a="t"><param name="of" value="a"/><param name="need" value="some $x in * satisfies $x is b[1]"/>'
        '</pattern><pattern><rule abstract="true" id="r"><let name="q" value="\'q\'"/><assert test="@id">No id'
        ' <value-of select="$q"/>.</assert></rule><rule context="c"><extends rule="r"/></rule></pattern>'
        '<pattern><rule context="a"><extends href="part.sch"/></rule></pattern>'
    )
    assert told(group, sch, "<a n=''>\n<c/><c/></a>") == [
        "line 1, column 1: Incomplete",
        "line 2, column 1: No id q",
        "line 2, column 5: No id q",
        "line 1, column 1: More than one",
    ]


def test_functions_of_xslt_and_documents_of_the_group_are_used(group: GroupOfDocuments) -> None:
    group.write({"codes.xml": "<x><c>A</c></x>"})
    sch = schema(
        f'<xsl:function name="f:has" {XSL} xmlns:f="urn:f"><xsl:param name="a"/><xsl:sequence'
        ' select="doc(\'../codes.xml\')//c = $a"/></xsl:function><ns prefix="f" uri="urn:f"/>'
        + rule("f:has(string(.))", "c", "No code.")
        + '<pattern documents="\'codes.xml\'"><rule context="c"><report test="true()">beside</report></rule></pattern>'
    )
    assert told(group, sch, "<a n=''>\n<c>A</c><c>B</c></a>") == [
        "line 2, column 9: No code",
        "line 1, column 1: /codes.xml: beside",
    ]
    outside = schema(rule("doc-available('file:///etc/passwd') or unparsed-text('file:///etc/hostname')"))
    assert "it refers to 'file:///etc/hostname', which is not in this group" in told(group, outside, "<a/>")[0]


def test_a_phase_chooses_patterns(group: GroupOfDocuments) -> None:
    one = rule("false()", text="one").replace("<pattern>", '<pattern id="one">')
    two = rule("false()", text="two").replace("<pattern>", '<pattern id="two">')
    sch = schema(f'<phase id="p"><active pattern="two"/></phase>{one}{two}', more='defaultPhase="p"')
    assert told(group, sch, "<a/>") == ["line 1, column 1: two"]
    assert told(group, sch, "<a/>", phase="#ALL") == ["line 1, column 1: one", "line 1, column 1: two"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (rule("1 +"), "Error in {not(1 +)}"),
        (rule("1 idiv 0"), "cannot be applied: Integer division by zero"),
        ("<group/>", "which is of a later edition of Schematron"),
        ('<pattern is-a="nix"/>', "no abstract pattern of this name"),
        ('<pattern><rule context="a"><extends rule="nix"/></rule></pattern>', "not an abstract rule"),
    ],
)
def test_what_cannot_be_applied_is_told_and_not_taken_for_valid(
    group: GroupOfDocuments, content: str, reason: str
) -> None:
    (line,) = told(group, schema(content), "<a/>")
    assert line.startswith("Document /a.xml could not be checked: the schema /schemas/a.sch ")
    assert reason in line


BOMBS = {
    "strings": "string-length(fold-left(1 to 60, 'ab', function($a, $b) {concat($a, $a)})) = 1",
    "loop": "sum(for $i in 1 to 100000, $j in 1 to 100000 return $i * $j mod 7) = 1",
    "regex": "matches(string-join((1 to 60) ! 'a') || 'b', '^((a+)+)+$')",
}


def bounded(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    limited = partialmethod(Validator.__init__, seconds=seconds, memory=120 * MEBIBYTE)
    monkeypatch.setattr(Validator, "__init__", limited)


def test_a_bomb_is_a_finding_and_the_next_document_goes_on(
    group: GroupOfDocuments, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounded(monkeypatch, 2)
    documents = {f"d/{name}.xml": f"<{name}/>" for name in BOMBS} | {"d/z.xml": "<z/>"}
    group.write(documents | {f"schemas/{name}.sch": schema(rule(test, name)) for name, test in BOMBS.items()})
    outcome = group.run(path="/d")
    assert outcome.message == "4 documents: 1 well-formed without a schema, 3 could not be checked."
    for name in BOMBS:
        assert any(
            line.startswith(f"Document /d/{name}.xml could not be checked: the check by /schemas/{name}.sch ")
            and line.endswith(("took more than 2 s", "needed more than 120 MiB of memory"))
            for line in group.reporter.lines(Level.ERROR)
        )


def test_load_with_validate_lets_no_bomb_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bounded(monkeypatch, 1)
    place = Place(tmp_path / "root")
    place.folder.write("schemas/a.sch", schema(rule(BOMBS["regex"])).encode())
    place.upload("m.xml", b"<a/>")
    outcome = place.run(load, validate="true")
    assert outcome.message == "Nothing was loaded: 1 of 1 file is not valid."
    assert not (place.group_path / "m.xml").exists()


def test_without_the_extra_a_document_could_not_be_checked(tmp_path: Path) -> None:
    group = GroupOfDocuments(tmp_path, validate)
    group.write({"d/a.xml": "<a/>", "schemas/a.sch": schema(rule("true()"))})
    status, sentence, *lines = without_extras(tmp_path, "validate")
    assert (status, sentence) == (Status.FAILED.value, "1 document: 1 could not be checked.")
    assert (
        "Document /d/a.xml could not be checked: the schema /schemas/a.sch cannot be used: its query language is xslt2,"
        " and this needs Saxon, which is not installed here: pip install 'psthreads[saxon]' for the workers" in lines
    )
