"""A group in which documents are published, for the tests of that."""

from __future__ import annotations

import socket
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import psutil
import pytest

from psthreads.domain.model import Level, Status
from psthreads.processes.publish import publish
from tests.support.group_of_documents import THREAD, GroupOfDocuments, server_of
from tools.object_store import ObjectServer

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

    def __init__(self, root: Path, server: ObjectServer | None = None) -> None:
        super().__init__(root, publish, server)

    def stylesheet(self, text: str) -> None:
        self.write({"stylesheets/publish.xsl": text})

    def fill(self, count: int) -> None:
        self.write({f"documents/{number // 100:03}/{number:05}.psml": f"<a n='{number}'/>" for number in range(count)})

    def published(self) -> dict[str, str]:
        """The names and contents in the one zip file that there is."""
        (content,) = self.result_files().values()
        with zipfile.ZipFile(BytesIO(content)) as archive:
            assert archive.testzip() is None
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
def group(tmp_path: Path, request: pytest.FixtureRequest) -> Publishing:
    (tmp_path / "secret.xml").write_text(f"<s>{SECRET}</s>")
    (tmp_path / "secret.xsl").write_text(sheet(SECRET))
    group = Publishing(tmp_path / "root", server_of(request))
    group.stylesheet(TITLE)
    return group


@pytest.fixture(autouse=True)
def no_child_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    if "group" in request.fixturenames:
        request.getfixturevalue("group")  # It may start the object store, which stays.
    before = psutil.Process().children()
    yield
    assert psutil.Process().children() == before


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
