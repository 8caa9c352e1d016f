"""Validates the XML documents of a group: well-formed, and valid by the schemas that apply to them.

Which documents: those whose name ends as that of XML does (`_XML`); others are counted and left alone.

Which schemas: the group's own for the root element, `/schemas/<local name>.xsd`, `.rng` and `.sch`;
those that the root element names with `xsi:schemaLocation` or `xsi:noNamespaceSchemaLocation`; and
those of `xml-model` instructions before it. All that there are apply, each once. References are
relative to the document, or absolute in the group, and never lead outside it.

Entities are not expanded and DTDs are not loaded: a document that declares or needs entities is
not valid here. A document of more than 16 MB is never held in memory: it is checked by XML Schema
while it is read, and a warning says which other schemas were not applied.
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import Final, cast

from psthreads.context import Context
from psthreads.documents import Document, GroupFolder
from psthreads.errors import PsthreadsError
from psthreads.model import Level, Outcome, Status
from psthreads.processes import _parsing
from psthreads.processes._includes import Unusable
from psthreads.processes._parsing import MOST_PROBLEMS, NotWellFormed, Problem
from psthreads.processes._schemas import Finding, Grammar, Schemas
from psthreads.registry import Start, process

_XML: Final = re.compile(
    r"\.(xml|psml|xsd|rng|sch|xslt?|svg|xht(ml)?|rdf|rss|atom|dita(map)?|dbk|docbook|fo|gpx|kml|mathml|mml"
    r"|nvdl|opf|ncx|owl|tei|tmx|wsdl|xlf|xliff|xmp|xpl|xproc|xspec)\Z",
    re.IGNORECASE,
)

_LARGEST_TREE: Final = 16 * 1024 * 1024  # bytes
_MOST_MARKS: Final = 500_000  # tags and attributes of a document in memory: each takes some 200 bytes there
_SMALL: Final = 256 * 1024  # bytes; a validator notes every error of a tree, and this many can be no burden


def is_xml(name: str) -> bool:
    """Whether a document's name ends as those of XML documents do."""
    return _XML.search(name) is not None


@process(
    title="Validating {path} of group {group}",
    route="/members/{member}/groups/{group}/validate",
    methods=("POST",),
    time_limit=4 * 3600,
    restartable=True,
)
def validate(context: Context, path: str = "/", warn: bool = False) -> Outcome:  # noqa: FBT001, FBT002 (a parameter on the wire)
    """Checks that every XML document below a path is well-formed and valid."""
    folder = context.folder
    checker = _Checker(context, folder)
    checked = broken = others = 0

    def left_out(skipped: str, reason: str) -> None:
        context.warning(f"{skipped} was left out: {reason}.")

    with context.bar("progress", total=folder.count(path, is_xml)) as bar:
        for document in folder.walk(path, left_out):
            if not is_xml(document.path):
                others += 1
                continue
            try:
                problems = checker.problems(document)
            except (PsthreadsError, OSError):
                left_out(document.path, "it is gone, or can no longer be read")
                continue
            if problems:
                broken += 1
                _tell(context, document.path, problems, warn=warn)
            elif checker.unapplied:
                context.warning(
                    f"Document {document.path} is well-formed, but too large to be checked by {checker.unapplied}."
                )
            else:
                context.message(f"Document {document.path} is valid.")
            checked += 1
            bar.advance()
        bar.total = checked  # Documents may have come or gone meanwhile.
    aside = f" {others:,} other {'file was' if others == 1 else 'files were'} not checked." if others else ""
    if not checked:
        return Outcome(Status.COMPLETED, f"There was nothing to check: no XML document below {path or '/'}.{aside}")
    if not broken:
        return Outcome(Status.COMPLETED, f"{_documents(checked)} {'is' if checked == 1 else 'are'} valid.{aside}")
    sentence = f"{broken:,} of {_documents(checked)} {'is' if broken == 1 else 'are'} not valid.{aside}"
    return Outcome(Status.COMPLETED if warn else Status.FAILED, sentence)


@validate.check
def _path_is_there(start: Start) -> None:
    """Refuses a path that is unsafe or absent before anything starts."""
    cast("GroupFolder", start.folder).resolve(str(start.values["path"]))


class _Checker:
    """Finds what is wrong with one document after the other.

    `unapplied` names the schemas that the last one was too large for.
    """

    def __init__(self, context: Context, folder: GroupFolder) -> None:
        self.unapplied = ""
        self._context = context
        self._folder = folder
        self._schemas = Schemas(folder)
        self._parser = _parsing.parser()

    def problems(self, document: Document) -> list[Problem]:
        """What is wrong, schema by schema, with more than MOST_PROBLEMS of one schema only counted as more.

        Raises a PsthreadsError or an OSError when the document cannot be read.
        """
        self.unapplied = ""
        data = self._read(document)
        try:
            return self._while_read(document) if data is None else self._in_memory(data, document.path)
        except NotWellFormed as error:
            return [error.problem]
        except Unusable as error:
            return [Problem(1, 1, str(error))]

    def _read(self, document: Document) -> bytes | None:
        """The document's bytes, or None when it would be too large as a tree in memory."""
        if document.size > _LARGEST_TREE:
            return None
        data = self._folder.read(document.path, document.size + 1)
        if len(data) > document.size:  # It grew since it was found.
            data = self._folder.read(document.path, _LARGEST_TREE + 1)
        if len(data) > _LARGEST_TREE:
            return None
        if len(data) > _SMALL and data.count(b"<") + data.count(b"=") > _MOST_MARKS:
            return None
        return data

    def _in_memory(self, data: bytes, path: str) -> list[Problem]:
        root = _parsing.parse(data, self._parser)
        found: list[Problem] = []
        try:
            for schema in self._schemas.of(root, path):
                streaming = schema.streaming if isinstance(schema, Grammar) and len(data) > _SMALL else None
                if streaming is not None:
                    found += _parsing.read_through(BytesIO(data), streaming)
                elif findings := schema.findings(root):
                    found += _parsing.place(data, root, findings)
        except Unusable as error:
            found += _parsing.place(data, root, [Finding(root, str(error))])
        return found

    def _while_read(self, document: Document) -> list[Problem]:
        size = f"{document.size / 1024 / 1024:,.1f} MB"
        self._context.log(f"Document {document.path} has {size}: it is checked while it is read.")
        with self._folder.open(document.path) as file:
            schemas = self._schemas.of(_parsing.head(file), document.path)
        found: list[Problem] = []
        unapplied = []
        with self._folder.open(document.path) as file:
            for schema in schemas:
                streaming = schema.streaming if isinstance(schema, Grammar) else None
                if streaming is None:
                    unapplied.append(schema.path)
                    continue
                file.seek(0)
                found += _parsing.read_through(file, streaming)
            if len(unapplied) == len(schemas):
                file.seek(0)
                found += _parsing.read_through(file)
        self.unapplied = " and ".join(unapplied)
        return found


def _tell(context: Context, path: str, problems: list[Problem], *, warn: bool) -> None:
    """One event for the document, with its first problem; the others are lines of the log."""
    report, level = (context.warning, Level.WARN) if warn else (context.error, Level.ERROR)
    report(f"Document {path} is not valid: {problems[0]}")
    for problem in problems[1:MOST_PROBLEMS]:
        context.log(f"Document {path}, {problem}", level)
    if len(problems) > MOST_PROBLEMS:
        context.log(f"Document {path} has more problems than these {MOST_PROBLEMS}.", level)


def _documents(count: int) -> str:
    return f"{count:,} {'document' if count == 1 else 'documents'}"
