"""Claims about publishing by stylesheets of XSLT 2 and 3, and with several results."""

from __future__ import annotations

import socket
from functools import partialmethod

import pytest

from psthreads.domain.model import Level, Status
from psthreads.processes.xml.stylesheets import transforming as _transforming
from tests.support.publishing import Publishing, assert_nobody_called, group, listening, no_child_is_left, sheet

__all__ = ["group", "listening", "no_child_is_left"]

FN = "http://www.w3.org/2005/xpath-functions"
XSL = 'xmlns:xsl="http://www.w3.org/1999/XSL/Transform"'


def sheet3(body: str, top: str = "", version: str = "3.0", method: str = "xml") -> str:
    output = f'<xsl:output method="{method}" omit-xml-declaration="yes"/>' if method else ""
    return (
        f'<xsl:stylesheet {XSL} version="{version}" xmlns:f="urn:f" exclude-result-prefixes="#all">\n{top}{output}\n'
        f'<xsl:param name="path"/><xsl:param name="group"/><xsl:template match="/">{body}</xsl:template>\n'
        "</xsl:stylesheet>"
    )


def published(group: Publishing) -> dict[str, str]:
    assert group.run(path="/d").status is Status.COMPLETED, group.reporter.lines()
    return group.published()


def clear(group: Publishing) -> None:
    for path in group.results.iterdir():
        path.unlink()


def error(group: Publishing, text: str) -> str:
    group.write({"documents/a.psml": "<a/>"})
    group.stylesheet(text)
    return group.error()


def test_versions_2_and_3_and_simplified_stylesheets_are_run(group: Publishing) -> None:
    group.write(
        {
            "d/a.psml": '<!DOCTYPE a [<!ENTITY e "&#233;">]><!-- c --><a n="x">&e;</a>',
            "stylesheets/lib/two.xsl": sheet3(
                '<p n="{upper-case(a/@n)}">{a}{f:twice($path)}</p>', version="2.0"
            ).replace("<xsl:template", '<xsl:include href="../f.xsl"/><xsl:template expand-text="yes"'),
            "stylesheets/f.xsl": f'<xsl:stylesheet {XSL} version="2.0" xmlns:f="urn:f"><xsl:function name="f:twice">'
            '<xsl:param name="s"/><xsl:sequence select="concat($s, $s)"/></xsl:function></xsl:stylesheet>',
        }
    )
    group.stylesheet(f'<xsl:stylesheet {XSL} version="1.0"><xsl:import href="lib/two.xsl"/></xsl:stylesheet>')
    assert published(group) == {"d/a.xml": '<p n="X">é/d/a.psml/d/a.psml</p>'}
    clear(group)
    group.stylesheet(f'<html xsl:version="2.0" {XSL}><xsl:value-of select="for $i in 1 to 3 return $i * 2"/></html>')
    assert published(group) == {"d/a.html": "<!DOCTYPE HTML>\n<html>2 4 6</html>"}


def test_messages_reach_the_log_and_one_that_terminates_is_the_reason(group: Publishing) -> None:
    group.write({"d/a.psml": "<a/>"})
    group.stylesheet(sheet3("<xsl:message>Hello <b>you</b></xsl:message><p/>"))
    published(group)
    assert "Document /d/a.psml: Hello you" in group.reporter.lines()
    clear(group)
    told = error(group, sheet3('<xsl:message>One</xsl:message><xsl:message terminate="yes">No title</xsl:message>'))
    assert told == "Document /documents/a.psml was not published: No title"


def test_documents_of_the_group_are_read_by_every_function(group: Publishing) -> None:
    group.write(
        {
            "d/a.psml": "<a href='../x/one.xml'/>",
            "x/one.xml": '<!DOCTYPE one [<!ENTITY e "ent">]><one>&e;</one>',
            "x/two.xml": "<two/>",
            "x/y/three.xml": "<three/>",
            "x/t.txt": "first\nsecond",
            "x/j.json": '{"a": 7}',
            "schemas/catalog.xml": '<catalog xmlns="urn:oasis:names:tc:entity:xmlns:xml:catalog">'
            '<uri name="http://example.org/two" uri="../x/two.xml"/></catalog>',
        }
    )
    expressions = {
        "document(/a/@href)/one": "ent",
        "doc('../x/one.xml')/one": "ent",
        "'/x/one.xml' => doc() => string()": "ent",
        "name(doc('http://example.org/two')/*)": "two",
        "doc-available('../x/two.xml'), doc-available('../x/nix.xml')": "true false",
        "doc('/x/two.xml') is document('../x/two.xml')": "true",
        "base-uri(doc('/x/two.xml')), document-uri(/)": "group:///x/two.xml group:///d/a.psml",
        "unparsed-text('/x/t.txt') => string-length(), unparsed-text-lines('../x/t.txt')[2]": "12 second",
        "unparsed-text-available('/x/t.txt'), unparsed-text-available('/x/u.txt')": "true false",
        "json-doc('/x/j.json')?a": "7",
        "collection('/x')/*/name()": "one two",
        "count(uri-collection('../x?recurse=yes;select=t*.xml'))": "2",
        "document('')/*/name()": "xsl:stylesheet",
    }
    body = "".join(f'<p><xsl:value-of select="{expression}"/></p>' for expression in expressions)
    group.stylesheet(sheet3(f"<r>{body}</r>"))
    (text,) = published(group).values()
    assert text[6:-8].split("</p><p>") == list(expressions.values())


OUTSIDE = [
    "doc('file:///etc/hostname')",
    "doc('/etc/hostname')",
    "doc('../../secret.xml')",
    "document('http://127.0.0.1:{port}/x')",
    "unparsed-text('file:///etc/hostname')",
    "unparsed-text('../../../secret.xml')",
    "unparsed-text-lines('file:/proc/self/environ')",
    "collection('file:///etc')",
    "collection('../..')",
    "uri-collection('/../../')",
    "json-doc('http://127.0.0.1:{port}/x')",
    "function-lookup(xs:QName('fn:doc'), 1)('file:///etc/hostname')",
    "function-lookup(xs:QName('fn:unparsed-text'), 1)('http://127.0.0.1:{port}/x')",
    "transform(map{'stylesheet-location': 'http://127.0.0.1:{port}/x', 'source-node': /})?output",
    "parse-xml('&lt;!DOCTYPE a SYSTEM &quot;http://127.0.0.1:{port}/x&quot;&gt;&lt;a/&gt;')",
    "parse-xml('&lt;!DOCTYPE a [&lt;!ENTITY x SYSTEM &quot;file:///etc/hostname&quot;&gt;]&gt;&lt;a&gt;&amp;x;&lt;/a&gt;')",
]


def test_nothing_outside_the_group_is_read(group: Publishing, listening: socket.socket) -> None:
    port = str(listening.getsockname()[1])
    attempts = "".join(
        f'<p><xsl:try><xsl:copy-of select="{expression.replace("{port}", port)}"/>'
        "<xsl:catch>refused</xsl:catch></xsl:try></p>"
        for expression in OUTSIDE
    )
    namespaces = f'xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:fn="{FN}" xmlns:f='
    group.write({"d/a.psml": "<a/>"})
    group.stylesheet(sheet3(f"<r>{attempts}</r>").replace("xmlns:f=", namespaces))
    assert published(group) == {"d/a.xml": f"<r>{'<p>refused</p>' * len(OUTSIDE)}</r>"}
    assert_nobody_called(listening)


def test_what_is_refused_is_told(group: Publishing) -> None:
    told = error(group, sheet3("<p><xsl:copy-of select=\"doc('file:///etc/hostname')\"/></p>"))
    assert "it refers to 'file:///etc/hostname', which is not in this group" in told


@pytest.mark.parametrize("href", ["file:///etc/x.xsl", "http://127.0.0.1:{port}/x.xsl", "../../secret.xsl", "/nix.xsl"])
def test_no_module_comes_from_outside_the_group(group: Publishing, listening: socket.socket, href: str) -> None:
    address = href.replace("{port}", str(listening.getsockname()[1]))
    for instruction in ("import", "include"):
        told = error(group, sheet3("<p/>", f'<xsl:{instruction} href="{address}"/>'))
        assert "cannot be used, and nothing was published" in told
    assert_nobody_called(listening)


def test_modules_that_include_each_other_are_refused(group: Publishing) -> None:
    group.write({"stylesheets/b.xsl": sheet3("<p/>", '<xsl:import href="publish.xsl"/>')})
    assert "includes itself" in error(group, sheet3("<p/>", '<xsl:import href="b.xsl"/>'))


def test_there_is_no_environment_and_no_folder_of_the_server(
    group: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PSTHREADS_SECRET_OF_THE_TEST", "the secret outside")
    group.write({"d/a.psml": "<a/>"})
    names = "available-environment-variables(), environment-variable('PSTHREADS_SECRET_OF_THE_TEST')"
    group.stylesheet(sheet3(f"<p><xsl:value-of select=\"{names}, system-property('user.dir')\"/></p>"))
    assert published(group) == {"d/a.xml": "<p>/</p>"}


def test_places_in_messages_are_those_of_the_groups_document(group: Publishing) -> None:
    told = error(group, sheet3('<p\n a="1"\n b="2">\n<xsl:value-of\n\n select="1 +"/></p>'))
    assert "/stylesheets/publish.xsl, line 8: " in told
    group.write({"stylesheets/b.xsl": sheet3('\n\n<xsl:value-of select="1 1"/>')})
    told = error(group, sheet3("<p/>", '<xsl:import href="b.xsl"/>'))
    assert "/stylesheets/b.xsl, line 5: " in told


RESULTS = (
    '<p/><xsl:result-document href="sub/{a/@n}.html" method="html"><html><br/></html></xsl:result-document>'
    '<xsl:result-document href="{a/@n}.json" method="json"><xsl:sequence select="map{\'a\': 1}"/></xsl:result-document>'
    '<xsl:result-document href="{a/@n}.txt" format="plain">te<b>xt</b></xsl:result-document>'
)


def test_further_results_are_in_the_zip_file_below_the_folder_of_the_document(group: Publishing) -> None:
    group.write({"d/a.psml": "<a n='1'/>", "d/e/b.psml": "<a n='2'/>"})
    group.stylesheet(sheet3(RESULTS, '<xsl:output name="plain" method="text"/>'))
    html = "<!DOCTYPE HTML>\n<html><br></html>"
    assert published(group) == {
        "d/a.xml": "<p/>",
        "d/sub/1.html": html,
        "d/1.json": '{"a":1}',
        "d/1.txt": "text",
        "d/e/b.xml": "<p/>",
        "d/e/sub/2.html": html,
        "d/e/2.json": '{"a":1}',
        "d/e/2.txt": "text",
    }
    assert "Published /d/a.psml as 4 files" in group.reporter.lines()


def test_exslt_documents_are_further_results_of_version_1(group: Publishing) -> None:
    group.write({"d/a.psml": "<a><s n='1'>é</s><s n='2'/></a>"})
    group.stylesheet(
        sheet('<xsl:for-each select="a/s"><exsl:document href="s/{@n}.html" method="html"><html><br/>'
              '<xsl:value-of select="."/></html></exsl:document></xsl:for-each>'
              '<exsl:document href="t.txt" method="text">te<b>xt</b></exsl:document>')
    )  # fmt: skip
    assert published(group) == {
        "d/s/1.html": "<html><br>é</html>",
        "d/s/2.html": "<html><br></html>",
        "d/t.txt": "text",
    }


BESIDE = ("../x", "/x", "/etc/x", "file:///tmp/x", "http://a/x", "a/../../x", "%2e%2e/x", "a/%2E%2E/%2e%2e/x", "//h/x")


@pytest.mark.parametrize("version", [1, 3])
def test_no_result_is_outside_the_folder(group: Publishing, version: int) -> None:
    write = (
        sheet('<p/><exsl:document href="{a}"><x/></exsl:document>')
        if version == 1
        else sheet3('<p/><xsl:result-document href="{a}"><x/></xsl:result-document>')
    )
    group.write({f"d/{number}.psml": f"<a>{href}</a>" for number, href in enumerate((*BESIDE, ".", "a/", "good"))})
    group.stylesheet(write)
    assert group.run(path="/d").message.startswith("1 of 12 documents published")
    told = group.reporter.lines(Level.ERROR)
    assert sum("the stylesheet writes '" in line for line in told) == len(BESIDE) + 2
    assert set(group.published()) == {"d/11.xml", "d/good"}


@pytest.mark.parametrize("version", [1, 3])
def test_two_results_of_one_name_are_an_error(group: Publishing, version: int) -> None:
    text = (
        sheet('<exsl:document href="x.xml"><x/></exsl:document>')
        if version == 1
        else sheet3('<xsl:result-document href="x.xml"><x/></xsl:result-document>')
    )
    group.write({"d/a.psml": "<a/>", "d/b.psml": "<a/>"})
    group.stylesheet(text)
    assert group.run(path="/d").message.startswith("1 of 2 documents published")
    assert group.reporter.lines(Level.ERROR) == [
        "Document /d/b.psml was not published: the zip file has d/x.xml already."
    ]


BOMBS = {
    "recursion": (
        '<xsl:function name="f:f"><xsl:param name="a"/><xsl:sequence select="1 + f:f($a)"/></xsl:function>',
        "f:f(1)",
        "took more than 1 s",
    ),
    "strings": (
        "",
        "string-length(fold-left(1 to 60, 'ab', function($a, $b) {concat($a, $a)}))",
        "needed more than 120 MiB of memory",
    ),
    "regex": ("", "matches(string-join((1 to 60) ! 'a') || 'b', '^((a+)+)+$')", "took more than 1 s"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_an_error_of_its_document_and_the_next_one_goes_on(
    group: Publishing, monkeypatch: pytest.MonkeyPatch, bomb: str
) -> None:
    seconds = 1.0 if "1 s" in BOMBS[bomb][2] else 20.0
    limited = partialmethod(_transforming.Transformer.__init__, seconds=seconds, memory=120 * 1024 * 1024)
    monkeypatch.setattr(_transforming.Transformer, "__init__", limited)
    top, expression, said = BOMBS[bomb]
    group.fill(3)
    group.stylesheet(sheet3(f'<p><xsl:value-of select="if (/a/@n = 1) then {expression} else 1"/></p>', top))
    assert group.run(path="/documents").message.startswith("2 of 3 documents published")
    (told,) = group.reporter.lines(Level.ERROR)
    assert told.startswith("Document /documents/000/00001.psml was not published: ")
    # Saxon collects its garbage when it likes: what only takes time may reach the limit of memory first.
    assert said in told or "needed more than 120 MiB of memory" in told
