"""Parses documents without trust: no entities, no DTDs, nothing but their own bytes.

A problem has a line and a column, both from 1. Validators know an element but no column: to find the start of its tag,
the document is parsed once more, tag by tag.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, BinaryIO, Final, NoReturn

from lxml import etree

MOST_PROBLEMS: Final = 1_000
"""The problems of one document by one schema, at most; one more shows that there are more."""

MOST_LOGGED: Final = 20
"""The problems of one document in the log, at most."""

INCLUDE: Final = "{http://www.w3.org/2001/XInclude}include"
"""The tag of an inclusion, which may be expanded."""

_CHUNK: Final = 64 * 1024
# What libxml2 does not know or take, such as an encoding or a name of 50,000 bytes. lxml has no name for the last.
_LIMITS: Final = frozenset({etree.ErrorTypes.ERR_UNSUPPORTED_ENCODING, etree.ErrorTypes.ERR_NAME_TOO_LONG, 114})
_LONGEST_PROLOG: Final = 1024 * 1024
_LONGEST_TEXT: Final = 1_000
_PIECE: Final = re.compile(rb"[^>]*>|[^>]+")
_WHERE: Final = re.compile(r",? line \d+, column \d+\Z")
# libxml2's advice is for programmers, and not for the readers of a log.
_ADVICE: Final = re.compile(r",? ?(use|try|see) (XML_PARSE_HUGE|xmlCtxtSetMaxAmplification)( option)?\.?")


# A document with this start declares no entity and names no schema before its root element: a document type or an
# instruction would have to be there. In other encodings these bytes could mean something else.
_PLAIN: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?"
    rb"""(?:<\?xml\s+version=["']1\.0["'](?:\s+encoding=["'](?i:utf-8|us-ascii|iso-8859-1)["'])?"""
    rb"""(?:\s+standalone=["'](?:yes|no)["'])?\s*\?>)?"""
    rb"\s*<(?:[A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)[\s/>]"
)
# A tag, or an attribute, whose name may have a prefix.
_PREFIXED_TAG: Final = re.compile(rb"<[^\s<>/:]*+:")
_PREFIXED_ATTRIBUTE: Final = re.compile(rb""":[^\s"'<>=:]*+\s*+=""")
# Attributes that may name a schema, and one that is checked only in a tree.
_SPECIAL: Final = (b"chemaLocation", b"xml:id")


@dataclass(frozen=True, slots=True)
class DocumentProblem:
    """A problem in a document. `schema` is a schema's path, or empty for a problem with XML's own rules."""

    line: int
    column: int
    text: str
    schema: str = ""

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.text}"


class NotWellFormed(Exception):
    """A document cannot be parsed, or needs entities or a DTD."""

    def __init__(self, problem: DocumentProblem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class LimitReached(NotWellFormed):
    """A document, or something in it, is larger than a parser takes: whether it is well-formed is not known."""


class _Refuse(etree.Resolver):
    def resolve(self, system_url: str | None, _public_id: str | None, _context: object) -> NoReturn:
        raise PermissionError(f"Nothing is loaded for a document, not even {system_url}")


class _NoTree:
    """A parser's target without event handlers, so that no tree is built."""

    def close(self) -> None:
        """Do nothing."""


def parser(resolver: etree.Resolver | None = None, *, recover: bool = False) -> etree.XMLParser:
    """Return a parser that expands and loads nothing; `resolver` serves the includes of a schema.

    With `recover` it goes on after a mistake.
    """
    strict = etree.XMLParser(no_network=True, load_dtd=False, resolve_entities=False, huge_tree=False, recover=recover)
    strict.resolvers.add(resolver or _Refuse())
    return strict


def parse(data: bytes, strict: etree.XMLParser, url: str | None = None) -> etree._Element:
    """Return the root element; raises NotWellFormed, also for a document that declares or needs entities."""
    root = parse_as_it_is(data, strict, url)
    refuse_entities(root, data)
    return root


def parse_as_it_is(data: bytes, parser: etree.XMLParser, url: str | None = None) -> etree._Element:
    """Return the root element, with references to entities as the parser leaves them; raises NotWellFormed."""
    try:
        return etree.fromstring(data, parser, base_url=url)
    except etree.XMLSyntaxError as error:
        raise _failure(error) from None


def plain_root(data: bytes) -> str:
    """Return the root element's local name if it alone decides which schemas apply, else ""."""
    match = _PLAIN.match(data)
    # One look for a colon costs a tenth of the others, and most documents have none.
    if match is None or (b":" in data and _PREFIXED_ATTRIBUTE.search(data) and any(name in data for name in _SPECIAL)):
        return ""
    return match[1].decode()


class Sieve:
    """A quick check for documents of which `plain_root` returns a name: well-formed, and valid by the schema.

    It builds no tree, and so takes half the time. A document that does not pass may still be valid.
    """

    def __init__(self, schema: etree.XMLSchema | None) -> None:
        self._strict = _without_tree(schema)
        self._has_schema = schema is not None

    def passes(self, data: bytes) -> bool:
        """Tell whether there is certainly no problem in these bytes, 9 MB of them at most."""
        # With a schema, libxml2 does not report problems with namespaces.
        if self._has_schema and _may_have_namespaces(data):
            return False
        try:
            etree.fromstring(data, self._strict)
        except etree.LxmlError:
            return False
        # Problems by the schema or with namespaces are logged and not raised.
        return not len(self._strict.error_log)


def head(file: BinaryIO) -> etree._Element:
    """Return the root element, without its content, of a document of any size.

    Raises NotWellFormed, and LimitReached if no root element starts in the first 1 MB.
    """
    pull = _pull()
    for chunk in islice(_chunks(file), _LONGEST_PROLOG // _CHUNK):
        try:
            pull.feed(chunk)
        except etree.XMLSyntaxError as error:
            raise _failure(error) from None
        for _, root in pull.read_events():
            return root
    raise LimitReached(DocumentProblem(1, 1, "No start tag of a root element ends in the first 1 MB"))


def read_through(file: BinaryIO, schema: etree.XMLSchema | None = None, path: str = "") -> list[DocumentProblem]:
    """Return the problems by the schema, found while the file is read and without a tree in memory.

    `path` is the schema's. At most MOST_PROBLEMS + 1 problems are returned; those with namespaces are only found
    without a schema. Raises NotWellFormed. The document must declare no entities.
    """
    most = MOST_PROBLEMS + 1
    chunks = {number for number, _ in islice(_errors(file, schema, ()), most)}
    if not chunks:
        return []
    file.seek(0)
    # Read the chunks with errors again, tag by tag, for their exact places.
    return [replace(problem, schema=path) for _, problem in islice(_errors(file, schema, chunks), most)]


def located(
    data: bytes, root: etree._Element, findings: Collection[tuple[etree._Element, str]], path: str = ""
) -> list[DocumentProblem]:
    """Turn findings about elements into problems with line and column; `path` is the schema's.

    What came from an entity is located at the element that refers to it, and what was included where it was.
    """
    found = dict.fromkeys(element for element, _ in findings)
    has_doctype = root.getroottree().docinfo.internalDTD is not None
    # In UTF-16, say, the name cannot be seen.
    is_expanded = has_doctype or b"/2001/XInclude" in data or b"\0" in data
    written = etree.fromstring(data, parser()) if is_expanded else root
    origins = {element: _origin(element, written) if is_expanded else element for element in found}
    elements = set(origins.values())
    indexes = {number: element for number, element in enumerate(written.iter("*")) if element in elements}
    places: dict[etree._Element, tuple[int, int]] = {}
    pull, number, first = _pull(), -1, None
    for _, piece, tag in _pieces(_cut(data), _exact_chunks(data, indexes, has_doctype=has_doctype)):
        pull.feed(piece)
        for _, event in pull.read_events():
            first = event if first is None else first
            if has_doctype and event is not first and first not in event.iterancestors():
                continue  # It is in the text of an entity.
            number += 1
            if number in indexes:
                places[indexes[number]] = tag
        if len(places) == len(indexes):
            break
    return [
        DocumentProblem(*places.get(origins[element], (element.sourceline or 1, 1)), plain(text), path)
        for element, text in findings
    ]


def _exact_chunks(data: bytes, indexes: Collection[int], *, has_doctype: bool) -> Collection[int]:
    """Return the numbers of the chunks with the elements of these indexes, whose tags have to be found one by one."""
    if has_doctype or len(data) <= _CHUNK:
        return range(len(data) // _CHUNK + 1)
    pull, count, exact = _pull(ends=True), 0, set()
    for number, chunk in enumerate(_cut(data)):
        pull.feed(chunk)
        for action, element in pull.read_events():
            if action == "end":
                # Not at its start, nor the text behind it: libxml2 still adds to both, and would write where they were.
                element.clear(keep_tail=True)
                continue
            if count in indexes:
                exact.add(number)
            count += 1
    return exact


def _cut(data: bytes) -> Iterator[bytes]:
    return (data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK))


def _origin(element: etree._Element, written: etree._Element) -> etree._Element:
    """Return the element of the document as it is written that an element of the expanded document comes from."""
    steps: list[tuple[int, int]] = []
    for each in (element, *element.iterancestors()):
        if (parent := each.getparent()) is None:
            break
        siblings = [child for child in parent if isinstance(child.tag, str)]
        steps.append((siblings.index(each), len(siblings)))
    for index, count in reversed(steps):
        if written.tag == INCLUDE:  # The rest of the way is in what it includes.
            break
        nodes = [child for child in written if isinstance(child, etree._Entity) or isinstance(child.tag, str)]  # noqa: SLF001 (it has no public name)
        holes = [number for number, node in enumerate(nodes) if node.tag == INCLUDE or not isinstance(node.tag, str)]
        if not holes or index < holes[0] or (count == len(nodes) and isinstance(nodes[index].tag, str)):
            written = nodes[index]
        elif count - index < len(nodes) - holes[-1]:
            written = nodes[index - count]
        else:
            break
    return written


def plain(text: str) -> str:
    """Clean a library's message for people: one line, a bounded length, no advice on its API."""
    text = _ADVICE.sub("", " ".join(text.split())).replace("group://", "").replace("., line", ", line").rstrip(".,")
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def _pull(*, ends: bool = False) -> etree.XMLPullParser:
    strict = etree.XMLPullParser(
        events=("start", "end") if ends else ("start",),
        no_network=True,
        load_dtd=False,
        resolve_entities=False,
        huge_tree=False,
    )
    strict.resolvers.add(_Refuse())
    return strict


def _without_tree(schema: etree.XMLSchema | None) -> etree.XMLParser[Any]:
    # The stubs require every method of a target; an absent one means an event that is not created.
    strict: etree.XMLParser[Any] = etree.XMLParser(  # type: ignore[call-overload]
        target=_NoTree(),
        schema=schema,
        no_network=True,
        load_dtd=False,
        resolve_entities=False,
        huge_tree=False,
    )
    strict.resolvers.add(_Refuse())
    return strict


def _may_have_namespaces(data: bytes) -> bool:
    return b"xmlns" in data or (
        b":" in data and (_PREFIXED_ATTRIBUTE.search(data) is not None or _PREFIXED_TAG.search(data) is not None)
    )


def _errors(
    file: BinaryIO, schema: etree.XMLSchema | None, exact: Collection[int]
) -> Iterator[tuple[int, DocumentProblem]]:
    """Yield each error by the schema with the number of its chunk, at the last tag before it."""
    strict = _without_tree(schema)
    count, number, tag = 0, 0, (1, 1)
    try:
        for number, piece, tag in _pieces(_chunks(file), exact):
            strict.feed(piece)
            log = strict.feed_error_log
            for entry in islice(log, count, None):
                yield number, DocumentProblem(*tag, plain(entry.message))
            count = len(log)
        strict.close()
    except etree.XMLSyntaxError as error:
        raise _failure(error) from None
    for entry in islice(strict.feed_error_log, count, None):
        yield number, DocumentProblem(*tag, plain(entry.message))


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _pieces(chunks: Iterable[bytes], exact: Collection[int]) -> Iterator[tuple[int, bytes, tuple[int, int]]]:
    """Yield the chunks, with those in `exact` cut after each tag, and the line and column of the last `<` so far."""
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


def refuse_entities(root: etree._Element, data: bytes = b"") -> None:
    """Raise NotWellFormed if the document declares or needs entities."""
    info = root.getroottree().docinfo
    declarations = info.internalDTD
    if declarations is None:
        return
    entity = next(declarations.iterentities(), None)
    if entity is not None:
        text = f"It declares the entity '{entity.name}', and entities are not expanded here"
        raise NotWellFormed(DocumentProblem(*_after(data[: max(data.find(b"<!ENTITY"), 0)], 1, 1), text))
    reference = next(root.iter(etree.Entity), None)
    if reference is not None:
        text = f"It uses {reference.text}, an entity that it does not declare, and no DTD is loaded here"
        raise NotWellFormed(DocumentProblem(reference.sourceline or root.sourceline or 1, 1, text))


def refuse_shortage(log: Iterable[Any]) -> None:
    """Raise MemoryError if a library says that it got no memory: it may go on, and then be wrong."""
    if any(entry.type == etree.ErrorTypes.ERR_NO_MEMORY for entry in log):
        raise MemoryError


def _is_later_version(log: Iterable[Any]) -> bool:
    return any(entry.type == etree.ErrorTypes.WAR_UNKNOWN_VERSION for entry in log)


def _failure(error: etree.XMLSyntaxError) -> NotWellFormed:
    if error.code == etree.ErrorTypes.ERR_NO_MEMORY:
        raise MemoryError
    line, column = error.position
    text = plain(_WHERE.sub("", error.msg or "It is not XML"))
    # Entities that multiply are against the rules here, and not only large.
    is_limit = (error.code in _LIMITS and "amplification" not in text) or "too big found" in text
    if error.code == etree.ErrorTypes.ERR_INVALID_CHAR and _is_later_version(error.error_log):
        is_limit, text = True, f"{text}, which only XML 1.1 allows, and that is not known here"
    return (LimitReached if is_limit else NotWellFormed)(DocumentProblem(max(line or 1, 1), max(column or 1, 1), text))
