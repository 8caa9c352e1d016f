"""Claims about which schemas apply to a document."""

from __future__ import annotations

from pathlib import Path

import pytest

from psthreads.domain.model import Level
from tests.support.validating import RNG, XS, XSI, Running

DOCBOOK = "http://docbook.org/ns/docbook"
DOCBOOK_RNG = f'<grammar {RNG} ns="{DOCBOOK}"><start><ref name="a"/></start><define name="a">{{}}</define></grammar>'
ARTICLE = '<element name="article"><element name="title"><text/></element></element>'
NAME = '<element><name ns="http://docbook.org/ns/docbook">article</name><text/></element>'


@pytest.fixture
def run(tmp_path: Path) -> Running:
    return Running(tmp_path)


@pytest.mark.parametrize(
    ("ending", "schema", "namespace"),
    [
        ("rng", DOCBOOK_RNG.format(ARTICLE), DOCBOOK),
        ("rng", DOCBOOK_RNG.format(f"<choice>{ARTICLE}{ARTICLE.replace('article', 'book')}</choice>"), DOCBOOK),
        ("rng", NAME.replace("<element>", f"<element {RNG}>"), DOCBOOK),
        ("rng", f'<element name="d:article" {RNG} xmlns:d="urn:d"><text/></element>', "urn:d"),
        ("rng", f'<element name="article" {RNG}><text/></element>', ""),
        ("xsd", f'<xs:schema {XS} targetNamespace="urn:d"><xs:element name="article"/></xs:schema>', "urn:d"),
        ("xsd", f'<xs:schema {XS}><xs:element name="article" type="xs:string"/></xs:schema>', ""),
    ],
)
def test_a_schema_of_the_group_applies_to_the_root_elements_of_its_namespace(
    run: Running, ending: str, schema: str, namespace: str
) -> None:
    run.folder.write(f"schemas/article.{ending}", schema.encode())
    for other in {"", DOCBOOK, "urn:d"} - {namespace}:
        run.write(
            a_xml=f'<article xmlns="{other}"><nonsense/></article>' if other else "<article><nonsense/></article>"
        )
        assert run.is_valid("a.xml"), run.reporter.lines()
        (warning,) = run.reporter.lines(Level.WARN)
        assert f"the schema /schemas/article.{ending} is not for elements" in warning
    run.write(a_xml=f'<article xmlns="{namespace}" no="1"><nonsense/></article>')
    assert run.is_valid("a.xml") == ('name="article"/>' in schema)
    assert not run.reporter.lines(Level.WARN)


@pytest.mark.parametrize(
    "start",
    [
        "<element><anyName/><text/></element>",
        "<element><choice><name>article</name><name>b</name></choice><text/></element>",
        f'<choice><element name="article" ns="{DOCBOOK}"><text/></element><element name="b"><text/></element></choice>',
    ],
)
def test_a_schema_whose_namespaces_cannot_be_told_applies_to_all(run: Running, start: str) -> None:
    run.folder.write("schemas/article.rng", f"<grammar {RNG}><start>{start}</start></grammar>".encode())
    run.write(a_xml="<article><nonsense/></article>")
    assert not run.is_valid("a.xml")


def test_a_driver_schema_applies_to_what_it_imports(run: Running) -> None:
    run.folder.write(
        "schemas/a.xsd", f'<xs:schema {XS}><xs:import namespace="urn:a" schemaLocation="ns.xsd"/></xs:schema>'.encode()
    )
    run.folder.write(
        "schemas/ns.xsd",
        f'<xs:schema {XS} targetNamespace="urn:a"><xs:element name="a" type="xs:int"/></xs:schema>'.encode(),
    )
    run.write(a_xml='<a xmlns="urn:a">x</a>')
    assert not run.is_valid("a.xml")


def test_the_catalog_has_a_schema_for_a_namespace_and_the_name_one_for_another(run: Running) -> None:
    run.folder.write("schemas/docbook.rng", DOCBOOK_RNG.format(ARTICLE).encode())
    run.folder.write("schemas/article.rng", f'<element name="article" {RNG}><text/></element>'.encode())
    run.folder.write(
        "schemas/catalog.xml",
        f"""<catalog xmlns="urn:oasis:names:tc:entity:xmlns:xml:catalog">
        <uri name="{DOCBOOK}" uri="docbook.rng"/></catalog>""".encode(),
    )
    run.write(jats_xml="<article>text</article>", db_xml=f'<article xmlns="{DOCBOOK}"><title>T</title></article>')
    assert run.is_valid()
    run.write(jats_xml="<article><title>T</title></article>", db_xml=f'<article xmlns="{DOCBOOK}">text</article>')
    assert len([error for error in run.errors() if "is not valid" in error]) == 2


@pytest.mark.parametrize(
    "naming",
    [
        '<?xml-model href="http://a.example/a.rng"?><a>{}</a>',
        '<?xml-model href="nothing.rng"?><a>{}</a>',
        f'<a {XSI} xsi:noNamespaceSchemaLocation="http://a.example/a.xsd">{{}}</a>',
        f'<a {XSI} xsi:schemaLocation="urn:x http://a.example/a.xsd">{{}}</a>',
        f'<a {XSI} xsi:schemaLocation="urn:x ../../../x.xsd urn:y http://[">{{}}</a>',
    ],
)
def test_a_schema_that_cannot_be_had_is_a_warning_and_the_groups_own_applies(run: Running, naming: str) -> None:
    run.folder.write(
        "schemas/a.rng",
        f"""<element name="a" {RNG} datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes"><data type="int"/>
        <zeroOrMore><attribute><anyName/></attribute></zeroOrMore></element>""".encode(),
    )
    run.write(a_xml=naming.format(1))
    assert run.is_valid("a.xml"), run.reporter.lines()
    assert "could not be had" in run.reporter.lines(Level.WARN)[0]
    run.write(a_xml=naming.format("x"))
    assert run.errors("a.xml")


def test_many_documents_that_name_the_same_are_one_warning(run: Running) -> None:
    for number in range(20):
        run.folder.write(f"{number}.xml", b'<?xml-model href="http://a.example/a.rng"?><a/>')
    run.run()
    assert len(run.reporter.lines(Level.WARN)) == 1


def test_half_a_pair_of_a_schema_location_is_told(run: Running) -> None:
    run.folder.write("s.xsd", f'<xs:schema {XS} targetNamespace="urn:a"><xs:element name="a"/></xs:schema>'.encode())
    run.write(a_xml=f'<a xmlns="urn:a" {XSI} xsi:schemaLocation="urn:a s.xsd urn:b"/>')
    assert run.is_valid("a.xml")
    assert "its xsi:schemaLocation is not made of pairs" in run.reporter.lines(Level.WARN)[0]
    run.write(a_xml=f'<a {XSI} xsi:schemaLocation="s.xsd"/>')
    run.is_valid("a.xml")
    assert "its xsi:schemaLocation is not made of pairs" in run.reporter.lines(Level.WARN)[0]
