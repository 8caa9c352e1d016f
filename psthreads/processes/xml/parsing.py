"""Documents parsed without trust: no entities, no DTDs, nothing outside the bytes that are given.

Where something is wrong is told as line and column, both from 1. Validators know an element and
no column; the start of its tag is then found by giving the bytes to a parser tag by tag.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, BinaryIO, Final, NoReturn

from lxml import etree

MOST_PROBLEMS: Final = 1_000
"""How many problems of one document are found by one schema; a last one more says that there are more."""

MOST_TOLD: Final = 20
"""How many problems of one document are told in the log."""

_CHUNK: Final = 64 * 1024
_LONGEST_PROLOG: Final = 1024 * 1024
_LONGEST_TEXT: Final = 1_000
_PIECE: Final = re.compile(rb"[^>]*>|[^>]+")
_WHERE: Final = re.compile(r",? line \d+, column \d+\Z")
# libxml2 advises whoever calls it, who is not the person that reads this.
_ADVICE: Final = re.compile(r",? ?(use|try|see) (XML_PARSE_HUGE|xmlCtxtSetMaxAmplification)( option)?\.?")


# A document that starts so declares no entity and names no schema before its root element, for a document type
# or an instruction would have to stand there. In other encodings these bytes might mean something else.
_PLAIN: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?"
    rb"""(?:<\?xml\s+version=["']1\.0["'](?:\s+encoding=["'](?i:utf-8|us-ascii|iso-8859-1)["'])?"""
    rb"""(?:\s+standalone=["'](?:yes|no)["'])?\s*\?>)?"""
    rb"\s*<(?:[A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)[\s/>]"
)
# Whether there may be a tag, or an attribute, whose name has a prefix.
_PREFIXED_TAG: Final = re.compile(rb"<[^\s<>/:]*+:")
_PREFIXED_ATTRIBUTE: Final = re.compile(rb""":[^\s"'<>=:]*+\s*+=""")
# What may name a schema, and an attribute whose rules are only checked in a tree.
_TELLING: Final = (b"chemaLocation", b"xml:id")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in a document, and where; by which schema, by its path, where it is not just XML's own rules."""

    line: int
    column: int
    text: str
    schema: str = ""

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.text}"


class NotWellFormed(Exception):
    """A document cannot be parsed, or not without what is refused here."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class _Refuse(etree.Resolver):
    def resolve(self, system_url: str | None, _public_id: str | None, _context: object) -> NoReturn:
        raise PermissionError(f"Nothing is loaded for a document, not even {system_url}")


class _Nothing:
    """A parser's target that wants no events, so that no tree is built."""

    def close(self) -> None:
        """Nothing was kept."""


def parser(resolver: etree.Resolver | None = None) -> etree.XMLParser:
    """A parser that expands and loads nothing; `resolver` serves what a schema includes."""
    made = etree.XMLParser(no_network=True, load_dtd=False, resolve_entities=False, huge_tree=False)
    made.resolvers.add(resolver or _Refuse())
    return made


def parse(data: bytes, strict: etree.XMLParser, url: str | None = None) -> etree._Element:
    """The root element. Raises NotWellFormed, also for a document that declares or needs entities."""
    try:
        root = etree.fromstring(data, strict, base_url=url)
    except etree.XMLSyntaxError as error:
        raise NotWellFormed(_syntax(error)) from None
    _refuse_entities(root, data)
    return root


def plain_root(data: bytes) -> str:
    """The local name of the root element, where it alone says which schemas apply; else "", to be looked at closely."""
    found = _PLAIN.match(data)
    if found is None or (_PREFIXED_ATTRIBUTE.search(data) and any(word in data for word in _TELLING)):
        return ""
    return found[1].decode()


class Sieve:
    """Lets documents through for which `plain_root` gives a name and that are well-formed, and valid by the schema.

    It builds no tree, and so takes half the time. One that it does not let through need not be wrong.
    """

    def __init__(self, schema: etree.XMLSchema | None) -> None:
        self._strict = _without_tree(schema)
        self._has_schema = schema is not None

    def passes(self, data: bytes) -> bool:
        """Whether there is certainly nothing wrong with these bytes, 9 MB of them at most."""
        # With a schema, libxml2 does not tell what is wrong with namespaces.
        if self._has_schema and _may_have_namespaces(data):
            return False
        try:
            etree.fromstring(data, self._strict)
        except etree.LxmlError:
            return False
        # What is wrong by the schema or with namespaces is not raised.
        return not len(self._strict.error_log)


def head(file: BinaryIO) -> etree._Element:
    """The root element with its attributes and what stands before it, of a document of any size.

    Raises NotWellFormed as `parse` does, and when no root element starts in the first 1 MB.
    """
    pull = _pull()
    for chunk in islice(_chunks(file), _LONGEST_PROLOG // _CHUNK):
        try:
            pull.feed(chunk)
        except etree.XMLSyntaxError as error:
            raise NotWellFormed(_syntax(error)) from None
        for _, root in pull.read_events():
            _refuse_entities(root)
            return root
    raise NotWellFormed(Problem(1, 1, "No root element starts in the first 1 MB"))


def read_through(file: BinaryIO, schema: etree.XMLSchema | None = None, path: str = "") -> list[Problem]:
    """What is wrong by the schema, found while the file is read and without a tree in memory.

    What is wrong with namespaces is only found without a schema. `path` is the schema's. Gives one more than
    MOST_PROBLEMS when there are more. Raises NotWellFormed. The document must have passed `head`, which refuses
    entities.
    """
    enough = MOST_PROBLEMS + 1
    guilty = {number for number, _ in islice(_errors(file, schema, ()), enough)}
    if not guilty:
        return []
    file.seek(0)
    # Only now is it worth the time to know exactly where.
    return [replace(problem, schema=path) for _, problem in islice(_errors(file, schema, guilty), enough)]


def place(
    data: bytes, root: etree._Element, found: Iterable[tuple[etree._Element, str]], path: str = ""
) -> list[Problem]:
    """The findings about elements of a document as problems with line and column; `path` is the schema's."""
    findings = list(found)
    wanted = {element for element, _ in findings}
    indexes = {number: element for number, element in enumerate(root.iter("*")) if element in wanted}
    places: dict[etree._Element, tuple[int, int]] = {}
    pull, number = _pull(), -1
    for _, piece, tag in _pieces((data,), (0,)):
        pull.feed(piece)
        for _ in pull.read_events():
            number += 1
            if number in indexes:
                places[indexes[number]] = tag
        if len(places) == len(indexes):
            break
    return [
        Problem(*places.get(element, (element.sourceline or 1, 1)), plain(text), path) for element, text in findings
    ]


def plain(text: str) -> str:
    """A library's message as one sentence for a person: on one line, not endless, no advice on its API."""
    text = _ADVICE.sub("", " ".join(text.split())).replace("group://", "").replace("., line", ", line").rstrip(".,")
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


# Inside.


def _pull() -> etree.XMLPullParser:
    made = etree.XMLPullParser(
        events=("start",), no_network=True, load_dtd=False, resolve_entities=False, huge_tree=False
    )
    made.resolvers.add(_Refuse())
    return made


def _without_tree(schema: etree.XMLSchema | None) -> etree.XMLParser[Any]:
    # The stubs ask for every method of a target; one that is absent is an event that is not made.
    strict: etree.XMLParser[Any] = etree.XMLParser(  # type: ignore[call-overload]
        target=_Nothing(),
        schema=schema,
        no_network=True,
        load_dtd=False,
        resolve_entities=False,
        huge_tree=False,
    )
    strict.resolvers.add(_Refuse())
    return strict


def _may_have_namespaces(data: bytes) -> bool:
    has_colon = b":" in data
    return b"xmlns" in data or (
        has_colon and (_PREFIXED_ATTRIBUTE.search(data) is not None or _PREFIXED_TAG.search(data) is not None)
    )


def _errors(file: BinaryIO, schema: etree.XMLSchema | None, exact: Collection[int]) -> Iterator[tuple[int, Problem]]:
    """Each error by the schema with the number of its chunk, at the last tag that was read before it."""
    strict = _without_tree(schema)
    known, number, tag = 0, 0, (1, 1)
    try:
        for number, piece, tag in _pieces(_chunks(file), exact):
            strict.feed(piece)
            log = strict.feed_error_log
            for entry in islice(log, known, None):
                yield number, Problem(*tag, plain(entry.message))
            known = len(log)
        strict.close()
    except etree.XMLSyntaxError as error:
        raise NotWellFormed(_syntax(error)) from None
    for entry in islice(strict.feed_error_log, known, None):
        yield number, Problem(*tag, plain(entry.message))


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _pieces(chunks: Iterable[bytes], exact: Collection[int]) -> Iterator[tuple[int, bytes, tuple[int, int]]]:
    """The chunks, those in `exact` cut behind each tag, with the line and column of the last `<` so far."""
    place = tag = (1, 1)
    for number, chunk in enumerate(chunks):
        for piece in _PIECE.findall(chunk) if number in exact else (chunk,):
            opening = piece.rfind(b"<")
            if opening >= 0:
                tag = _after(piece[:opening], *place)
            place = _after(piece, *place)
            yield number, piece, tag


def _after(text: bytes, line: int, column: int) -> tuple[int, int]:
    newlines = text.count(b"\n")
    if newlines:
        line, column, text = line + newlines, 1, text[text.rfind(b"\n") + 1 :]
    return line, column + len(text.decode(errors="ignore"))


def _refuse_entities(root: etree._Element, data: bytes = b"") -> None:
    info = root.getroottree().docinfo
    declarations = info.internalDTD
    if declarations is None:
        return
    entity = next(declarations.iterentities(), None)
    if entity is not None:
        text = f"It declares the entity '{entity.name}', and entities are not expanded here"
        raise NotWellFormed(Problem(*_after(data[: max(data.find(b"<!ENTITY"), 0)], 1, 1), text))
    used = next(root.iter(etree.Entity), None)
    if used is not None:
        text = f"It uses {used.text}, an entity that it does not declare, and no DTD is loaded here"
        raise NotWellFormed(Problem(used.sourceline or root.sourceline or 1, 1, text))


def _syntax(error: etree.XMLSyntaxError) -> Problem:
    line, column = error.position
    return Problem(max(line or 1, 1), max(column or 1, 1), plain(_WHERE.sub("", error.msg or "It is not XML")))
