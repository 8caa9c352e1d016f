"""Claims about XInclude 1.1, by its sections."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from psthreads.documents.layout import Documents, GroupFolder
from psthreads.domain.access import Group
from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.xml.catalogs.locating import Locator
from psthreads.processes.xml.includes import Includer
from psthreads.processes.xml.reading import Reader
from psthreads.processes.xml.xinclude import Inclusions

XI = 'xmlns:xi="http://www.w3.org/2001/XInclude"'
FILES = {
    "d/b.xml": '<b>x<c xml:id="c">1</c>y</b>',
    "d/t.txt": "a < b & c\r\n",
    "d/latin.txt": "caf\xe9",
    "d/sub/s.xml": f'<s {XI}><xi:include href="../b.xml"/></s>',
    "d/dtd.xml": '<!DOCTYPE z [<!ATTLIST y i ID #IMPLIED>]><z><y i="two">2</y></z>',
    "d/loop.xml": f'<l {XI}><xi:include href="loop2.xml"/></l>',
    "d/loop2.xml": f'<l {XI}><xi:include href="loop.xml"/></l>',
    "d/broken.xml": "<a>",
    "d/double0.xml": "<x/>",
    **{
        f"d/double{n}.xml": f'<x {XI}><xi:include href="double{n - 1}.xml"/><xi:include href="double{n - 1}.xml"/></x>'
        for n in range(1, 16)
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> GroupFolder:
    (tmp_path / "secret.txt").write_text("the secret outside")
    folder = Documents(tmp_path).group(Group(7, "acme"))
    for path, text in FILES.items():
        folder.write(path, text.encode("latin-1"))
    return folder


def expanded(folder: GroupFolder, text: str) -> str:
    folder.write("/d/a.xml", text.encode())
    locator = Locator(folder)
    reader = Reader(locator, Includer(folder))
    reading = reader.read(text.encode(), "/d/a.xml")
    root = Inclusions(reader, locator, Includer(folder)).expanded(reading, "/d/a.xml").root
    etree.cleanup_namespaces(root)
    return etree.tostring(root, encoding="unicode")


@pytest.mark.parametrize(
    ("content", "result"),
    [
        ('1<xi:include href="b.xml"/>2', '<a>1<b>x<c xml:id="c">1</c>y</b>2</a>'),
        # 4.5.5: the base of what comes from another folder.
        (
            '<xi:include href="sub/s.xml"/>',
            '<a><s xml:base="sub/s.xml"><b xml:base="../b.xml">x<c xml:id="c">1</c>y</b></s></a>',
        ),
        # 4.3: text, with its encoding.
        ('1<xi:include href="t.txt" parse="text"/>2', "<a>1a &lt; b &amp; c\n2</a>"),
        ('<z/>1<xi:include href="latin.txt" parse="text" encoding="iso-8859-1"/>2<z/>', "<a><z/>1caf\xe92<z/></a>"),
        # 4.2.2: pointers.
        ('<xi:include href="b.xml" xpointer="c"/>', '<a><c xml:id="c">1</c></a>'),
        ('<xi:include href="b.xml" xpointer="element(/1/1)"/>', '<a><c xml:id="c">1</c></a>'),
        ('<xi:include href="b.xml" xpointer="element(c)"/>', '<a><c xml:id="c">1</c></a>'),
        ('<xi:include href="dtd.xml" xpointer="two"/>', '<a><y i="two">2</y></a>'),
        ('<b xml:id="o">1</b><xi:include xpointer="o"/>', '<a><b xml:id="o">1</b><b xml:id="o">1</b></a>'),
        # 4.4: a fallback for what is not there.
        ('<xi:include href="no.xml"><xi:fallback>f<g/>h</xi:fallback></xi:include>i', "<a>f<g/>hi</a>"),
        ('<xi:include href="no.xml"><xi:fallback/></xi:include>i', "<a>i</a>"),
        (
            '<xi:include href="no.xml"><xi:fallback><xi:include href="t.txt" parse="text"/></xi:fallback></xi:include>',
            "<a>a &lt; b &amp; c\n</a>",
        ),
        ('<xi:include href="b.xml" xpointer="no"><xi:fallback>f</xi:fallback></xi:include>', "<a>f</a>"),
    ],
)
def test_an_inclusion_becomes_what_it_includes(folder: GroupFolder, content: str, result: str) -> None:
    assert expanded(folder, f"<a {XI}>{content}</a>") == result


def test_the_root_may_be_an_inclusion(folder: GroupFolder) -> None:
    assert expanded(folder, f'<xi:include {XI} href="b.xml"/>') == '<b>x<c xml:id="c">1</c>y</b>'


@pytest.mark.parametrize(
    "attributes",
    [
        'href="no.xml"',
        'href="no.txt" parse="text"',
        'href="file:///etc/hostname" parse="text"',
        'href="/etc/hostname" parse="text"',
        'href="../../../secret.txt" parse="text"',
        'href="http://127.0.0.1:9/x.xml"',
        'href="loop.xml"',
        'xpointer="element(/1)"',
        'href="broken.xml"',
        'href="b.xml" xpointer="xpointer(//c)"',
        'href="b.xml" xpointer="element(/1/9)"',
        'href="latin.txt" parse="text"',
        'href="latin.txt" parse="text" encoding="nonsense"',
        'href="double15.xml"',
    ],
)
def test_what_cannot_be_included_is_one_sentence(folder: GroupFolder, attributes: str) -> None:
    with pytest.raises(Unusable) as caught:
        expanded(folder, f"<a {XI}><xi:include {attributes}/></a>")
    assert "secret outside" not in str(caught.value)
