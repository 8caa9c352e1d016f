"""Checks one document after the other: well-formed, and valid by the schemas that apply to it."""

from __future__ import annotations

from io import BytesIO
from typing import Final

from lxml import etree

from psthreads.authoring.context import Context
from psthreads.documents.layout import Document, GroupFolder
from psthreads.processes.xml import parsing as _parsing
from psthreads.processes.xml.includes import Unusable
from psthreads.processes.xml.parsing import NotWellFormed, Problem, Sieve
from psthreads.processes.xml.schemas import Finding, Grammar, Schemas

LARGEST_TREE: Final = 16 * 1024 * 1024
"""A larger document, in bytes, is never held in memory."""

_MOST_MARKS: Final = 500_000  # tags and attributes of a document in memory: each takes some 200 bytes there
_SMALL: Final = 256 * 1024  # bytes; a validator notes every error of a tree, and this many can be no burden


_MOST_SIEVES: Final = 64  # a sieve keeps its schema


class Checker:
    """Finds what is wrong with one document after the other.

    `unapplied` names the schemas that the last one was too large for.
    """

    def __init__(self, context: Context, folder: GroupFolder) -> None:
        self.unapplied = ""
        self._context = context
        self._folder = folder
        self._schemas = Schemas(folder)
        self._parser = _parsing.parser()
        self._sieves: dict[etree.XMLSchema | None, Sieve] = {}

    def problems(self, document: Document) -> list[Problem]:
        """What is wrong, schema by schema, with more than MOST_PROBLEMS of one schema only counted as more.

        Raises a PsthreadsError or an OSError when the document cannot be read.
        """
        data = None
        if document.size <= LARGEST_TREE:
            data = self._folder.read(document.path, document.size + 1)
            if len(data) > document.size:  # It grew since it was found.
                data = self._folder.read(document.path, LARGEST_TREE + 1)
        return self.problems_in(document, data)

    def problems_in(self, document: Document, data: bytes | None) -> list[Problem]:
        """As `problems`, for a document whose bytes are at hand; None for one larger than LARGEST_TREE."""
        self.unapplied = ""
        try:
            if data is None or (len(data) > _SMALL and _is_too_much(data)):
                return self._while_read(document)
            return self._in_memory(data, document.path)
        except NotWellFormed as error:
            return [error.problem]
        except Unusable as error:
            return [Problem(1, 1, str(error))]

    def _is_surely_valid(self, data: bytes) -> bool:
        """Whether it is plain to see: most documents are small, and valid, and by one XML Schema or none."""
        name = _parsing.plain_root(data)
        schemas = self._schemas.of_root(name) if name else None
        if schemas is None or len(schemas) > 1:
            return False
        compiled = None
        if schemas:
            compiled = schemas[0].streaming if isinstance(schemas[0], Grammar) else None
            if compiled is None:
                return False
        if compiled not in self._sieves:
            if len(self._sieves) >= _MOST_SIEVES:
                self._sieves.clear()
            self._sieves[compiled] = Sieve(compiled)
        return self._sieves[compiled].passes(data)

    def _in_memory(self, data: bytes, path: str) -> list[Problem]:
        if len(data) <= _SMALL and self._is_surely_valid(data):
            return []
        root = _parsing.parse(data, self._parser)
        found: list[Problem] = []
        try:
            for schema in self._schemas.of(root, path):
                streaming = schema.streaming if isinstance(schema, Grammar) and len(data) > _SMALL else None
                if streaming is not None:
                    found += _parsing.read_through(BytesIO(data), streaming, schema.path)
                elif findings := schema.findings(root):
                    found += _parsing.place(data, root, findings, schema.path)
        except Unusable as error:
            found += _parsing.place(data, root, [Finding(root, str(error))])
        return found

    def _while_read(self, document: Document) -> list[Problem]:
        size = f"{document.size / 1024 / 1024:,.1f} MB"
        self._context.log(f"Document {document.path} has {size}: it is checked while it is read.")
        with self._folder.open(document.path) as file:
            schemas = self._schemas.of(_parsing.head(file), document.path)
        unapplied = []
        with self._folder.open(document.path) as file:
            found = _parsing.read_through(file)
            for schema in schemas:
                streaming = schema.streaming if isinstance(schema, Grammar) else None
                if streaming is None:
                    unapplied.append(schema.path)
                    continue
                file.seek(0)
                found += _parsing.read_through(file, streaming, schema.path)
        self.unapplied = " and ".join(unapplied)
        return found


def _is_too_much(data: bytes) -> bool:
    """Whether the document's tree would take too much memory."""
    return len(data) > LARGEST_TREE or data.count(b"<") + data.count(b"=") > _MOST_MARKS
