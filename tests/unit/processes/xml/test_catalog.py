"""Claims about a group's catalog, by the sections of OASIS XML Catalogs 1.1 that they come from."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from lxml import etree

from psthreads.documents.group_documents import GroupDocuments
from psthreads.documents.layout import Documents
from psthreads.domain.access import Group
from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.publish import publish
from psthreads.processes.xml.catalogs.catalog import PATH, Catalog
from psthreads.processes.xml.catalogs.locating import Locator
from psthreads.processes.xml.includes import Absent, Includer
from tests.support.group_of_documents import GroupOfDocuments
from tests.support.validating import RNG, XS, XSI, Running

NAMESPACE = "urn:oasis:names:tc:entity:xmlns:xml:catalog"
DOCBOOK = "-//OASIS//DTD DocBook XML V4.5//EN"


@pytest.fixture
def folder(tmp_path: Path) -> GroupDocuments:
    return Documents(tmp_path).group(Group(7, "acme"))


def catalog(folder: GroupDocuments, entries: str, path: str = PATH, attributes: str = "") -> Catalog:
    folder.write(path, f'<catalog xmlns="{NAMESPACE}" {attributes}>{entries}</catalog>'.encode())
    return Catalog(Includer(folder))


@pytest.mark.parametrize(
    ("entries", "public", "system", "path"),
    [
        # 6.5.1 public, and the normalisation of 6.2.
        (f'<public publicId="{DOCBOOK}" uri="db/docbookx.dtd"/>', DOCBOOK, "", "/schemas/db/docbookx.dtd"),
        (f'<public publicId=" {DOCBOOK} " uri="d.dtd"/>', "-//OASIS//DTD\nDocBook XML  V4.5//EN", "", "/schemas/d.dtd"),
        # 6.5.2 system, with the normalisation of 6.3.
        ('<system systemId="http://a.example/a.dtd" uri="a.dtd"/>', "", "http://a.example/a.dtd", "/schemas/a.dtd"),
        ('<system systemId="http://a.example/ä b" uri="a.dtd"/>', "", "http://a.example/%C3%A4%20b", "/schemas/a.dtd"),
        # 6.5.3: the longest start is rewritten.
        (
            (
                '<rewriteSystem systemIdStartString="http://a/" rewritePrefix="one/"/>'
                '<rewriteSystem systemIdStartString="http://a/b/" rewritePrefix="two/"/>'
            ),
            *("", "http://a/b/c.dtd", "/schemas/two/c.dtd"),
        ),
        # 6.5.4: the longest suffix.
        (
            '<systemSuffix systemIdSuffix="t.dtd" uri="1.dtd"/><systemSuffix systemIdSuffix="/x/t.dtd" uri="2.dtd"/>',
            *("", "http://dita/x/t.dtd", "/schemas/2.dtd"),
        ),
        # 7.1.2: an exact entry before a rewritten one, and a system identifier before a public one.
        (
            (
                '<public publicId="P" uri="p.dtd"/><rewriteSystem systemIdStartString="s" rewritePrefix="r"/>'
                '<system systemId="s" uri="s.dtd"/>'
            ),
            *("P", "s", "/schemas/s.dtd"),
        ),
        # 6.4: a public identifier in a URN.
        (
            f'<public publicId="{DOCBOOK}" uri="d.dtd"/>',
            *("", "urn:publicid:-:OASIS:DTD+DocBook+XML+V4.5:EN", "/schemas/d.dtd"),
        ),
        # 6.5.5 and 7.1.2: `prefer` decides whether a public entry counts beside a system identifier.
        ('<group prefer="system"><public publicId="P" uri="p.dtd"/></group>', "P", "s", ""),
        ('<group prefer="system"><public publicId="P" uri="p.dtd"/></group>', "P", "", "/schemas/p.dtd"),
        ('<group prefer="public"><public publicId="P" uri="p.dtd"/></group>', "P", "s", "/schemas/p.dtd"),
        # 6.5.1: xml:base of the group and of the entry.
        (
            '<group xml:base="db/"><public publicId="P" uri="p.dtd" xml:base="4.5/"/></group>',
            *("P", "", "/schemas/db/4.5/p.dtd"),
        ),
        # What is not an entry, or lacks an attribute, counts for nothing.
        ('<x xmlns="urn:x"/><public uri="p.dtd"/><nonsense/>', "P", "s", ""),
    ],
)
def test_an_external_identifier_leads_where_the_entry_says(
    folder: GroupDocuments, entries: str, public: str, system: str, path: str
) -> None:
    assert catalog(folder, entries).external(public, system) == path


@pytest.mark.parametrize(
    ("entries", "address", "path"),
    [
        ('<uri name="urn:x:note" uri="note.rng"/>', "urn:x:note", "/schemas/note.rng"),
        ('<rewriteURI uriStartString="http://a/" rewritePrefix="/b/"/>', "http://a/c/d.xsd", "/b/c/d.xsd"),
        ('<uriSuffix uriSuffix="/tei.rng" uri="tei.rng"/>', "https://tei-c.org/tei.rng", "/schemas/tei.rng"),
        ('<system systemId="urn:x:note" uri="note.rng"/>', "urn:x:note", ""),
        ('<public publicId="A B" uri="ab.xsd"/>', "urn:publicid:A+B", "/schemas/ab.xsd"),
    ],
)
def test_another_reference_leads_where_the_entry_says(
    folder: GroupDocuments, entries: str, address: str, path: str
) -> None:
    assert catalog(folder, entries).uri(address) == path


def test_the_next_catalogs_come_after_all_entries_of_this_one(folder: GroupDocuments) -> None:
    catalog(folder, '<uri name="b" uri="second.rng"/><uri name="c" uri="c.rng"/>', "/schemas/more/catalog.xml")
    first = catalog(folder, '<nextCatalog catalog="more/catalog.xml"/><uri name="b" uri="first.rng"/>')
    assert first.uri("b") == "/schemas/first.rng"
    assert first.uri("c") == "/schemas/more/c.rng"
    assert first.uri("d") == ""


def test_a_catalog_that_is_not_there_keeps_no_other_from_its_answer(folder: GroupDocuments) -> None:
    catalog(folder, '<uri name="c" uri="c.rng"/>', "/schemas/more.xml")
    first = catalog(
        folder,
        '<nextCatalog catalog="absent.xml"/><delegateURI uriStartString="d" catalog="absent.xml"/>'
        '<nextCatalog catalog="more.xml"/>',
    )
    assert [first.uri(name) for name in "cde"] == ["/schemas/c.rng", "", ""]


def test_delegates_replace_all_other_catalogs_and_the_longest_comes_first(folder: GroupDocuments) -> None:
    catalog(folder, '<uri name="http://a/1" uri="long.rng"/>', "/schemas/long.xml")
    catalog(folder, '<uri name="http://a/1" uri="x"/><uri name="http://a/2" uri="short.rng"/>', "/schemas/short.xml")
    catalog(folder, '<uri name="http://a/3" uri="next.rng"/>', "/schemas/next.xml")
    first = catalog(
        folder,
        '<delegateURI uriStartString="http://" catalog="short.xml"/><nextCatalog catalog="next.xml"/>'
        '<delegateURI uriStartString="http://a" catalog="long.xml"/>',
    )
    assert [first.uri(f"http://a/{number}") for number in (1, 2, 3)] == ["/schemas/long.rng", "/schemas/short.rng", ""]


def test_a_delegate_for_the_system_identifier_is_not_told_the_public_one(folder: GroupDocuments) -> None:
    catalog(folder, '<public publicId="P" uri="p.dtd"/><system systemId="s2" uri="s2.dtd"/>', "/schemas/d.xml")
    first = catalog(
        folder,
        '<delegateSystem systemIdStartString="s" catalog="d.xml"/>'
        '<delegatePublic publicIdStartString="P" catalog="d.xml"/>',
    )
    assert first.external("P", "s1") == ""
    assert first.external("P", "s2") == "/schemas/s2.dtd"
    assert first.external("P", "other") == "/schemas/p.dtd"


@pytest.mark.parametrize("target", ["../../etc/passwd", "file:///etc/passwd", "http://a/b.dtd", "//host/x", "/../x"])
def test_no_entry_leads_out_of_the_group(folder: GroupDocuments, target: str) -> None:
    entries = f'<uri name="a" uri="{target}"/><rewriteURI uriStartString="http://a/" rewritePrefix="x/"/>'
    first = catalog(folder, entries)
    with pytest.raises(Unusable, match=r"not in this group|out of the group"):
        first.uri("a")
    with pytest.raises(Unusable, match="out of the group"):
        first.uri("http://a/../../../etc/passwd")


@pytest.mark.parametrize("base", ["http://a/", "file:///usr/share/xml/"])
def test_a_base_outside_the_group_leads_nowhere(folder: GroupDocuments, base: str) -> None:
    with pytest.raises(Unusable, match="not in this group"):
        catalog(folder, '<uri name="a" uri="a.rng"/>', attributes=f'xml:base="{base}"').uri("a")


def test_catalogs_that_name_each_other_end(folder: GroupDocuments) -> None:
    catalog(folder, '<nextCatalog catalog="catalog.xml"/>', "/schemas/b.xml")
    first = catalog(
        folder,
        '<nextCatalog catalog="catalog.xml"/><nextCatalog catalog="b.xml"/>'
        '<delegatePublic publicIdStartString="P" catalog="catalog.xml"/>',
    )
    assert first.uri("a") == ""
    assert first.external("P", "s") == ""


def test_more_catalogs_or_entries_than_there_may_be_are_refused(folder: GroupDocuments) -> None:
    for number in range(202):
        folder.write(
            f"/schemas/{number}.xml",
            f'<catalog xmlns="{NAMESPACE}"><nextCatalog catalog="{number + 1}.xml"/></catalog>'.encode(),
        )
    with pytest.raises(Unusable, match="more than 200 others"):
        catalog(folder, '<nextCatalog catalog="0.xml"/>').uri("a")
    with pytest.raises(Unusable, match="more than 50,000 entries"):
        catalog(folder, '<uri name="a" uri="b"/>' * 50_001).uri("c")


@pytest.mark.parametrize("content", ["<catalog/>", "<x", f'<group xmlns="{NAMESPACE}"/>'])
def test_what_is_no_catalog_is_refused_by_its_name(folder: GroupDocuments, content: str) -> None:
    folder.write(PATH, content.encode())
    with pytest.raises(Unusable, match=r"/schemas/catalog\.xml"):
        Catalog(Includer(folder)).uri("a")


def test_without_a_catalog_references_are_paths_and_the_usual_addresses_are_built_in(folder: GroupDocuments) -> None:
    folder.write("docs/a.dtd", b"")
    locator = Locator(folder)
    assert locator.reference("/docs/a.xml", "b.xsd") == "/docs/b.xsd"
    assert locator.external("/docs/a.xml", "P", "a.dtd") == "/docs/a.dtd"
    assert locator.namespace("urn:a") == ""
    for href in ("http://a/b.xsd", "../../b.xsd", "urn:a"):
        with pytest.raises(Absent):
            locator.reference("/docs/a.xml", href)
    for public, system in (("P", ""), ("P", "b.dtd"), ("", "http://a/a.dtd")):
        with pytest.raises(Absent):
            locator.external("/docs/a.xml", public, system)


def test_the_group_can_have_a_schema_of_its_own_for_a_usual_address(folder: GroupDocuments) -> None:
    catalog(folder, '<uri name="http://www.w3.org/2001/xml.xsd" uri="xml.xsd"/>')
    assert Locator(folder).reference("/a.xsd", "http://www.w3.org/2001/xml.xsd") == "/schemas/xml.xsd"


def test_a_catalog_that_is_a_link_is_refused_and_not_ignored(folder: GroupDocuments, tmp_path: Path) -> None:
    folder.write("schemas/real.xml", f'<catalog xmlns="{NAMESPACE}"/>'.encode())
    (tmp_path / "groups/7/schemas/catalog.xml").symlink_to("real.xml")
    with pytest.raises(Unusable, match="link"):
        Locator(folder).reference("/a.xml", "http://a/b")


@pytest.mark.parametrize(
    ("attribute", "is_valid"),
    [
        ('xml:lang="de"', True),
        ('xml:lang=""', True),
        ('xml:lang="1"', False),
        ('xml:space="preserve"', True),
        ('xml:space="no"', False),
        ('xml:id="a"', True),
        ('xlink:href="a" xlink:type="simple" xlink:show="new"', True),
        ('xlink:type="none"', False),
        ('xlink:actuate="now"', False),
    ],
)
def test_the_built_in_schemas_declare_what_the_recommendations_define(
    folder: GroupDocuments,
    attribute: str,
    is_valid: bool,  # noqa: FBT001 (a parameter of a test)
) -> None:
    schema = b"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xlink="http://www.w3.org/1999/xlink">
    <xs:import namespace="http://www.w3.org/1999/xlink" schemaLocation="http://www.w3.org/1999/xlink.xsd"/>
    <xs:import namespace="http://www.w3.org/XML/1998/namespace" schemaLocation="http://www.w3.org/2001/xml.xsd"/>
    <xs:element name="a"><xs:complexType><xs:attributeGroup ref="xml:specialAttrs"/>
    <xs:attributeGroup ref="xlink:simpleAttrs"/></xs:complexType></xs:element></xs:schema>"""
    compiled, _ = Includer(folder, Locator(folder).reference).xsd("/schemas/a.xsd", schema)
    root = etree.fromstring(f'<a xmlns:xlink="http://www.w3.org/1999/xlink" {attribute}/>')
    assert compiled.validate(root) is is_valid, compiled.error_log


def test_schemas_that_documents_and_schemas_name_by_address_are_found(tmp_path: Path) -> None:
    run = Running(tmp_path)
    catalog(
        run.folder,
        '<rewriteURI uriStartString="http://a.example/" rewritePrefix="a/"/>'
        '<uri name="urn:x:part" uri="part.rng"/><uri name="urn:p" uri="a/p.xsd"/>',
    )
    run.write(
        schemas__part_rng=f"""<grammar {RNG}><define name="p"><element name="p"><data type="int"
        datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes"/></element></define></grammar>""",
        schemas__a__n_rng=f"""<grammar {RNG}><include href="urn:x:part"/>
        <start><element name="n"><ref name="p"/></element></start></grammar>""",
        schemas__a__p_xsd=f'<xs:schema {XS} targetNamespace="urn:p"><xs:element name="p" type="xs:int"/></xs:schema>',
        schemas__a__n_xsd=f"""<xs:schema {XS} xmlns:p="urn:p">
        <xs:import namespace="urn:p" schemaLocation="http://a.example/p.xsd"/><xs:element name="n"><xs:complexType>
        <xs:sequence><xs:element ref="p:p"/></xs:sequence></xs:complexType></xs:element></xs:schema>""",
    )
    rng = '<?xml-model href="http://a.example/n.rng"?><n><p>{}</p></n>'
    xsd = f'<n {XSI} xsi:noNamespaceSchemaLocation="http://a.example/n.xsd"><p xmlns="urn:p">{{}}</p></n>'
    for text in (rng, xsd):
        run.write(a_xml=text.format(1))
        assert run.is_valid("a.xml"), run.reporter.lines()
        run.write(a_xml=text.format("x"))
        assert "'x'" in " ".join(run.errors("a.xml"))


def test_a_stylesheet_includes_and_reads_by_address(tmp_path: Path) -> None:
    group = GroupOfDocuments(tmp_path, publish)
    catalog(group.folder, '<rewriteURI uriStartString="http://a.example/" rewritePrefix="a/"/>')
    xsl = 'xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"'
    group.write(
        {
            "a.xml": "<a/>",
            "schemas/a/b.xml": "<b/>",
            "schemas/a/part.xsl": f"""<xsl:stylesheet {xsl}><xsl:template match="/">
            <xsl:copy-of select="document('http://a.example/b.xml')"/></xsl:template></xsl:stylesheet>""",
            "stylesheets/publish.xsl": f"""<xsl:stylesheet {xsl}>
            <xsl:import href="http://a.example/part.xsl"/></xsl:stylesheet>""",
        }
    )
    assert group.run(path="/a.xml").message == "Published 1 document"
    (archive,) = group.results.iterdir()
    with zipfile.ZipFile(archive) as zipped:
        assert b"<b/>" in zipped.read("a.xml")
