"""Claims about the publish process: what comes out, what is refused, and what stops it."""

from __future__ import annotations

import socket
import time

import pytest
from lxml import etree

from psthreads.domain.errors import BadParameter, DocumentNotFound, UnsafePath
from psthreads.domain.model import Level, Status
from tests.support.backends import in_both
from tests.support.publishing import (
    NAME,
    XSL,
    Publishing,
    assert_nobody_called,
    group,
    listening,
    no_child_is_left,
    sheet,
)

__all__ = ["group", "listening", "no_child_is_left"]


# What comes out.


@in_both("group")
def test_documents_are_transformed_into_a_zip_file(group: Publishing) -> None:
    group.fill(3)
    group.check(path="/documents")
    outcome = group.run(path="/documents")
    assert (outcome.status, outcome.message) == (Status.COMPLETED, "Published 3 documents")
    assert group.reporter.xml == f'<progress total="3" current="3"/><zip>{NAME}</zip>'
    assert group.reporter.lines() == [
        "Publishing documents below /documents",
        *(f"Published /documents/000/0000{number}.psml" for number in range(3)),
    ]
    assert list(group.result_files()) == [NAME]
    assert group.published() == {f"documents/000/0000{number}.html": f"<p>{number}</p>\n" for number in range(3)}
    assert not list(group.scratch.iterdir())


@pytest.mark.parametrize(
    ("stylesheet", "ending"),
    [
        (sheet("<p/>", method="html"), "html"),
        (sheet("<p/>", method="xml"), "xml"),
        (sheet("p", method="text"), "txt"),
        (sheet("<p/>", method=""), "xml"),
        (sheet("<html/>", method=""), "html"),
        (sheet("<p/>", method="", top='<xsl:import href="/lib/html.xsl"/><xsl:import href="/lib/text.xsl"/>'), "txt"),
        (sheet("<p/>", method="html", top='<xsl:import href="/lib/text.xsl"/>'), "html"),
        (sheet("<p/>", method="", top='<xsl:include href="../lib/html.xsl"/>'), "html"),
        ('<p xmlns:xsl="http://www.w3.org/1999/XSL/Transform" xsl:version="1.0"/>', "xml"),
    ],
)
@in_both("group")
def test_the_output_method_gives_the_ending(group: Publishing, stylesheet: str, ending: str) -> None:
    group.write({"documents/a.psml": "<a/>"})
    group.write(
        {
            f"lib/{method}.xsl": f'<xsl:stylesheet {XSL}><xsl:output method="{method}"/></xsl:stylesheet>'
            for method in ("html", "text")
        }
    )
    group.stylesheet(stylesheet)
    assert group.run(path="/documents").status is Status.COMPLETED
    assert list(group.published()) == [f"documents/a.{ending}"]


@pytest.mark.parametrize("place", ["main", "import"])
def test_a_stylesheet_for_an_encoding_that_is_not_known_is_refused(group: Publishing, place: str) -> None:
    output = '<xsl:output encoding="x-own"/>'
    group.write({"a.psml": "<a/>", "lib/own.xsl": f"<xsl:stylesheet {XSL}>{output}</xsl:stylesheet>"})
    group.stylesheet(sheet("<p/>", method="", top=output if place == "main" else '<xsl:import href="/lib/own.xsl"/>'))
    outcome = group.run(path="/a.psml")
    assert outcome.status is Status.FAILED
    assert "it asks for output in 'x-own', an encoding that is not known here" in outcome.message


@in_both("group")
def test_two_documents_never_have_the_same_name(group: Publishing) -> None:
    group.write(
        {"d/a.psml": "<a n='1'/>", "d/a.xml": "<a n='2'/>", "d/a.xml.psml": "<a n='3'/>", "d/b.c.xml": "<a n='4'/>"}
    )
    assert group.run(path="/d").status is Status.COMPLETED
    assert group.published() == {
        "d/a.html": "<p>1</p>\n",
        "d/a.xml.html": "<p>2</p>\n",
        "d/a.xml.psml.html": "<p>3</p>\n",
        "d/b.c.html": "<p>4</p>\n",
    }
    assert group.reporter.lines(Level.WARN) == [
        "Document /d/a.xml is d/a.xml.html in the zip file, because another document has its name.",
        "Document /d/a.xml.psml is d/a.xml.psml.html in the zip file, because another document has its name.",
    ]


@in_both("group")
def test_stylesheets_schemas_and_what_is_no_xml_are_left_alone(group: Publishing) -> None:
    group.write({"a.psml": "<a n='1'/>", "b.txt": "b", "schemas/a.xsd": "<a/>", "schemas/a.sch": "<a/>"})
    assert group.run().status is Status.COMPLETED
    assert list(group.published()) == ["a.html"]


@in_both("group")
def test_parameters_and_what_the_stylesheet_says(group: Publishing) -> None:
    path = 'documents/it\'s a "quote" & ä.psml'
    group.write({path: "<a/>"})
    group.stylesheet(
        sheet(
            "<p><xsl:value-of select=\"concat($group, ' ', $path)\"/></p><xsl:message>I was <b>here</b></xsl:message>",
            top='<xsl:param name="path"/><xsl:param name="group"/>',
        )
    )
    assert group.run().status is Status.COMPLETED
    assert etree.fromstring(group.published()[path.replace(".psml", ".xml")]).text == f"acme /{path}"
    assert f"Document /{path}: I was here" in group.reporter.lines(Level.INFO)


@in_both("group")
def test_what_is_in_the_group_can_be_included_and_read(group: Publishing) -> None:
    group.write(
        {
            "documents/a.psml": "<a/>",
            "documents/b b.xml": "<b>beside</b>",
            "lib/part.xsl": (
                f'<xsl:stylesheet {XSL}><xsl:template match="b">[<xsl:value-of select="."/>]</xsl:template>'
                "</xsl:stylesheet>"
            ),
        }
    )
    body = "<p><xsl:apply-templates select=\"document('b%20b.xml', /)/b | document('/documents/b%20b.xml')/b\"/></p>"
    group.stylesheet(sheet(body, top='<xsl:import href="../lib/part.xsl"/>'))
    assert group.run(path="/documents/a.psml").status is Status.COMPLETED
    assert group.published() == {"documents/a.xml": "<p>[beside]</p>\n"}


@in_both("group")
def test_another_stylesheet_can_be_named(group: Publishing) -> None:
    group.write({"documents/a.psml": "<a n='7'/>", "x.xsl": sheet("<q/>")})
    assert group.run(path="/documents", stylesheet="x.xsl").status is Status.COMPLETED
    assert group.published() == {"documents/a.xml": "<q/>\n"}


@in_both("group")
def test_where_there_is_nothing_to_publish_no_file_is_made(group: Publishing) -> None:
    group.write({"documents/a.txt": "a"})
    outcome = group.run(path="/documents")
    assert (outcome.status, outcome.message) == (
        Status.COMPLETED,
        "There was nothing to publish: no XML document below /documents.",
    )
    assert not group.result_files()


# What is refused before anything starts.


@in_both("group")
def test_what_is_not_there_is_refused(group: Publishing) -> None:
    group.fill(1)
    for values, kind, name in (
        ({"path": "/nope"}, DocumentNotFound, ""),
        ({"path": "/../x"}, UnsafePath, "path"),
        ({"stylesheet": "/nope.xsl"}, BadParameter, "stylesheet"),
        ({"stylesheet": "/stylesheets"}, BadParameter, "stylesheet"),
        ({"stylesheet": "/../secret.xsl"}, UnsafePath, "stylesheet"),
    ):
        with pytest.raises(kind) as caught:
            group.check(**values)
        assert getattr(caught.value, "name", "") == name


@pytest.mark.parametrize(
    ("stylesheet", "said"),
    [
        ("<xsl:stylesheet", "/stylesheets/publish.xsl is not well-formed: line 1"),
        ("<a/>", "not a stylesheet"),
        (sheet("\n<p><xsl:value-of select='foo((('/></p>"), "/stylesheets/publish.xsl, line 4: "),
        (sheet("<p/>", top='<xsl:include href="nope.xsl"/>'), "no document or folder '/stylesheets/nope.xsl'"),
        (sheet("<p/>", top='<xsl:include href="publish.xsl"/>'), "publish.xsl"),
        (sheet("<p/>", top='<xsl:include href="../../secret.xsl"/>'), "leads out of the group"),
        (sheet("<p/>", top='<xsl:import href="/../../../secret.xsl"/>'), "leads out of the group"),
        (sheet("<p/>", top='<xsl:include href="file:///etc/passwd"/>'), "not in this group"),
        (sheet("<p/>", top='<xsl:include href="http://127.0.0.1:{port}/x.xsl"/>'), "not in this group"),
        (f'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x {XSL}>&e;</x>', "not in this group"),
        ('<!DOCTYPE x [<!ENTITY a "&b;"><!ENTITY b "&a;">]><x>&b;</x>', "entity reference loop"),
    ],
)
@in_both("group")
def test_a_broken_stylesheet_ends_it_before_anything_is_written(
    group: Publishing, listening: socket.socket, stylesheet: str, said: str
) -> None:
    group.fill(2)
    group.stylesheet(stylesheet.replace("{port}", str(listening.getsockname()[1])))
    error = group.error()
    assert error.startswith("The stylesheet /stylesheets/publish.xsl cannot be used, and nothing was published: ")
    assert said in error
    assert_nobody_called(listening)


# Stopped.


@in_both("group")
def test_a_child_stuck_in_a_stylesheet_dies_at_once(group: Publishing) -> None:
    group.write({"documents/a.psml": f"<a>{'<x>y</x>' * 30_000}</a>"})
    group.stylesheet(
        sheet("<xsl:for-each select='//x'><xsl:value-of select='count(//x[. = current()])'/></xsl:for-each>")
    )
    started = time.monotonic()
    assert group.run(after=0.3, path="/documents").status is Status.CANCELLED
    assert time.monotonic() - started < 2
    assert not group.result_files()


# Through the web and a worker.
