"""Claims about the publish process: what comes out, what a stylesheet never reaches, and what ends it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from group_of_documents import THREAD, GroupOfDocuments
from lxml import etree
from moments import DOCUMENTS, Moments, seconds_of
from people import People
from stack import worker
from threads import ended

from psthreads.config import Config
from psthreads.documents import Documents
from psthreads.errors import BadParameter, DocumentNotFound, UnsafePath
from psthreads.model import Level, Status
from psthreads.processes import _parsing, _stylesheet, _transforming
from psthreads.processes.publish import publish
from psthreads.store import ThreadStore
from psthreads.web import create_app

SECRET = "the secret outside"
XSL = 'xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"'
EXSL = 'xmlns:exsl="http://exslt.org/common" extension-element-prefixes="exsl"'
NAME = f"acme-publish-{THREAD}.zip"


def sheet(body: str = "", top: str = "", method: str = "xml") -> str:
    """A stylesheet with this in its template for the document, and this beside it."""
    output = f'<xsl:output method="{method}" omit-xml-declaration="yes"/>' if method else ""
    return (
        f"<xsl:stylesheet {XSL} {EXSL}>\n{top}{output}\n"
        f'<xsl:template match="/">{body}</xsl:template>\n</xsl:stylesheet>'
    )


TITLE = sheet("<p><xsl:value-of select='/a/@n'/></p>", method="html")


class Publishing(GroupOfDocuments):
    """A group in which documents are published."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, publish)

    def stylesheet(self, text: str) -> None:
        self.write({"stylesheets/publish.xsl": text})

    def fill(self, count: int) -> None:
        self.write({f"documents/{number // 100:03}/{number:05}.psml": f"<a n='{number}'/>" for number in range(count)})

    def published(self) -> dict[str, str]:
        """The names and contents in the one zip file that there is, read by another program."""
        (path,) = self.results.iterdir()
        assert subprocess.run(["unzip", "-tqq", path], check=False).returncode == 0
        with zipfile.ZipFile(path) as archive:
            assert len(set(archive.namelist())) == len(archive.namelist())
            return {name: archive.read(name).decode() for name in archive.namelist()}

    def error(self) -> str:
        """Why the one document was not published, when that is so and nothing else is."""
        outcome = self.run(path="/documents")
        assert outcome.status is Status.FAILED
        assert not self.results.exists() or not list(self.results.iterdir())
        assert not self.leftovers()
        everything = "\n".join([*self.reporter.lines(), outcome.message])
        assert SECRET not in everything
        assert "root:" not in everything
        assert str(self.inside.parents[1]) not in everything
        errors = self.reporter.lines(Level.ERROR)
        return errors[0] if errors else outcome.message


@pytest.fixture
def group(tmp_path: Path) -> Publishing:
    (tmp_path / "secret.xml").write_text(f"<s>{SECRET}</s>")
    (tmp_path / "secret.xsl").write_text(sheet(SECRET))
    group = Publishing(tmp_path / "root")
    group.stylesheet(TITLE)
    return group


@pytest.fixture(autouse=True)
def no_child_is_left() -> Iterator[None]:
    before = psutil.Process().children()
    yield
    assert psutil.Process().children() == before


# What comes out.


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
    assert [path.name for path in group.results.iterdir()] == [NAME]
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
        "Document /d/a.xml is d/a.xml.html in the zip file, since another one has its name.",
        "Document /d/a.xml.psml is d/a.xml.psml.html in the zip file, since another one has its name.",
    ]


def test_stylesheets_schemas_and_what_is_no_xml_are_left_alone(group: Publishing) -> None:
    group.write({"a.psml": "<a n='1'/>", "b.txt": "b", "schemas/a.xsd": "<a/>", "schemas/a.sch": "<a/>"})
    assert group.run().status is Status.COMPLETED
    assert list(group.published()) == ["a.html"]


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


def test_another_stylesheet_can_be_named(group: Publishing) -> None:
    group.write({"documents/a.psml": "<a n='7'/>", "x.xsl": sheet("<q/>")})
    assert group.run(path="/documents", stylesheet="x.xsl").status is Status.COMPLETED
    assert group.published() == {"documents/a.xml": "<q/>\n"}


def test_where_there_is_nothing_to_publish_no_file_is_made(group: Publishing) -> None:
    group.write({"documents/a.txt": "a"})
    outcome = group.run(path="/documents")
    assert (outcome.status, outcome.message) == (
        Status.COMPLETED,
        "There was nothing to publish: no XML document below /documents.",
    )
    assert not group.results.exists()


def test_ten_thousand_documents_are_published_each_as_its_own(group: Publishing) -> None:
    group.fill(10_000)
    assert group.run(path="/documents").message == "Published 10,000 documents"
    published = group.published()
    assert len(published) == 10_000
    for number in range(10_000):
        assert published[f"documents/{number // 100:03}/{number:05}.html"] == f"<p>{number}</p>\n"


# What is refused before anything starts.


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
        ("<xsl:stylesheet", "it is not well-formed: line 1"),
        ("<a/>", "not a stylesheet"),
        (sheet("\n<p><xsl:value-of select='foo((('/></p>"), "/stylesheets/publish.xsl, line 4: "),
        (sheet("<p/>", top='<xsl:include href="nope.xsl"/>'), "no document or folder '/stylesheets/nope.xsl'"),
        (sheet("<p/>", top='<xsl:include href="publish.xsl"/>'), "publish.xsl"),
        (sheet("<p/>", top='<xsl:include href="../../secret.xsl"/>'), "leads out of the group"),
        (sheet("<p/>", top='<xsl:import href="/../../../secret.xsl"/>'), "leads out of the group"),
        (sheet("<p/>", top='<xsl:include href="file:///etc/passwd"/>'), "not in this group"),
        (sheet("<p/>", top='<xsl:include href="http://127.0.0.1:{port}/x.xsl"/>'), "not in this group"),
        (f'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x {XSL}>&e;</x>', "entities are not expanded"),
        ('<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]><x>&b;</x>', "entities are not expanded"),
    ],
)
def test_a_broken_stylesheet_ends_it_before_anything_is_written(
    group: Publishing, listening: socket.socket, stylesheet: str, said: str
) -> None:
    group.fill(2)
    group.stylesheet(stylesheet.replace("{port}", str(listening.getsockname()[1])))
    error = group.error()
    assert error.startswith("The stylesheet /stylesheets/publish.xsl cannot be used, and nothing was published: ")
    assert said in error
    assert_nobody_called(listening)


# What a stylesheet or a document tries.


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        yield server


def assert_nobody_called(server: socket.socket) -> None:
    with pytest.raises(BlockingIOError):
        server.accept()


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


def test_a_stylesheet_writes_nothing_but_its_result(group: Publishing, tmp_path: Path) -> None:
    group.write({"documents/a.psml": "<a/>"})
    target = tmp_path / "written.xml"
    (tmp_path / "folder").mkdir()
    for address in (target, tmp_path / "folder" / "new" / "x.xml", "written.xml", "group:///written.xml"):
        for element in ("exsl:document", "xsl:document"):
            group.stylesheet(sheet(f'<{element} href="{address}" method="xml"><x/></{element}>'))
            outcome = group.run(path="/documents")
            if element.startswith("exsl"):
                assert outcome.status is Status.FAILED
                assert "denied" in group.reporter.lines(Level.ERROR)[0]
            assert not target.exists()
            assert not list((tmp_path / "folder").iterdir())
            assert not list(tmp_path.rglob("written.xml"))
            for left in group.results.iterdir():
                left.unlink()


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
        (f"{BOMB}]><a/>", "entities are not expanded"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "entities are not expanded"),
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
    assert "none of XSLT 1.0" in group.error() or group.reporter.lines(Level.ERROR)


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
    assert error == "Document /documents/000/00077.psml was not published: it took longer than 0.5 s"
    assert len(group.published()) == 199


def test_a_stylesheet_that_takes_too_long_to_be_read_ends_it(
    group: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compile_for_ever(*_: object) -> None:
        while True:
            pass

    limited(monkeypatch, seconds=0.2)
    monkeypatch.setattr(_transforming, "Stylesheet", compile_for_ever)
    group.fill(1)
    assert "it took longer than 0.2 s" in group.error()


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
    assert "it needs more than 64 MiB of memory" in error or "Failed to evaluate" in error
    assert len(group.published()) == 19


@pytest.mark.parametrize("number", [9, 11])
def test_a_document_that_kills_the_child_is_an_error_and_the_others_are_published(
    group: Publishing, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    parse = _parsing.parse

    def crash(data: bytes, *more: Any) -> etree._Element:
        if b"'77'" in data or b"'78'" in data or b"'199'" in data:
            os.kill(os.getpid(), number)
        return parse(data, *more)

    monkeypatch.setattr(_parsing, "parse", crash)
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

    def init(self: _transforming.Transformer, *given: object) -> None:
        original(self, *given, **limits)  # type: ignore[arg-type]

    monkeypatch.setattr(_transforming.Transformer, "__init__", init)


# Stopped.


# An interrupt that comes while Python removes an object is raised at the next report, and told to stderr.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_publication_that_is_cancelled_anywhere_leaves_no_file_or_one_that_is_whole_and_named(
    group: Publishing,
) -> None:
    group.fill(DOCUMENTS)
    before, children = group.contents(), set(psutil.Process().children())
    longest = seconds_of(lambda: group.run(path="/documents"))
    (group.results / NAME).unlink()
    cut_short = 0
    moments = Moments(longest)
    for moment in moments:
        outcome = group.run(after=moment, path="/documents")
        assert set(psutil.Process().children()) <= children
        assert not list(group.scratch.iterdir())
        assert {path.name for path in group.results.iterdir()} <= {NAME}
        is_named = any("<zip>" in (report.xml or "") for report in group.reporter.reports)
        assert (group.results / NAME).exists() == is_named
        cut_short += outcome.status is Status.CANCELLED and not is_named
        moments.note(in_time=outcome.status is Status.CANCELLED)
        if is_named:
            assert len(group.published()) == DOCUMENTS
            (group.results / NAME).unlink()
    assert cut_short > 20
    assert group.contents() == before


def test_a_child_stuck_in_a_stylesheet_dies_at_once(group: Publishing) -> None:
    group.write({"documents/a.psml": f"<a>{'<x>y</x>' * 30_000}</a>"})
    group.stylesheet(
        sheet("<xsl:for-each select='//x'><xsl:value-of select='count(//x[. = current()])'/></xsl:for-each>")
    )
    started = time.monotonic()
    assert group.run(after=0.3, path="/documents").status is Status.CANCELLED
    assert time.monotonic() - started < 2
    assert not list(group.results.iterdir())


# Through the web and a worker.


def test_a_publication_through_a_worker(config: Config, people: People, store: ThreadStore) -> None:
    folder = Documents(config.documents).group(people.acme)
    for number in range(30):
        folder.write(f"/documents/{number}.psml", b"<a n='1'/>")
    client = create_app(config).test_client(use_cookies=False)
    route = "/ps/service/members/~contributor/groups/acme/publish/start?path=/documents"
    headers = people.bearer("contributor")
    refused = client.post(route, headers=headers)
    assert refused.status_code == 400
    assert b"/stylesheets/publish.xsl" in refused.data
    folder.write("/stylesheets/publish.xsl", TITLE.encode())
    assert client.post(route, headers=people.bearer("reviewer")).status_code == 403
    answer = client.post(route, headers=headers)
    assert answer.status_code == 202
    thread = etree.fromstring(answer.data)
    assert thread.get("name") == "Publishing /documents of group acme"
    with worker(config):
        done = ended(store, store.fetch(thread.attrib["id"]))
    assert (done.status, done.message) == (Status.COMPLETED, "Published 30 documents")
    name = etree.fromstring(f"<x>{done.xml}</x>").findtext("zip")
    with client.get(f"/ps/member-resource/acme/{name}", headers=headers) as downloaded:
        assert downloaded.data[:2] == b"PK"
