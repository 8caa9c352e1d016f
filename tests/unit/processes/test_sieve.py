"""Claims about the quick way through for documents that are plainly valid: it lets nothing through that is not."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from psthreads.processes.validate import validate
from psthreads.processes.xml import checking as _checking
from psthreads.processes.xml.checking import Checker
from psthreads.processes.xml.parsing import plain_root
from tests.support.group_of_documents import GroupOfDocuments
from tests.support.validating import NOTE_RNG, NOTE_SCH, NOTE_XSD, XS, XSI

PIECES = [
    *(b"<", b">", b"/", b"</p>", b"<p>", b"<p>1</p>", b"<p>x</p>", b"<q/>", b"&", b"&amp;", b"&x;", b"&#1;", b"&#65;"),
    *(b"]]>", b"<!--", b"-->", b"<!-- c -->", b"<?pi?>", b"<?xml version='1.0'?>", b"<![CDATA[1]]>", b"'", b'"', b"="),
    *(
        b" a='1'",
        b" a='1' a='1'",
        b" xmlns='urn:x'",
        b" xmlns:p='urn:p'",
        b" xmlns:p=''",
        b" xmlns:xml='u'",
        b" p:a=''",
    ),
    *(
        b" xml:id='1'",
        b" xml:id='a'",
        b" xml:space='x'",
        b"<x:p/>",
        b"<a:b:c xmlns:a='u'/>",
        b"\x00",
        b"\xff",
        b"\xc3\xa9",
    ),
    *(b"\n", b" ", b"1", b"x", b"<!DOCTYPE note>", b"<!DOCTYPE note [<!ENTITY e '1'>]>", b"&e;", b"\xef\xbb\xbf"),
    *(
        b" xsi:noNamespaceSchemaLocation='no.xsd'",
        f" {XSI}".encode(),
        b" xmlns:p='urn:p' p:a='' xmlns:r='urn:p' r:a=''",
    ),
]
BASES = [
    b"<note><p>1</p><p>2</p></note>",
    b'<?xml version="1.0" encoding="UTF-8"?>\n<note>\n<p>1</p>\n</note>\n',
    b"<other a='1'><p>x</p><p/></other>",
    b"<lax a='1'><p b='http://a.org/'>x: y</p><p/></lax>",
    b"<n:note xmlns:n='urn:n'><n:p>1</n:p></n:note>",
]
LAX_XSD = f"""\
<xs:schema {XS}><xs:element name="lax"><xs:complexType mixed="true"><xs:sequence>
<xs:any namespace="##any" processContents="skip" minOccurs="0" maxOccurs="unbounded"/></xs:sequence>
<xs:anyAttribute namespace="##any" processContents="skip"/></xs:complexType></xs:element></xs:schema>"""


@pytest.fixture
def group(tmp_path: Path) -> GroupOfDocuments:
    return GroupOfDocuments(tmp_path, validate)


def mutants(chance: random.Random, count: int) -> list[bytes]:
    made = []
    for _ in range(count):
        data = chance.choice(BASES)
        for _ in range(chance.randint(0, 3)):
            at = chance.randint(0, len(data))
            data = data[:at] + chance.choice(PIECES) + data[at + chance.choice((0, 0, 0, 1, 5)) :]
        made.append(data)
    return made


def test_whatever_is_let_through_is_found_valid_the_slow_way_too(
    group: GroupOfDocuments, monkeypatch: pytest.MonkeyPatch
) -> None:
    group.write({"schemas/note.xsd": NOTE_XSD, "schemas/lax.xsd": LAX_XSD})
    checker = Checker(group.folder)
    chance = random.Random(7)  # noqa: S311 (a test's choice)
    let_through = {data for data in mutants(chance, 20_000) if checker._quick(data)}
    assert len(let_through) > 100
    monkeypatch.setattr(Checker, "_quick", lambda *_: None)
    for data in let_through:
        assert checker.verdict("/a.xml", len(data), data).problems == (), data


def test_most_valid_documents_are_let_through(group: GroupOfDocuments) -> None:
    group.write({"schemas/note.xsd": NOTE_XSD})
    checker = Checker(group.folder)
    assert all(checker._quick(data) for data in BASES[:3])
    assert not checker._quick(b"<note/>")
    assert not checker._quick(b"<other>")


@pytest.mark.parametrize("schema", [{"note.rng": NOTE_RNG}, {"note.sch": NOTE_SCH}, {"note.xsd": "<broken"}])
def test_other_schemas_than_one_xml_schema_are_always_asked(group: GroupOfDocuments, schema: dict[str, str]) -> None:
    group.write({f"schemas/{name}": text for name, text in schema.items()})
    checker = Checker(group.folder)
    assert not checker._quick(BASES[0])
    group.write({"schemas/other.xsd": NOTE_XSD, "schemas/other.sch": NOTE_SCH})
    assert not checker._quick(b"<other/>")


@pytest.mark.parametrize(
    ("data", "root"),
    [
        (b"<a/>", "a"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\r\n <a b=''>", "a"),
        (b'<?xml version="1.0" encoding="utf-8" standalone="yes" ?><p:doc-1.x xmlns:p="u">', "doc-1.x"),
        (b'<?xml version="1.0" encoding="ISO-8859-1"?><a>', "a"),
        (b'<?xml version="1.0" encoding="UTF-7"?><a>', ""),
        (b'<?xml version="1.0" encoding="UTF-16"?><a>', ""),
        (b'<?xml version="1.1"?><a>', ""),
        ("<a/>".encode("utf-16"), ""),
        ("<a/>".encode("utf-16-le"), ""),
        (b"<!-- c --><a/>", ""),
        (b"<?xml-model href='a.rng'?><a/>", ""),
        (b"<!DOCTYPE a><a/>", ""),
        (b"<a b='>' xsi:schemaLocation='u v'/>", ""),
        (b"<a><b xsi:noNamespaceSchemaLocation='v'/></a>", ""),
        (b"<a xml:id='1'/>", ""),
        ("<é/>".encode(), ""),
        (b"<a", ""),
        (b"", ""),
    ],
)
def test_only_a_document_that_starts_plainly_is_looked_at_quickly(data: bytes, root: str) -> None:
    assert plain_root(data) == root


def test_a_run_keeps_few_compiled_schemas(group: GroupOfDocuments, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_checking, "_MOST_SIEVES", 3)
    checker = Checker(group.folder)
    for number in range(10):
        name = f"note{number}"
        group.write({f"schemas/{name}.xsd": NOTE_XSD.replace('name="note"', f'name="{name}"')})
        assert checker._quick(f"<{name}><p>1</p></{name}>".encode())
        assert not checker._quick(f"<{name}><p>x</p></{name}>".encode())
    assert checker._sieve_of.cache_info().currsize == 3
