"""10,000 documents that look like real ones, the same each time, and a schema that they are valid by."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from psthreads.documents.paths import TEMPORARY

COUNT = 10_000

TEXT = """
    the board of directors met on Monday to consider report number seven and agreed that a revised budget shall be
    published before spring together with minutes of every committee member who asked for it in writing
"""
WORDS = TEXT.split()

SCHEMA = """\
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <xs:element name="document"><xs:complexType>
    <xs:sequence>
      <xs:element name="documentinfo"><xs:complexType><xs:sequence>
        <xs:element name="uri"><xs:complexType>
          <xs:attribute name="title" type="xs:string" use="required"/>
          <xs:attribute name="path" type="xs:anyURI" use="required"/>
        </xs:complexType></xs:element>
      </xs:sequence></xs:complexType></xs:element>
      <xs:element name="section" maxOccurs="unbounded"><xs:complexType>
        <xs:sequence>
          <xs:element name="fragment" maxOccurs="unbounded"><xs:complexType>
            <xs:choice minOccurs="0" maxOccurs="unbounded">
              <xs:element name="heading"><xs:complexType><xs:simpleContent><xs:extension base="xs:string">
                <xs:attribute name="level" type="xs:positiveInteger" use="required"/>
              </xs:extension></xs:simpleContent></xs:complexType></xs:element>
              <xs:element name="para"><xs:complexType mixed="true">
                <xs:choice minOccurs="0" maxOccurs="unbounded">
                  <xs:element name="bold" type="xs:string"/>
                  <xs:element name="xref"><xs:complexType><xs:simpleContent><xs:extension base="xs:string">
                    <xs:attribute name="href" type="xs:anyURI" use="required"/>
                    <xs:attribute name="type" type="xs:token"/>
                  </xs:extension></xs:simpleContent></xs:complexType></xs:element>
                </xs:choice>
              </xs:complexType></xs:element>
            </xs:choice>
            <xs:attribute name="id" type="xs:NCName" use="required"/>
          </xs:complexType></xs:element>
        </xs:sequence>
        <xs:attribute name="id" type="xs:NCName" use="required"/>
      </xs:complexType></xs:element>
    </xs:sequence>
    <xs:attribute name="type" type="xs:token"/>
    <xs:attribute name="level" type="xs:token"/>
    <xs:attribute name="id" type="xs:nonNegativeInteger"/>
  </xs:complexType></xs:element>
</xs:schema>
"""

STYLESHEET = """\
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="html"/>
  <xsl:template match="/document">
    <html>
      <head><title><xsl:value-of select="documentinfo/uri/@title"/></title></head>
      <body>
        <ul><xsl:for-each select="//heading"><li><xsl:value-of select="."/></li></xsl:for-each></ul>
        <xsl:apply-templates select="section"/>
      </body>
    </html>
  </xsl:template>
  <xsl:template match="section"><section id="{@id}"><xsl:apply-templates/></section></xsl:template>
  <xsl:template match="heading"><h2><xsl:apply-templates/></h2></xsl:template>
  <xsl:template match="para"><p><xsl:apply-templates/></p></xsl:template>
  <xsl:template match="bold"><b><xsl:apply-templates/></b></xsl:template>
  <xsl:template match="xref">
    <a href="{substring-before(@href, '.psml')}.html"><xsl:apply-templates/></a>
  </xsl:template>
</xsl:stylesheet>
"""

# xsltproc writes many documents to one stream, unless the stylesheet itself says where each one goes.
ONE_FILE_EACH = """\
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"
    xmlns:exsl="http://exslt.org/common" extension-element-prefixes="exsl">
  <xsl:import href="publish.xsl"/>
  <xsl:template match="/">
    <exsl:document href="{document/@id}.html" method="html"><xsl:apply-imports/></exsl:document>
  </xsl:template>
</xsl:stylesheet>
"""


def fill(folder: Path) -> None:
    """Write 10,000 documents of 1 to 8 kB, a hundred in each folder, always the same ones."""
    for number, document in enumerate(documents(COUNT)):
        below = folder / f"{number // 100:03}"
        below.mkdir(parents=True, exist_ok=True)
        (below / f"document-{number % 100:03}.psml").write_text(document)


def documents(count: int) -> Iterator[str]:
    """Yield `count` documents, always the same ones."""
    chance = random.Random(7)  # noqa: S311 (the same documents each time is the point)
    return (_document(chance, number) for number in range(count))


def _document(chance: random.Random, number: int) -> str:
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<document type="default" level="portable" id="{number}">',
        f'  <documentinfo><uri title="Minutes {number}" path="/minutes/{number}.psml"/></documentinfo>',
    ]
    size = chance.randint(1_000, 8_000)
    section = 0
    while sum(map(len, lines)) < size:
        section += 1
        lines.append(f'  <section id="s{section}"><fragment id="f{section}">')
        lines.append(f'    <heading level="2">{" ".join(chance.choices(WORDS, k=5)).capitalize()}</heading>')
        for _ in range(chance.randint(1, 5)):
            words = chance.choices(WORDS, k=chance.randint(12, 60))
            words[3] = f"<bold>{words[3]}</bold>"
            words[7] = f'<xref href="d{chance.randrange(COUNT)}.psml" type="none">{words[7]}</xref>'
            lines.append(f"    <para>{' '.join(words)}.</para>")
        lines.append("  </fragment></section>")
    return "\n".join([*lines, "</document>\n"])


def add_schema(folder: Path) -> None:
    """Give the group a schema that every one of the documents is valid by."""
    (folder / "schemas").mkdir(exist_ok=True)
    (folder / "schemas" / "document.xsd").write_text(SCHEMA)


def add_stylesheet(folder: Path) -> None:
    """Give the group a stylesheet that makes a page of every one of the documents."""
    (folder / "stylesheets").mkdir(exist_ok=True)
    (folder / "stylesheets" / "publish.xsl").write_text(STYLESHEET)
    (folder / "stylesheets" / "each.xsl").write_text(ONE_FILE_EACH)


def zip_in_zone(folder: Path) -> None:
    """Put a zip file of the documents, and nothing else, into the loading zone of member 1."""
    archive = folder.parents[1] / "documents.zip"
    if not archive.exists():
        shutil.make_archive(str(archive.with_suffix("")), "zip", folder, "documents")
    shutil.copy(archive, _empty_zone(folder))


def files_in_zone(folder: Path) -> None:
    """Put the documents themselves there, and take away those that were loaded before."""
    shutil.rmtree(folder / "loaded", ignore_errors=True)
    shutil.copytree(folder / "documents", _empty_zone(folder) / "documents")


def _empty_zone(folder: Path) -> Path:
    zone = folder.parents[1] / "loading" / folder.name / "1"
    renew(zone)
    return zone


def renew(folder: Path) -> None:
    """Make the folder an empty one. What was there is kept until the end.

    Where thousands of files were just removed, ext4 looks at the place of each of them before it gives out a new one,
    which takes longer than all else.
    """
    if folder.exists():
        folder.rename(folder.with_name(f"{TEMPORARY}{uuid4().hex}"))
    folder.mkdir(parents=True)


def put_back(folder: Path) -> None:
    """Undo a move of the documents."""
    if (folder / "moved").exists():
        (folder / "moved").rename(folder / "documents")
