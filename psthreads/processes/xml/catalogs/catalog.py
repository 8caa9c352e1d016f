"""The group's catalog, `/schemas/catalog.xml`: which document of the group stands for an address or an identifier.

OASIS XML Catalogs 1.1, sections 6 (entries) and 7 (resolution). A catalog only leads to documents of its group.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from lxml import etree

from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.xml.includes import Absent, Includer, inside, url
from psthreads.processes.xml.parsing import plain

PATH: Final = "/schemas/catalog.xml"
"""The group's catalog."""

_NAMESPACE: Final = "{urn:oasis:names:tc:entity:xmlns:xml:catalog}"
_BASE: Final = "{http://www.w3.org/XML/1998/namespace}base"
_MOST_ENTRIES: Final = 50_000  # of all catalogs together
_MOST_CATALOGS: Final = 200
_URN: Final = "urn:publicid:"
# The name of each kind of entry, with the attribute that says for what it is and the one that says where it leads.
_ENTRIES: Final = {
    "public": ("publicId", "uri"),
    "system": ("systemId", "uri"),
    "uri": ("name", "uri"),
    "rewriteSystem": ("systemIdStartString", "rewritePrefix"),
    "rewriteURI": ("uriStartString", "rewritePrefix"),
    "systemSuffix": ("systemIdSuffix", "uri"),
    "uriSuffix": ("uriSuffix", "uri"),
    "delegatePublic": ("publicIdStartString", "catalog"),
    "delegateSystem": ("systemIdStartString", "catalog"),
    "delegateURI": ("uriStartString", "catalog"),
}
_PUBLIC: Final = frozenset({"public", "delegatePublic"})
# The characters that section 6.3 escapes before two identifiers are compared.
_UNSAFE: Final = re.compile(r"[^!#-;=?-\[\]_a-z~]")


class _Query(NamedTuple):
    """What is looked for: an external identifier, or the address of something else."""

    public: str = ""
    system: str = ""
    address: str = ""


class _Delegation(NamedTuple):
    """The catalogs that replace all others, and what is looked for in them."""

    catalogs: list[str]
    query: _Query


@dataclass(slots=True)
class _CatalogFile:
    """The entries of one catalog by kind and by what they match, and the catalogs that come after it."""

    entries: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    preferred: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    """The entries for public identifiers that also count beside a system identifier."""
    following: list[str] = field(default_factory=list)

    def add(self, element: etree._Element, base: str, *, prefers_public: bool) -> None:
        """Add an entry; the first of several for the same counts."""
        kind = etree.QName(element).localname
        if kind == "nextCatalog":
            if "catalog" in element.attrib:
                self.following.append(_join(base, element.attrib["catalog"]))
            return
        key, target = (element.get(name) for name in _ENTRIES.get(kind, ("none", "none")))
        if key is None or target is None:
            return
        key = _public(key) if kind in _PUBLIC else _normal(key)
        self.entries[kind].setdefault(key, _join(base, target))
        if kind in _PUBLIC and prefers_public:
            self.preferred[kind].setdefault(key, _join(base, target))

    def match(self, query: _Query) -> str | _Delegation:
        """Return where the entries lead, or "" (sections 7.1.2 and 7.2.2)."""
        if query.address:
            return self._direct(query.address, "uri", "rewriteURI", "uriSuffix") or _delegation(
                self.entries["delegateURI"], query.address, _Query(address=query.address)
            )
        answer: str | _Delegation = ""
        if query.system:
            answer = self._direct(query.system, "system", "rewriteSystem", "systemSuffix") or _delegation(
                self.entries["delegateSystem"], query.system, _Query(system=query.system)
            )
        if query.public and not answer:
            entries = self.preferred if query.system else self.entries
            answer = entries["public"].get(query.public) or _delegation(
                entries["delegatePublic"], query.public, _Query(public=query.public)
            )
        return answer

    def _direct(self, name: str, exact: str, rewrite: str, suffix: str) -> str:
        if name in self.entries[exact]:
            return self.entries[exact][name]
        for start in _longest_first(self.entries[rewrite], name.startswith):
            return self.entries[rewrite][start] + name[len(start) :]
        for end in _longest_first(self.entries[suffix], name.endswith):
            return self.entries[suffix][end]
        return ""


class Catalog:
    """The group's catalog with all those that it names, each read when it is first needed.

    The methods return a path in the group, or "" if no entry matches; a catalog that is not there has no entries. They
    raise Unusable for one that cannot be read, is not XML or names too many others, and for an entry that leads out of
    the group.
    """

    def __init__(self, includer: Includer, path: str = PATH) -> None:
        self._includer = includer
        self._start = path
        self._entries_left = _MOST_ENTRIES
        self._file = lru_cache(maxsize=_MOST_CATALOGS)(self._read)
        self._external = lru_cache(maxsize=4096)(self._resolve_external)
        self._uri = lru_cache(maxsize=4096)(self._resolve_uri)

    def external(self, public: str = "", system: str = "") -> str:
        """Return the document for an external identifier, of a document type or an entity (section 7.1)."""
        return self._external(public, system)

    def uri(self, address: str) -> str:
        """Return the document for a reference of another kind, such as the address of a schema (section 7.2)."""
        return self._uri(address)

    def _resolve_external(self, public: str, system: str) -> str:
        public, system = _public(public), _normal(system)
        if system.lower().startswith(_URN):  # Section 7.1.1: a public identifier in the other's place.
            public, system = public or _unwrapped(system), ""
        return self._search(_Query(public, system)) if public or system else ""

    def _resolve_uri(self, address: str) -> str:
        if address.lower().startswith(_URN):
            return self.external(public=_unwrapped(address))
        normal = _normal(address)
        return self._search(_Query(address=normal)) if normal else ""

    def _search(self, query: _Query) -> str:
        """Look into the catalogs in their order."""
        waiting = [self._start]
        visited: set[tuple[str, _Query]] = set()
        while waiting:
            path = waiting.pop()
            if (path, query) in visited:
                continue
            if len(visited) >= _MOST_CATALOGS:
                raise Unusable(f"the catalog {self._start} names more than {_MOST_CATALOGS} others")
            visited.add((path, query))
            file = self._file(path)
            if isinstance(file, Unusable):
                raise file
            answer = file.match(query)
            if isinstance(answer, _Delegation):
                waiting, query = [_inside(path, each) for each in reversed(answer.catalogs)], answer.query
            elif answer:
                return _inside(path, answer)
            else:
                waiting += [_inside(path, each) for each in reversed(file.following)]
        return ""

    def _read(self, path: str) -> _CatalogFile | Unusable:
        try:
            root = self._includer.parse(path, self._includer.read(path))
        except Absent:  # Section 8: what is not there is ignored, and the others may have what is looked for.
            return _CatalogFile()
        except Unusable as error:
            return Unusable(f"the catalog cannot be used: {error}")
        if root.tag != f"{_NAMESPACE}catalog":
            return Unusable(f"{path} is not a catalog: its root element is not the 'catalog' of OASIS XML Catalogs")
        file = _CatalogFile()
        for element, base, prefers_public in _elements(root, url(path), prefers_public=True):
            self._entries_left -= 1
            if self._entries_left < 0:
                return Unusable(f"the catalogs of this group have more than {_MOST_ENTRIES:,} entries")
            file.add(element, base, prefers_public=prefers_public)
        return file


def _elements(parent: etree._Element, base: str, *, prefers_public: bool) -> Iterator[tuple[etree._Element, str, bool]]:
    """Yield each entry with its base, and with whether public identifiers are preferred there."""
    base = _join(base, parent.get(_BASE, ""))
    prefers_public = {"public": True, "system": False}.get(parent.get("prefer", ""), prefers_public)
    for element in parent.iterchildren(f"{_NAMESPACE}*"):
        if element.tag != f"{_NAMESPACE}group":
            yield element, _join(base, element.get(_BASE, "")), prefers_public
        elif parent.tag != element.tag:  # A group has no groups.
            yield from _elements(element, base, prefers_public=prefers_public)


def _delegation(entries: dict[str, str], name: str, query: _Query) -> str | _Delegation:
    catalogs = [entries[start] for start in _longest_first(entries, name.startswith)]
    return _Delegation(catalogs, query) if catalogs else ""


def _longest_first(keys: dict[str, str], matches: Callable[[str], bool]) -> list[str]:
    return sorted((key for key in keys if matches(key)), key=len, reverse=True)


def _public(identifier: str) -> str:
    """Normalise a public identifier, which may be in a URN (section 6.2)."""
    return _unwrapped(identifier) if identifier.lower().startswith(_URN) else " ".join(identifier.split())


def _unwrapped(urn: str) -> str:
    """Return the public identifier in a URN (section 6.4)."""
    text = urn[len(_URN) :].replace("+", " ").replace(":", "//").replace(";", "::")
    return " ".join(unquote(text).split())


def _normal(address: str) -> str:
    """Normalise a system identifier or a URI (section 6.3)."""
    return _UNSAFE.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), address.strip())


def _join(base: str, reference: str) -> str:
    """Resolve a reference. In the group `..` stays, so that `inside` sees what leads out of it."""
    split = urlsplit(reference)
    if not base.startswith("group://") or split.scheme or split.netloc:
        return urljoin(base, reference)
    if split.path.startswith("/"):
        return f"group://{reference}"
    return base[: base.rindex("/") + 1] + reference if reference else base


def _inside(catalog: str, address: str) -> str:
    try:
        return inside(catalog, address)
    except Unusable as error:
        raise Unusable(f"the catalog {plain(catalog)} is of no use here: {error}") from None
