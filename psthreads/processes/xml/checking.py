"""Checks documents: whether each is well-formed, and valid by the schemas that apply to it."""

from __future__ import annotations

from io import BytesIO
from typing import Final

from lxml import etree

from psthreads.authoring.context import Context
from psthreads.documents.layout import Document, GroupFolder
from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.xml import parsing as _parsing
from psthreads.processes.xml.findings import Finding
from psthreads.processes.xml.includes import Includer
from psthreads.processes.xml.locating import Locator
from psthreads.processes.xml.parsing import DocumentProblem, NotWellFormed, Sieve
from psthreads.processes.xml.reading import Reader
from psthreads.processes.xml.schemas import Grammar, Schemas

LARGEST_TREE: Final = 16 * 1024 * 1024
"""The largest document, in bytes, that is held in memory."""

_MOST_MARKS: Final = 500_000  # tags and attributes of a document in memory, where each takes some 200 bytes
_SMALL: Final = 256 * 1024  # bytes; a validator keeps every error of a tree, which is harmless up to this size


_MOST_NOTES: Final = 200
_MOST_SIEVES: Final = 64  # a sieve keeps its schema


class Checker:
    """Finds the problems of documents.

    `unapplied` names the schemas that the last document was too large for, and `notes` says which it names, or the
    group has for it, that were not applied for another reason.
    """

    def __init__(self, context: Context, folder: GroupFolder) -> None:
        self.unapplied = ""
        self.notes: list[str] = []
        self._context = context
        self._folder = folder
        self._locator = Locator(folder)
        self._reader = Reader(self._locator, Includer(folder))
        includer = Includer(folder, self._locator.reference, lambda data, path: self._reader.read(data, path).root)
        self._schemas = Schemas(folder, self._locator, includer)
        self._sieves: dict[etree.XMLSchema | None, Sieve] = {}

    def problems(self, document: Document) -> list[DocumentProblem]:
        """Return the problems, schema by schema, with at most MOST_PROBLEMS + 1 for each.

        Raises a PsthreadsError or an OSError if the document cannot be read.
        """
        data = None
        if document.size <= LARGEST_TREE:
            data = self._folder.read(document.path, document.size + 1)
            if len(data) > document.size:  # It has grown.
                data = self._folder.read(document.path, LARGEST_TREE + 1)
        return self.problems_in(document, data)

    def problems_in(self, document: Document, data: bytes | None) -> list[DocumentProblem]:
        """Do as `problems` with a document's bytes, or None if it is larger than LARGEST_TREE."""
        self.unapplied = ""
        self.notes = []
        try:
            if data is None or (len(data) > _SMALL and _needs_too_much_memory(data)):
                return self._while_read(document)
            return self._in_memory(data, document.path)
        except NotWellFormed as error:
            return [error.problem]
        except Unusable as error:
            return [DocumentProblem(1, 1, str(error))]

    def _is_surely_valid(self, data: bytes) -> bool:
        """Tell whether a quick check suffices: most documents are small, and valid by one XML Schema or without any."""
        if self._locator.has_catalog and b"xmlns" in data:
            return False  # The catalog may have a schema for the namespace.
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

    def _in_memory(self, data: bytes, path: str) -> list[DocumentProblem]:
        if len(data) <= _SMALL and self._is_surely_valid(data):
            return []
        reading = self._reader.read(data, path)
        root, has_doctype = reading.root, reading.root.getroottree().docinfo.internalDTD is not None
        problems = _parsing.located(data, root, reading.findings, reading.dtd) if reading.findings else []
        self.notes += [f"its DTD could not be had: {reading.absent}"] if reading.absent else []
        try:
            applicable = self._schemas.of(root, path)
            self.notes += applicable.notes
            for schema in applicable.schemas:
                is_large = len(data) > _SMALL and not has_doctype  # A DTD may have added to what is in the bytes.
                streaming = schema.streaming if isinstance(schema, Grammar) and is_large else None
                if streaming is not None:
                    problems += _parsing.read_through(BytesIO(data), streaming, schema.path)
                elif findings := schema.findings(root):
                    problems += _parsing.located(data, root, findings, schema.path)
        except Unusable as error:
            problems += _parsing.located(data, root, [Finding(root, str(error))])
        return problems

    def _while_read(self, document: Document) -> list[DocumentProblem]:
        size = f"{document.size / 1024 / 1024:,.1f} MB"
        self._context.log(f"Document {document.path} has {size}: it is checked while it is read.")
        with self._folder.open(document.path) as file:
            root = _parsing.head(file)
            schemas, self.notes = self._schemas.of(root, document.path)
        info = root.getroottree().docinfo
        unapplied = [f"the DTD {info.system_url}"] if info.system_url else []
        with self._folder.open(document.path) as file:
            problems = _parsing.read_through(file)
            for schema in schemas:
                streaming = schema.streaming if isinstance(schema, Grammar) else None
                if streaming is None:
                    unapplied.append(schema.path)
                    continue
                file.seek(0)
                problems += _parsing.read_through(file, streaming, schema.path)
        self.unapplied = " and ".join(unapplied)
        return problems


class Notes:
    """Warns of what was not applied, each note once and with the first document that it is about."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: set[str] = set()

    def warn(self, path: str, notes: list[str]) -> None:
        """Warn of the notes on a document that no other one had."""
        for note in notes:
            if note not in self._known and len(self._known) < _MOST_NOTES:
                self._known.add(note)
                self._context.warning(f"Document {path}, and maybe others: {note}")


def _needs_too_much_memory(data: bytes) -> bool:
    return len(data) > LARGEST_TREE or data.count(b"<") + data.count(b"=") > _MOST_MARKS
