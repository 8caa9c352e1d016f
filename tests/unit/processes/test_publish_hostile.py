"""Claims about the publish process: what a stylesheet or a document tries, and never reaches."""

from __future__ import annotations

import re
import signal
import socket
import zipfile
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from psthreads.domain.model import Level, Status
from psthreads.processes.xml import parsing as _parsing
from psthreads.processes.xml.stylesheets import libxslt as _stylesheet
from psthreads.processes.xml.stylesheets import transforming as _transforming
from tests.support.publishing import NAME, Publishing, assert_nobody_called, group, listening, no_child_is_left, sheet

__all__ = ["group", "listening", "no_child_is_left"]


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:{port}/x.xml",
        "ftp://127.0.0.1:{port}/x.xml",
        "//127.0.0.1:{port}/x.xml",
        "file:///etc/passwd",
        "file://localhost/etc/passwd",
        "/etc/passwd",
        "../../secret.xml",
        "%2e%2e/%2e%2e/%2e%2e/secret.xml",
        "group:///../../secret.xml",
        "link.xml",
        "data:text/xml,&lt;a/&gt;",
        "php://x",
    ],
)
def test_a_stylesheet_reads_nothing_outside_its_group(
    group: Publishing, listening: socket.socket, address: str, tmp_path: Path
) -> None:
    group.write({"documents/a.psml": "<a/>"})
    (group.inside / "stylesheets" / "link.xml").symlink_to(tmp_path / "secret.xml")
    address = address.replace("{port}", str(listening.getsockname()[1]))
    group.stylesheet(sheet(f"<p><xsl:copy-of select=\"document('{address}')\"/></p>"))
    assert group.error().startswith("Document /documents/a.psml was not published: ")
    assert_nobody_called(listening)


def test_a_stylesheet_writes_nothing_outside_its_result(group: Publishing, tmp_path: Path) -> None:
    group.write({"documents/a.psml": "<a/>"})
    target = tmp_path / "written.xml"
    (tmp_path / "folder").mkdir()
    for address in (target, tmp_path / "folder" / "new" / "x.xml", "group:///written.xml"):
        for element in ("exsl:document", "xsl:document"):
            group.stylesheet(sheet(f'<{element} href="{address}" method="xml"><x/></{element}>'))
            assert "which is not in the folder of its result" in group.error()
            assert not target.exists()
            assert not list((tmp_path / "folder").iterdir())
            assert not list(tmp_path.rglob("written.xml"))


@pytest.mark.parametrize(
    "read",
    [
        "<!DOCTYPE b [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><b>&x;</b>",
        "<!DOCTYPE b SYSTEM 'file:///etc/passwd'><b/>",
        "<!DOCTYPE b SYSTEM 'http://127.0.0.1:{port}/b.dtd'><b/>",
        "<!DOCTYPE b [<!ENTITY % x SYSTEM 'http://127.0.0.1:{port}/b.dtd'> %x;]><b/>",
    ],
)
def test_no_dtd_and_no_entity_is_loaded_for_what_is_read(
    group: Publishing, listening: socket.socket, read: str
) -> None:
    text = read.replace("{port}", str(listening.getsockname()[1]))
    group.write({"documents/a.psml": "<a/>", "b.xml": text})
    group.stylesheet(sheet("<p><xsl:copy-of select=\"document('/b.xml')\"/></p>"))
    group.run(path="/documents")
    assert "root:" not in "".join(group.reporter.lines())
    for path in group.results.iterdir():
        with zipfile.ZipFile(path) as archive:
            assert archive.read("documents/a.xml") == b"<p><b/></p>\n"
    assert_nobody_called(listening)


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {name} "&{before};&{before};&{before};&{before};&{before};&{before};">'
    for before, name in zip("abcdefghij", "bcdefghijk", strict=True)
)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (f"{BOMB}]><a>&k;</a>", "Maximum entity amplification factor exceeded"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "not in this group"),
        ("<a><b></a>", "line 1, column"),
        ("", "line 1, column 1"),
    ],
)
def test_a_document_that_cannot_be_parsed_is_an_error_and_the_others_are_published(
    group: Publishing, document: str, said: str
) -> None:
    group.fill(3)
    group.write({"documents/000/00001.psml": document})
    outcome = group.run(path="/documents")
    assert outcome.status is Status.FAILED
    assert outcome.message == "2 of 3 documents published: the log says why the others were not."
    (error,) = group.reporter.lines(Level.ERROR)
    assert error.startswith("Document /documents/000/00001.psml was not published: ")
    assert said in error
    assert list(group.published()) == ["documents/000/00000.html", "documents/000/00002.html"]
    assert f"<zip>{NAME}</zip>" in group.reporter.xml


def only_for(number: int, body: str, top: str = "") -> str:
    """A stylesheet that does this for one document, and what it should for the others."""
    return sheet(
        f"<xsl:choose><xsl:when test='/a/@n = {number}'>{body}</xsl:when>"
        "<xsl:otherwise><p><xsl:value-of select='/a/@n'/></p></xsl:otherwise></xsl:choose>",
        top,
        "html",
    )


RECURSIVE = '<xsl:template name="again"><xsl:call-template name="again"/></xsl:template>'
DOUBLING = (
    '<xsl:template name="more"><xsl:param name="s"/><xsl:call-template name="more">'
    '<xsl:with-param name="s" select="concat($s, $s)"/></xsl:call-template></xsl:template>'
)


def test_what_is_no_xslt_is_not_taken_for_an_empty_result(group: Publishing) -> None:
    group.fill(1)
    group.stylesheet(sheet("<xsl:foo/>"))
    assert "not XSLT 1.0" in group.error() or group.reporter.lines(Level.ERROR)


def test_endless_recursion_is_an_error_of_that_document(group: Publishing) -> None:
    group.fill(200)
    group.stylesheet(only_for(77, '<xsl:call-template name="again"/>', RECURSIVE))
    assert group.run(path="/documents").message.startswith("199 of 200 documents published")
    (error,) = group.reporter.lines(Level.ERROR)
    assert "/stylesheets/publish.xsl, line" in error
    assert "recursion" in error
    assert len(group.published()) == 199


def test_a_message_that_terminates_is_the_reason(group: Publishing) -> None:
    group.fill(3)
    group.stylesheet(only_for(1, '<xsl:message terminate="yes">No title</xsl:message>'))
    assert group.run(path="/documents").message.startswith("2 of 3 documents published")
    assert group.reporter.lines(Level.ERROR) == ["Document /documents/000/00001.psml was not published: No title"]


def test_a_document_that_takes_too_long_is_given_up_and_the_others_are_published(
    group: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, seconds=0.5)
    group.fill(200)
    group.write({"documents/000/00077.psml": f"<a n='77'>{'<x>y</x>' * 20_000}</a>"})
    group.stylesheet(
        only_for(77, "<xsl:for-each select='//x'><xsl:value-of select='count(//x[. = current()])'/></xsl:for-each>")
    )
    assert group.run(path="/documents").message.startswith("199 of 200 documents published")
    (error,) = group.reporter.lines(Level.ERROR)
    assert error == "Document /documents/000/00077.psml was not published: it took more than 0.5 s"
    assert len(group.published()) == 199


def test_a_stylesheet_that_takes_too_long_to_be_read_ends_it(
    group: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compile_for_ever(*_: object, **_options: object) -> None:
        while True:
            pass

    limited(monkeypatch, seconds=0.2)
    monkeypatch.setattr(_transforming, "compiled", compile_for_ever)
    group.fill(1)
    assert "it took more than 0.2 s" in group.error()


def test_a_document_that_needs_too_much_memory_is_given_up(group: Publishing, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, memory=64 * 1024 * 1024)
    group.fill(20)
    group.stylesheet(
        only_for(
            7,
            f'<xsl:call-template name="more"><xsl:with-param name="s" select="\'{"x" * 1000}\'"/></xsl:call-template>',
            DOUBLING,
        )
    )
    assert group.run(path="/documents").message.startswith("19 of 20 documents published")
    (error,) = group.reporter.lines(Level.ERROR)
    assert "/documents/000/00007.psml" in error
    # Where libxslt itself gets no memory, it says that an expression cannot be evaluated.
    assert "it needed more than 64 MiB of memory" in error or "Failed to evaluate" in error
    assert len(group.published()) == 19


@pytest.mark.parametrize("number", [9, 11])
def test_a_document_that_kills_the_child_is_an_error_and_the_others_are_published(
    group: Publishing, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    parse = _parsing.parse_as_it_is

    def crash(data: bytes, *more: Any) -> etree._Element:
        if b"'77'" in data or b"'78'" in data or b"'199'" in data:
            signal.raise_signal(number)
        return parse(data, *more)

    monkeypatch.setattr(_parsing, "parse_as_it_is", crash)
    group.fill(200)
    outcome = group.run(path="/documents")
    assert outcome.message == "197 of 200 documents published: the log says why the others were not."
    errors = group.reporter.lines(Level.ERROR)
    assert [re.findall(r"/documents/\S+", error) for error in errors] == [
        ["/documents/000/00077.psml"],
        ["/documents/000/00078.psml"],
        ["/documents/001/00199.psml"],
    ]
    assert all(f"crashed by signal {number}" in error for error in errors)
    assert len(group.published()) == 197


def test_an_output_that_is_too_large_is_an_error(group: Publishing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stylesheet, "LARGEST_OUTPUT", 1024 * 1024)
    group.fill(3)
    group.write({"documents/000/00001.psml": f"<a n='1'>{'x' * 100_000}</a>"})
    group.stylesheet(only_for(1, "<xsl:value-of select='/a'/>" * 11))
    assert group.run(path="/documents").message.startswith("2 of 3")
    assert "its output is larger than 1 MiB" in group.reporter.lines(Level.ERROR)[0]


def test_a_large_output_comes_back_whole(group: Publishing) -> None:
    group.write({"documents/a.psml": f"<a>{'x' * 5_000_000}</a>"})
    group.stylesheet(sheet("<xsl:value-of select='/a'/>" * 4, method="text"))
    assert group.run(path="/documents").status is Status.COMPLETED
    assert group.published() == {"documents/a.txt": "x" * 20_000_000}


def test_where_nothing_can_be_published_there_is_no_file(group: Publishing) -> None:
    group.write({"documents/a.psml": "<a>"})
    outcome = group.run(path="/documents")
    assert outcome.status is Status.FAILED
    assert outcome.message == "Nothing was published: the log says why, for each document."
    assert not list(group.results.iterdir())


def limited(monkeypatch: pytest.MonkeyPatch, **limits: float) -> None:
    """Give the child less than usual."""
    original = _transforming.Transformer.__init__

    def init(self: _transforming.Transformer, *given: object, xinclude: bool = False) -> None:
        original(self, *given, **limits, xinclude=xinclude)  # type: ignore[arg-type]

    monkeypatch.setattr(_transforming.Transformer, "__init__", init)
