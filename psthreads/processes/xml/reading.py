"""Reads documents with their DTD and their entities, as far as the group has them.

A document type without declarations costs nothing. Where there are some, the document is parsed again, with what it
names served from the group's folder, and checked by its DTD. Attributes then have the DTD's defaults, and entities are
expanded: libxml2 refuses more than a megabyte of text from them where that is more than five times what was read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from lxml import etree

from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.xml import parsing as _parsing
from psthreads.processes.xml.catalogs.locating import Locator
from psthreads.processes.xml.findings import Finding, Places
from psthreads.processes.xml.includes import Absent, Includer, inside, url
from psthreads.processes.xml.parsing import MOST_PROBLEMS, DocumentProblem, NotWellFormed, plain

_MOST_PARTS: Final = 1_000  # documents that a document type and its entities are made of
_MOST_BYTES: Final = 32 * 1024 * 1024  # of all of them together
_VALIDITY: Final = frozenset({etree.ErrorDomains.VALID, etree.ErrorDomains.DTD})


@dataclass(frozen=True, slots=True)
class Reading:
    """A document that was read.

    `dtd` is the path of the DTD by which the findings are, the document's own for one inside it, or "" for none.
    `absent` says which DTD it names that the group does not have.
    """

    root: etree._Element
    dtd: str = ""
    findings: list[Finding] = field(default_factory=list)
    absent: str = ""


class Reader:
    """Reads documents of one group."""

    def __init__(self, locator: Locator, includer: Includer) -> None:
        self._locator = locator
        self._strict = _parsing.parser()
        self._lenient = _parsing.parser(recover=True)
        # Most documents name one of a few DTDs, whose parts are read again and again.
        self._part = lru_cache(maxsize=256)(includer.read)
        self._declares: dict[str, bool] = {}

    def read(self, data: bytes, path: str) -> Reading:
        """Read a document; `path` is the base of what it names.

        Raises NotWellFormed, and Unusable if it needs an entity that the group does not have.
        """
        root = self._as_it_is(data, path)
        info = root.getroottree().docinfo
        if info.internalDTD is None:
            return Reading(root)
        dtd, absent = "", ""
        if info.public_id or info.system_url:
            try:
                dtd = self._locator.external(path, info.public_id or "", info.system_url or "")
            except Absent as error:
                absent = str(error)
        server = _EntityServer(self._locator, self._part, _target(path, info.system_url or ""), dtd)
        key = dtd or path
        has_elements = next(info.internalDTD.iterelements(), None) is not None
        if not has_elements and dtd and dtd not in self._declares:
            root = self._parse(data, path, server, absent)
            external = root.getroottree().docinfo.externalDTD
            self._declares[dtd] = external is not None and next(external.iterelements(), None) is not None
        if not (has_elements or self._declares.get(dtd)) or absent:
            return Reading(self._parse(data, path, server, absent), absent=absent)
        parser = _parser(server, validates=True)
        try:
            return Reading(self._parse_with(parser, data, path, server), key)
        except NotWellFormed:
            log = list(islice(parser.error_log, MOST_PROBLEMS + 2))
            root = self._parse(data, path, server, absent)
        places = Places(root)
        entries = [entry for entry in log if entry.domain in _VALIDITY]
        return Reading(root, key, [Finding(places.of(entry), entry.message) for entry in entries])

    def _as_it_is(self, data: bytes, path: str) -> etree._Element:
        """Parse a document without its DTD, which may be what declares a prefix."""
        try:
            return _parsing.parse_as_it_is(data, self._strict, url(path))
        except NotWellFormed:
            last = self._strict.error_log.last_error
            if last is None or last.domain != etree.ErrorDomains.NAMESPACE or b"<!DOCTYPE" not in data:
                raise
            # Only its document type is looked at: what is wrong with the rest is found again.
            root = _parsing.parse_as_it_is(data, self._lenient, url(path))
            if root.getroottree().docinfo.internalDTD is None:
                raise
            return root

    def _parse(self, data: bytes, path: str, server: _EntityServer, absent: str) -> etree._Element:
        parser = _parser(server)
        try:
            return self._parse_with(parser, data, path, server)
        except NotWellFormed as error:
            last = parser.error_log.last_error
            if absent and last is not None and last.type == etree.ErrorTypes.WAR_UNDECLARED_ENTITY:
                problem = error.problem
                text = f"{problem.text}, and its DTD cannot be had: {absent}"
                raise NotWellFormed(DocumentProblem(problem.line, problem.column, text)) from None
            raise

    def _parse_with(self, parser: etree.XMLParser, data: bytes, path: str, server: _EntityServer) -> etree._Element:
        server.begin()
        try:
            return _parsing.parse_as_it_is(data, parser, url(path))
        except (Unusable, etree.LxmlError) as error:
            raise Unusable(f"its DTD or an entity cannot be had: {plain(server.refused or str(error))}") from None


class _EntityServer(etree.Resolver):
    """Serves a document type and entities. `refused` is the first reason why something was not served."""

    def __init__(self, locator: Locator, part: Any, named: str, dtd: str) -> None:
        self.refused = ""
        self._locator = locator
        self._part = part
        self._named = named
        self._dtd = dtd
        self.begin()

    def begin(self) -> None:
        """Begin to count again, for another time that the document is parsed."""
        self._parts = 0
        self._bytes = 0

    def resolve(self, system_url: str | None, public_id: str | None, context: Any) -> Any:
        """Do as Resolver. Never returns None: libxml2 would then load the address itself."""
        try:
            path = self._path(system_url or "", public_id or "")
            data = self._part(path) if path else b""
            self._count(data)
        except Unusable as error:
            self.refused = self.refused or str(error)
            raise
        # For `resolve_empty`, lxml lets libxml2 load the address.
        return self.resolve_string(data, context, base_url=url(path) if path else system_url)

    def _path(self, system: str, public: str) -> str:
        """Return the path of what is needed, or "" for the document type that the group does not have."""
        if _target("/", system) == self._named:
            return self._dtd
        return self._locator.external("/", public, system)

    def _count(self, data: bytes) -> None:
        self._parts += 1
        self._bytes += len(data)
        if self._parts > _MOST_PARTS or self._bytes > _MOST_BYTES:
            raise Unusable(
                f"its DTD and its entities are more than {_MOST_PARTS:,} documents or {_MOST_BYTES // 1024 // 1024} MB"
            )


def _target(base: str, reference: str) -> str:
    """Return what identifies a reference: its path in the group, or itself."""
    try:
        return inside(base, reference)
    except Unusable:
        return reference


def _parser(server: _EntityServer, *, validates: bool = False) -> etree.XMLParser:
    parser = etree.XMLParser(
        no_network=True,
        load_dtd=True,
        attribute_defaults=True,
        resolve_entities=True,
        dtd_validation=validates,
        huge_tree=False,
    )
    parser.resolvers.add(server)
    return parser
