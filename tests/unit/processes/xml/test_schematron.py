"""Claims about Schematron's phases and its version 1.5, and about options of a validation."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from psthreads.domain.model import Level, Outcome, Status
from psthreads.processes.publish import publish
from psthreads.processes.validate import validate
from tests.support.group_of_documents import GroupOfDocuments

ISO = "http://purl.oclc.org/dsdl/schematron"
OLD = "http://www.ascc.net/xml/schematron"
XI = 'xmlns:xi="http://www.w3.org/2001/XInclude"'
PHASES = f"""<schema xmlns="{ISO}" {{}}><phase id="draft"><active pattern="one"/></phase>
<phase id="final"><active pattern="one"/><active pattern="two"/></phase>
<pattern id="one"><rule context="a"><assert test="b">No b.</assert></rule></pattern>
<pattern id="two"><rule context="a"><assert test="c">No c.</assert></rule></pattern></schema>"""
MODEL = f'<?xml-model href="schemas/a.sch" schematypens="{ISO}"{{}}?>'


@pytest.fixture
def group(tmp_path: Path) -> GroupOfDocuments:
    return GroupOfDocuments(tmp_path, validate)


def errors(group: GroupOfDocuments, text: str, **values: str) -> str:
    group.write({"a.xml": text})
    group.run(context=None, after=0, path="/a.xml", **values)
    return " ".join(group.reporter.lines(Level.ERROR))


@pytest.mark.parametrize(
    ("attributes", "text", "phase", "missing"),
    [
        ("", "<a/>", "", "bc"),
        ("", "<a/>", "draft", "b"),
        ("", "<a/>", "final", "bc"),
        ("", "<a/>", "other", "bc"),
        ('defaultPhase="draft"', "<a/>", "", "b"),
        ('defaultPhase="draft"', "<a/>", "#ALL", "bc"),
        ('defaultPhase="draft"', "<a/>", "final", "bc"),
    ],
)
def test_a_phase_chooses_the_patterns_that_are_active(
    group: GroupOfDocuments, attributes: str, text: str, phase: str, missing: str
) -> None:
    group.write({"schemas/a.sch": PHASES.format(attributes)})
    problems = errors(group, text, phase=phase)
    assert [letter for letter in "bc" if f"No {letter}" in problems] == list(missing)


def test_a_document_names_the_phase_with_its_schema(group: GroupOfDocuments) -> None:
    group.write({"s/a.sch": PHASES.format("")})
    model = MODEL.replace("schemas/", "s/")
    assert "No c" in errors(group, model.format("") + "<a><b/></a>")
    assert not errors(group, model.format(' phase="draft"') + "<a><b/></a>")
    assert "it has no phase 'nonsense'" in errors(group, model.format(' phase="nonsense"') + "<a><b/></a>")


def test_a_default_phase_that_is_none_is_told_and_not_taken_for_valid(group: GroupOfDocuments) -> None:
    group.write({"schemas/a.sch": PHASES.format('defaultPhase="nonsense"')})
    assert "its default phase 'nonsense' is none of its phases" in errors(group, "<a/>")


ABSTRACT = """<pattern abstract="true" id="p"><rule context="$c"><assert test="$ct">No $ct.</assert></rule></pattern>
<pattern is-a="p"><param name="c" value="a"/><param name="ct" value="b"/></pattern>"""
LOOP = """<pattern><rule abstract="true" id="r"><extends rule="r"/></rule>
<rule context="a"><extends rule="r"/></rule></pattern>"""


def rule(context: str) -> str:
    return f'<pattern><rule context="{context}"><report test="true()">Seen.</report></rule></pattern>'


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (ABSTRACT, "is not valid: line 1, column 1: No b"),
        (rule("comment()"), "is not valid: line 1, column 1: Seen"),
        (rule("processing-instruction()"), "is not valid: line 1, column 1: Seen"),
        (rule("text()"), "is not valid: line 1, column 1: Seen"),
        (rule("a/@x"), "is not valid: line 1, column 1: Seen"),
        (rule("/"), "is not valid: line 1, column 1: Seen"),
        ('<pattern is-a="nix"/>', "cannot be used: a pattern is said to be a 'nix'"),
        ('<pattern><rule context="a"><extends rule="nix"/></rule></pattern>', "cannot be used: a rule extends 'nix'"),
        (LOOP, "cannot be used: a rule extends 'r'"),
        ('<phase id="#ALL"><active pattern="nix"/></phase>', "cannot be used: its phase names 'nix'"),
    ],
)
def test_the_first_query_language_has_all_of_schematron(group: GroupOfDocuments, content: str, finding: str) -> None:
    group.write({"schemas/a.sch": f'<schema xmlns="{ISO}">{content}</schema>'})
    assert finding in errors(group, '<a x="1">text<!-- comment --><?pi?></a>')


def test_version_1_5_says_the_same_as_isos(group: GroupOfDocuments) -> None:
    group.write(
        {
            "schemas/a.sch": f"""<sch:schema xmlns:sch="{OLD}"><sch:title>Old</sch:title>
            <sch:pattern name="All"><sch:rule context="a"><sch:assert test="b" diagnostics="d">No b in
            <sch:name/>.</sch:assert><sch:report test="@x">An x.</sch:report></sch:rule></sch:pattern>
            <sch:include href="part.sch"/>
            <sch:diagnostics><sch:diagnostic id="d">Add one.</sch:diagnostic></sch:diagnostics></sch:schema>""",
            "schemas/part.sch": f"""<pattern xmlns="{OLD}" name="More"><rule context="b"><assert test="c">No c.</assert>
            </rule></pattern>""",
        }
    )
    assert not errors(group, "<a><b><c/></b></a>")
    problems = errors(group, '<a x=""/>')
    assert "No b in a" in problems
    assert "An x" in problems
    assert "No c" in errors(group, "<a><b/></a>")
    model = f'<?xml-model href="schemas/a.sch" schematypens="{OLD}"?>'
    assert "No b in a" in errors(group, f"{model}<a/>")


def test_documents_are_checked_with_what_they_include_where_that_is_asked_for(group: GroupOfDocuments) -> None:
    group.write(
        {
            "schemas/a.rng": '<element name="a" xmlns="http://relaxng.org/ns/structure/1.0"><element name="b"><text/>'
            '</element><element name="c"><empty/></element></element>',
            "b.xml": "<b/>",
            "no-b.xml": "<d/>",
            "in-b.xml": "<b><c><c/></c></b>",
        }
    )
    text = f'<a {XI}>\n<xi:include href="b.xml"/><c/></a>'
    assert "'include'" in errors(group, text) or "include" in errors(group, text)
    assert not errors(group, text, xinclude="true")
    assert "line 2, column 1: The schema has no element 'd'" in errors(
        group, text.replace("b.xml", "no-b.xml"), xinclude="true"
    )
    problems = errors(group, text.replace("b.xml", "in-b.xml"), xinclude="true")
    assert "line 2, column 1: The element 'c' is not allowed here in the element 'b'" in problems
    problems = errors(group, text.replace("b.xml", "file:///etc/hostname"), xinclude="true")
    assert "includes what cannot be had" in problems


def test_a_publication_has_what_documents_include_where_that_is_asked_for(tmp_path: Path) -> None:
    group = GroupOfDocuments(tmp_path, publish)
    group.write(
        {
            "d/a.xml": f'<a {XI}><xi:include href="../b.txt" parse="text"/></a>',
            "b.txt": "included",
            "s.xsl": '<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"/>',
        }
    )
    assert group.run(path="/d", stylesheet="/s.xsl", xinclude="true") == Outcome(
        Status.COMPLETED, "Published 1 document"
    )
    (archive,) = group.results.iterdir()
    with zipfile.ZipFile(archive) as zipped:
        assert b"included" in zipped.read("d/a.xml")
