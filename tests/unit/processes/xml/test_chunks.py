"""Claims about large documents: their problems are placed without harm to the process."""

from __future__ import annotations

from pathlib import Path

from psthreads.domain.model import Level
from tests.support.validating import XS, Running

XSD = f"""<xs:schema {XS} targetNamespace="urn:b" xmlns="urn:b" elementFormDefault="qualified">
<xs:element name="book" type="part"/>
<xs:complexType name="part" mixed="true"><xs:choice minOccurs="0" maxOccurs="unbounded">
<xs:element name="part" type="part"/><xs:element name="number" type="xs:int"/></xs:choice>
<xs:anyAttribute processContents="skip"/></xs:complexType></xs:schema>"""


def test_the_elements_of_a_document_in_several_pieces_are_found_while_libxml2_still_reads_them(tmp_path: Path) -> None:
    group = Running(tmp_path)
    part = (
        "<part l:href='{0}'><!-- a comment --><part id='a{0}' l:href='b{0}'>some <part><part l:href='c'>words\n"
        "</part> and</part> more</part> and\n<number>{0}</number> a tail\n</part>"
    )
    parts = "".join(part.format(number) for number in range(600))
    group.write(schemas__book_xsd=XSD)
    group.folder.write(
        "a.xml", f"<book xmlns='urn:b' xmlns:l='urn:l'>{parts}\n<number>none</number>{parts}</book>".encode()
    )
    for _ in range(2):
        errors = group.errors("/a.xml")
        line = parts.count("\n") + 2
        assert errors[0].startswith(f"Document /a.xml is not valid: line {line}, column 1: "), errors
        assert len(errors) == 1
    assert not [line for line in group.reporter.lines(Level.ERROR) if "crashed" in line]
