"""Checks documents: whether each is well-formed, and valid by the schemas that apply to it.

It calls libraries in C on what members wrote, and so belongs into a child. Whatever a library raises about one document
or one schema is told of that one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from io import BytesIO
from typing import Final

from lxml import etree

from psthreads.domain.errors import PsthreadsError
from psthreads.processes.bounded.files import Files
from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.validation.verdict import Verdict
from psthreads.processes.xml import parsing as _parsing
from psthreads.processes.xml.catalogs.locating import Locator
from psthreads.processes.xml.includes import Includer
from psthreads.processes.xml.parsing import DocumentProblem, LimitReached, NotWellFormed, Sieve, plain
from psthreads.processes.xml.reading import Reader
from psthreads.processes.xml.schemas import Grammar, Schema, Schemas
from psthreads.processes.xml.steps import Steps
from psthreads.processes.xml.xinclude import Inclusions

LARGEST_TREE: Final = 128 * 1024 * 1024
"""The largest document, in bytes, that is held in memory, where something can only be checked there."""

_LARGE: Final = 4 * 1024 * 1024  # bytes; a larger document is rather checked while it is read
_MOST_MARKS: Final = 200_000  # tags and attributes, where each takes some 200 bytes in memory, of one that is not
_SMALL: Final = 256 * 1024  # bytes; a validator keeps every error of a tree, which is harmless up to this size
_MOST_SIEVES: Final = 64  # a sieve keeps its schema


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """How documents are checked: with what they include, and by which phase of Schematron schemas that have it."""

    xinclude: bool = False
    phase: str = ""


PLAIN: Final = CheckOptions()
"""A check of documents as they are, by all rules."""


class Checker:
    """Checks documents of one group."""

    def __init__(self, files: Files, steps: Steps | None = None, options: CheckOptions = PLAIN) -> None:
        self._files = files
        self._options = options
        self._steps = steps or Steps()
        self._locator = Locator(files)
        self._reader = Reader(self._locator, Includer(files))
        includer = Includer(files, self._locator.reference, lambda data, path: self._reader.read(data, path).root)
        self._inclusions = Inclusions(self._reader, self._locator, Includer(files))
        self._schemas = Schemas(files, self._locator, includer, self._steps, options.phase)
        self._sieve_of = lru_cache(maxsize=_MOST_SIEVES)(self._sieve)

    def verdict(self, path: str, size: int, data: bytes | None = None) -> Verdict:
        """Return the verdict on a document, with at most MOST_PROBLEMS + 1 problems for each schema.

        Without its bytes, they are read. Raises a PsthreadsError or an OSError if that is not possible.
        """
        try:
            if data is not None and len(data) <= _SMALL and (verdict := self._quick(data)):
                return verdict
            if data is None and size <= _LARGE:
                data = self._files.read(path, size + 1)
            if data is None or len(data) > _LARGE or _has_many_marks(data):
                return self._of_large(path, size, data)
            return self._in_memory(data, path)
        except (LimitReached, Unusable) as error:
            return Verdict(unchecked=(str(error),))
        except NotWellFormed as error:
            return Verdict((error.problem,))

    def _quick(self, data: bytes) -> Verdict | None:
        """Return a good verdict where a quick check suffices, for small documents of one XML Schema or of none."""
        if (self._locator.has_catalog or self._options.xinclude) and b"xmlns" in data:
            return None  # The catalog may have a schema for the namespace, or something is to be included.
        name = _parsing.plain_root(data)
        sieve, verdict = self._sieve_of(name) if name else (None, None)
        return verdict if sieve is not None and sieve.passes(data) else None

    def _sieve(self, name: str) -> tuple[Sieve | None, Verdict]:
        """Return the sieve for documents with a root element of this name, if one suffices, and the verdict of it."""
        schemas = self._schemas.of_root(name)
        verdict = Verdict(schemas=tuple(schema.path for schema in schemas or ()))
        if not schemas:
            return None if schemas is None else Sieve(None), verdict
        compiled = schemas[0].streaming if len(schemas) == 1 and isinstance(schemas[0], Grammar) else None
        return Sieve(compiled) if compiled is not None else None, verdict

    def _in_memory(self, data: bytes, path: str) -> Verdict:
        reading = self._reader.read(data, path)
        has_doctype = reading.root.getroottree().docinfo.internalDTD is not None
        check = _Checking(self._steps)
        if reading.findings:
            check.problems += _parsing.located(data, reading.root, reading.findings, reading.dtd)
        if self._options.xinclude:
            reading = self._inclusions.expanded(reading, path)
        root = reading.root
        check.applied += [reading.dtd] if reading.dtd else []
        check.notes += [f"its DTD could not be had: {reading.absent}"] if reading.absent else []
        schemas = self._applicable(check, root, path)
        # A DTD may have added to what is in the bytes.
        is_large = len(data) > _SMALL and not (has_doctype or self._options.xinclude)
        for schema in schemas:
            streaming = schema.streaming if isinstance(schema, Grammar) and is_large else None
            if streaming is not None:
                check.apply(schema, partial(_parsing.read_through, BytesIO(data), streaming, schema.path))
            else:
                check.apply(schema, partial(_problems, schema, data, root))
        return check.verdict

    def _of_large(self, path: str, size: int, data: bytes | None) -> Verdict:
        """Check a document without a tree, as far as that is possible, and the rest with one."""
        check = _Checking(self._steps)
        with self._files.open(path) if data is None else BytesIO(data) as file:
            root = _parsing.head(file)
            has_doctype = root.getroottree().docinfo.internalDTD is not None
            if (has_doctype or self._options.xinclude) and size <= LARGEST_TREE:
                return self._in_memory(self._whole(path, data), path)
            if self._options.xinclude:
                check.unchecked.append("it is too large for the documents that it may include")
            if has_doctype:
                _parsing.refuse_entities(root)
                check.unchecked.append("it is too large to be checked by its DTD")
            schemas = self._applicable(check, root, path)
            file.seek(0)
            check.problems += _parsing.read_through(file)
            others = []
            for schema in schemas:
                streaming = schema.streaming if isinstance(schema, Grammar) else None
                if streaming is None:
                    others.append(schema)
                    continue
                file.seek(0)
                check.apply(schema, partial(_parsing.read_through, file, streaming, schema.path))
        if others and size <= LARGEST_TREE:
            data = self._whole(path, data)
            root = self._reader.read(data, path).root
            for schema in others:
                check.apply(schema, partial(_problems, schema, data, root))
        elif others:
            check.unchecked += [f"it is too large to be checked by {schema.path}" for schema in others]
        return check.verdict

    def _applicable(self, check: _Checking, root: etree._Element, path: str) -> list[Schema]:
        applicable = self._schemas.of(root, path)
        check.notes += applicable.notes
        check.unchecked += applicable.unusable
        return applicable.schemas

    def _whole(self, path: str, data: bytes | None) -> bytes:
        if data is None:
            data = self._files.read(path, LARGEST_TREE + 1)
            if len(data) > LARGEST_TREE:
                raise Unusable("it has become too large meanwhile")
        return data


class _Checking:
    """Collects what the steps of one check say."""

    def __init__(self, steps: Steps) -> None:
        self.problems: list[DocumentProblem] = []
        self.applied: list[str] = []
        self.unchecked: list[str] = []
        self.notes: list[str] = []
        self._steps = steps

    def apply(self, schema: Schema, work: Callable[[], list[DocumentProblem]]) -> None:
        """Apply a schema. What fails is told of it, and the others are still applied."""
        try:
            with self._steps.applying(schema.path):
                self.problems += work()
        except (MemoryError, EOFError, NotWellFormed, PsthreadsError, OSError):
            raise
        except Unusable as error:
            self.unchecked.append(str(error))
        except Exception as error:  # noqa: BLE001 (whatever a library raises)
            self.unchecked.append(f"the check by {schema.path} failed: {type(error).__name__}: {plain(str(error))}")
        else:
            self.applied.append(schema.path)

    @property
    def verdict(self) -> Verdict:
        """The verdict on the document."""
        return Verdict(tuple(self.problems), tuple(self.applied), tuple(self.unchecked), tuple(self.notes))


def _problems(schema: Schema, data: bytes, root: etree._Element) -> list[DocumentProblem]:
    findings = schema.findings(root)
    return _parsing.located(data, root, findings, schema.path) if findings else []


def _has_many_marks(data: bytes) -> bool:
    return len(data) > _SMALL and data.count(b"<") + data.count(b"=") > _MOST_MARKS
