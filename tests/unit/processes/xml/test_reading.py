"""Claims about DTDs and entities, by the sections of XML 1.0 that they come from."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from psthreads.domain.model import Level, Status
from psthreads.processes.publish import publish
from tests.support.group_of_documents import GroupOfDocuments
from tests.support.validating import SECRET, XS, Running, with_secrets_outside

DTD = """<!ENTITY % parts SYSTEM "parts.mod">%parts;
<!ELEMENT note (p+)><!ATTLIST note kind CDATA "plain" see IDREF #IMPLIED>
<!ENTITY nbsp "&#160;"><!ENTITY two "<p>1</p><p>2</p>">"""
PARTS = "<!ELEMENT p (#PCDATA)><!ATTLIST p id ID #IMPLIED>"
CATALOG = """<catalog xmlns="urn:oasis:names:tc:entity:xmlns:xml:catalog">
<public publicId="-//ACME//DTD Note//EN" uri="dtd/note.dtd"/></catalog>"""
NOTE = '<!DOCTYPE note PUBLIC "-//ACME//DTD Note//EN" "http://acme.example/note.dtd"{}>\n'


@pytest.fixture
def run(tmp_path: Path) -> Running:
    run = with_secrets_outside(tmp_path)
    run.folder.write("schemas/dtd/note.dtd", DTD.encode())
    run.folder.write("schemas/dtd/parts.mod", PARTS.encode())
    run.folder.write("schemas/catalog.xml", CATALOG.encode())
    return run


@pytest.mark.parametrize(
    ("document", "place", "words"),
    [
        (NOTE.format("") + "<note><p>a&nbsp;b</p>&two;</note>", "", ""),
        # 3, validity constraint: element valid.
        (NOTE.format("") + "<note>\n  <q/></note>", "line 3, column 3", "No declaration for element q"),
        (NOTE.format("") + "<note/>", "line 2, column 1", "does not follow the DTD"),
        (NOTE.format("") + "<note>text<p/></note>", "line 2, column 1", "does not follow the DTD"),
        # 2.8, validity constraint: root element type.
        (NOTE.format("") + "<p/>", "line 2, column 1", "p"),
        # 3.1, validity constraint: attribute value type.
        (NOTE.format("") + '<note no=""><p/></note>', "line 2, column 1", "attribute no"),
        # 3.3.1, validity constraints: ID and IDREF.
        (NOTE.format("") + '<note><p id="a"/>\n<p id="a"/></note>', "line 3, column 1", "ID a"),
        (NOTE.format("") + '<note see="b"><p id="a"/></note>', "", "IDREF"),
        # 2.8: the internal subset adds to the external one, and comes first.
        (NOTE.format(" [<!ATTLIST p n CDATA #IMPLIED>]") + '<note><p n="1"/></note>', "", ""),
        (NOTE.format(" [<!ATTLIST note see CDATA #REQUIRED>]") + "<note><p/></note>", "line 2, column 1", "see"),
        # The whole DTD inside the document.
        ("<!DOCTYPE a [<!ELEMENT a EMPTY>]>\n<a/>", "", ""),
        ("<!DOCTYPE a [<!ELEMENT a EMPTY>]>\n<a>b</a>", "line 2, column 1", "declared EMPTY"),
        # What declares no element is no schema.
        ('<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "", ""),
        ('<!DOCTYPE a [<!ATTLIST a b CDATA "c">]><a/>', "", ""),
        # 4.2.2 and 4.7: unparsed entities and notations.
        ('<!DOCTYPE a [<!NOTATION gif SYSTEM "g"><!ENTITY pic SYSTEM "a.gif" NDATA gif>]><a/>', "", ""),
    ],
)
def test_a_document_is_valid_by_the_dtd_that_it_names(run: Running, document: str, place: str, words: str) -> None:
    run.folder.write("d/a.xml", document.encode())
    if not words:
        assert run.is_valid("d/a.xml"), run.reporter.lines()
        return
    errors = run.errors("d/a.xml")
    assert words in errors[0]
    assert place in errors[0]


def test_a_problem_in_what_an_entity_brought_is_told_where_the_entity_is_used(run: Running) -> None:
    run.folder.write(
        "schemas/note.xsd",
        f"""<xs:schema {XS}><xs:element name="note"><xs:complexType><xs:sequence>
    <xs:element name="p" type="xs:int" maxOccurs="99"/></xs:sequence><xs:attribute name="kind"/></xs:complexType>
    </xs:element></xs:schema>""".encode(),
    )
    entity = ' [<!ENTITY bad "<p>x</p>">]'
    run.folder.write("a.xml", (NOTE.format(entity) + "<note>&two;&bad;\n<p>y</p>&two;\n <p>z</p></note>").encode())
    errors = run.errors("a.xml")
    assert [error[error.index("line") :].partition(":")[0] for error in errors] == [
        "line 2, column 1",
        "line 2, column 1",
        "line 4, column 2",
    ]


def test_a_dtd_that_cannot_be_had_is_a_warning_and_the_groups_own_schema_applies(run: Running) -> None:
    run.folder.write("schemas/a.xsd", f'<xs:schema {XS}><xs:element name="a" type="xs:int"/></xs:schema>'.encode())
    for address in ("http://a.example/a.dtd", "a.dtd", f"file://{run.root.parent}/outside.xml"):
        run.write(a_xml=f'<!DOCTYPE a SYSTEM "{address}"><a>1</a>')
        assert run.is_valid("a.xml"), run.reporter.lines()
        (warning,) = run.reporter.lines(Level.WARN)
        assert "its DTD could not be had" in warning
        run.write(a_xml=f'<!DOCTYPE a SYSTEM "{address}"><a>x</a>')
        assert "'x'" in run.errors("a.xml")[0]
        run.write(a_xml=f'<!DOCTYPE a SYSTEM "{address}"><a>&nbsp;</a>')
        (error,) = run.errors("a.xml")
        assert "Entity 'nbsp' not defined, and its DTD cannot be had" in error


@pytest.mark.parametrize(
    "declaration",
    [
        '<!ENTITY x SYSTEM "file://{}/outside.xml">',
        '<!ENTITY x SYSTEM "../../../outside.xml">',
        '<!ENTITY x PUBLIC "P" "http://127.0.0.1:9/outside.xml">',
        '<!ENTITY % y SYSTEM "file://{}/outside.xml">%y;<!ENTITY x "">',
        "<!ENTITY % y '<!ENTITY x SYSTEM \"file://{}/outside.xml\">'>%y;",
        '<!ENTITY x SYSTEM "nothing.xml">',
    ],
)
def test_an_external_entity_comes_from_the_group_or_not_at_all(run: Running, declaration: str) -> None:
    run.write(a_xml=f"<!DOCTYPE a [{declaration.replace('{}', str(run.root.parent))}]><a>&x;</a>")
    (error,) = run.errors("a.xml")
    assert "its DTD or an entity cannot be had" in error
    assert SECRET not in error


def test_an_external_entity_of_the_group_is_a_part_of_the_document(run: Running) -> None:
    run.write(
        book_xml="<!DOCTYPE b [<!ELEMENT b (c+)><!ELEMENT c (#PCDATA)><!ENTITY one SYSTEM 'parts/1.xml'>]><b>&one;</b>",
        parts__1_xml="<c>1</c>",
    )
    assert run.is_valid("book.xml")
    run.write(parts__1_xml="<d/>")
    assert "element d" in run.errors("book.xml")[0]
    run.write(parts__1_xml="<c>")
    assert run.errors("book.xml")


def test_a_dtd_that_names_its_parts_by_paths_of_another_machine_finds_them_by_the_catalog(run: Running) -> None:
    run.folder.write("schemas/dtd/parts.mod", b'<!ENTITY % more SYSTEM "/usr/share/xml/more.mod">%more;')
    run.folder.write("schemas/more/more.mod", PARTS.encode())
    rewrite = '<rewriteSystem systemIdStartString="/usr/share/xml/" rewritePrefix="more/"/></catalog>'
    run.folder.write("schemas/catalog.xml", CATALOG.replace("</catalog>", rewrite).encode())
    run.write(a_xml=NOTE.format("") + "<note><p/></note>")
    assert run.is_valid("a.xml"), run.reporter.lines()


def laughs(levels: int) -> str:
    return '<!ENTITY l0 "lol">' + "".join(
        f'<!ENTITY l{number} "{f"&l{number - 1};" * 10}">' for number in range(1, levels + 1)
    )


def test_entities_expand_as_far_as_documents_need_it_and_no_further(run: Running) -> None:
    run.write(a_xml=f"<!DOCTYPE a [{laughs(4)}]><a>&l4;</a>")
    assert run.is_valid("a.xml")  # 30 kB.
    for levels in (6, 7, 12):
        run.write(a_xml=f"<!DOCTYPE a [{laughs(levels)}]><a>&l{levels};</a>")
        (error,) = run.errors("a.xml")
        assert "entity amplification" in error
    run.write(a_xml='<!DOCTYPE a [<!ENTITY % a "%b;"><!ENTITY % b "%a;">%a;]><a/>')
    assert run.errors("a.xml")
    run.write(a_xml='<!DOCTYPE a SYSTEM "big.dtd"><a/>', big_dtd='<!ENTITY % big SYSTEM "big.dtd">%big;%big;')
    assert run.errors("a.xml")


def test_a_dtd_of_too_many_parts_is_refused(run: Running) -> None:
    run.write(part_mod="<!-- -->" + " " * 100_000)
    parts = "".join(f'<!ENTITY % p{number} SYSTEM "part.mod">%p{number};' for number in range(1_200))
    run.write(a_xml='<!DOCTYPE a SYSTEM "a.dtd"><a/>', a_dtd=parts)
    (error,) = run.errors("a.xml")
    assert "more than 1,000 documents or 32 MB" in error


def test_a_schema_may_declare_entities(run: Running) -> None:
    run.folder.write(
        "schemas/b.xsd",
        f"""<!DOCTYPE xs:schema PUBLIC "-//W3C//DTD XMLSCHEMA 200102//EN" "http://www.w3.org/2001/XMLSchema.dtd"
        [<!ENTITY type "xs:int">]><xs:schema {XS}><xs:element name="b" type="&type;"/></xs:schema>""".encode(),
    )
    run.write(b_xml="<b>1</b>")
    assert run.is_valid("b.xml")
    run.write(b_xml="<b>x</b>")
    assert not run.is_valid("b.xml")


def test_a_publication_has_entities_defaults_of_attributes_and_a_stylesheet_with_both(tmp_path: Path) -> None:
    group = GroupOfDocuments(tmp_path, publish)
    xsl = 'xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"'
    group.write(
        {
            "schemas/catalog.xml": CATALOG,
            "schemas/dtd/note.dtd": DTD,
            "schemas/dtd/parts.mod": PARTS,
            "d/a.xml": NOTE.format("") + "<note><p>a&nbsp;b</p>&two;</note>",
            "d/b.xml": '<!DOCTYPE note SYSTEM "no.dtd"><note/>',
            "d/c.xml": "<!DOCTYPE note [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><note>&x;</note>",
            "stylesheets/names.ent": '<!ENTITY word "said">',
            "stylesheets/part.xsl": f"""<!DOCTYPE xsl:stylesheet [<!ENTITY nbsp "&#160;">]>
            <xsl:stylesheet {xsl}><xsl:template match="p"><p>&nbsp;<xsl:value-of select="."/></p></xsl:template>
            </xsl:stylesheet>""",
            "stylesheets/publish.xsl": f"""<!DOCTYPE xsl:stylesheet [<!ENTITY % names SYSTEM "names.ent">%names;]>
            <xsl:stylesheet {xsl}><xsl:include href="part.xsl"/><xsl:output encoding="utf-8" method="xml"/>
            <xsl:template match="note"><out kind="{{@kind}}">&word;<xsl:apply-templates/></out></xsl:template>
            </xsl:stylesheet>""",
        }
    )
    assert group.run(path="/d").status is Status.FAILED
    (error,) = group.reporter.lines(Level.ERROR)
    assert "/d/c.xml was not published: its DTD or an entity cannot be had" in error
    assert any("its DTD could not be had" in line for line in group.reporter.lines(Level.INFO))
    (archive,) = group.results.iterdir()
    with zipfile.ZipFile(archive) as zipped:
        assert '<out kind="plain">said<p>\xa0a\xa0b</p><p>\xa01</p><p>\xa02</p></out>'.encode() in zipped.read(
            "d/a.xml"
        )
        assert b'<out kind="">said</out>' in zipped.read("d/b.xml")
