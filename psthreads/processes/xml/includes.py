"""What schemas include, read inside their group only.

libxml2 would load what a schema includes by itself, and for RELAX NG it asks nobody. So includes of
XML Schema are served by a resolver, those of RELAX NG and Schematron are put in place beforehand,
and everything that is read is read through the group's folder and parsed without trust.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from lxml import etree

from psthreads.documents.layout import GroupFolder
from psthreads.domain.errors import PsthreadsError
from psthreads.processes.xml import parsing as _parsing
from psthreads.processes.xml.parsing import NotWellFormed, plain

XSD: Final = "http://www.w3.org/2001/XMLSchema"
RNG: Final = "http://relaxng.org/ns/structure/1.0"
SCH: Final = "http://purl.oclc.org/dsdl/schematron"

_LARGEST: Final = 8 * 1024 * 1024  # bytes of one schema document
_MOST_PARTS: Final = 500  # documents that one schema is made of
_DEEPEST: Final = 16  # includes within includes


class Unusable(Exception):
    """A schema cannot be used; the text says which and why, as the end of a sentence."""


class Includer:
    """Reads the schema documents of one group and puts together what they are made of.

    All methods raise Unusable when something is missing, outside the group, too large, too deep or
    not well-formed.
    """

    def __init__(self, folder: GroupFolder) -> None:
        self._folder = folder

    def read(self, path: str) -> bytes:
        """The bytes of one schema document."""
        try:
            with self._folder.open(path) as file:
                data = file.read(_LARGEST + 1)
        except (OSError, PsthreadsError) as error:
            reason = error.message if isinstance(error, PsthreadsError) else "It cannot be read"
            raise Unusable(f"{path}: {reason}") from None
        if len(data) > _LARGEST:
            raise Unusable(f"{path} is larger than {_LARGEST // 1024 // 1024} MB")
        return data

    def parsed(self, path: str, data: bytes) -> etree._Element:
        """Its root element; the path is what its references start from."""
        try:
            return _parsing.parse(data, _parsing.parser(), url(path))
        except NotWellFormed as error:
            raise Unusable(f"{path} is not well-formed: {error}") from None

    def whole(self, path: str, root: etree._Element) -> etree._Element:
        """The schema parsed once more, now that nothing is missing, within the limits of a parser."""
        try:
            return _parsing.parse(etree.tostring(root), _parsing.parser(), url(path))
        except NotWellFormed as error:
            raise Unusable(f"with all that it includes it cannot be parsed: {error.problem.text}") from None

    def xsd(self, path: str, data: bytes) -> etree.XMLSchema:
        """The compiled XML Schema with all that it includes, imports and redefines."""

        def serve(address: str) -> bytes:
            included = inside(path, address)
            found = self.read(included)
            self.parsed(included, found)
            return found

        server = _Server(serve)
        root = _parsing.parse(data, _parsing.parser(server), url(path))
        try:
            schema = etree.XMLSchema(root)
        except etree.XMLSchemaParseError as error:
            raise Unusable(server.refused or plain(str(error))) from None
        if server.refused:
            raise Unusable(server.refused)
        return schema

    def rng(self, path: str, root: etree._Element) -> etree._Element:
        """The RELAX NG schema with what it refers to in its place, and nothing left to load."""
        return self.whole(path, self._rng(path, root, (), []))

    def sch(self, path: str, root: etree._Element) -> etree._Element:
        """The Schematron schema with what it includes in its place, and nothing left to load."""
        self._sch(path, root, (), [])
        return self.whole(path, root)

    # Inside.

    def _part(self, path: str, element: etree._Element, way: tuple[str, ...], parts: list[str]) -> str:
        """The path of what an element includes, if it may be included there."""
        target = inside(path, element.get("href", ""))
        parts.append(target)
        if target in way or len(way) > _DEEPEST or len(parts) > _MOST_PARTS:
            raise Unusable(f"{path} includes {target} in a circle, too deeply or too often")
        return target

    def _rng(self, path: str, root: etree._Element, way: tuple[str, ...], parts: list[str]) -> etree._Element:
        way = (*way, path)
        for element in list(root.iter(f"{{{RNG}}}externalRef", f"{{{RNG}}}include")):
            target = self._part(path, element, way, parts)
            part = self._rng(target, self.parsed(target, self.read(target)), way, parts)
            # What includes does not hand this attribute down, and an empty one says so.
            part.set("datatypeLibrary", part.get("datatypeLibrary", ""))
            if element.tag == f"{{{RNG}}}include":
                _include(element, part)
                continue
            if "ns" in element.attrib:
                part.set("ns", part.get("ns", element.attrib["ns"]))
            above = element.getparent()
            if above is None:
                root = part
            else:
                above.replace(element, part)
        return root

    def _sch(self, path: str, root: etree._Element, way: tuple[str, ...], parts: list[str]) -> None:
        way = (*way, path)
        for element in list(root.iter(f"{{{SCH}}}include", f"{{{SCH}}}extends")):
            above = element.getparent()
            if "href" not in element.attrib or above is None:
                continue  # `extends rule` stays inside its schema.
            target = self._part(path, element, way, parts)
            part = self.parsed(target, self.read(target))
            self._sch(target, part, way, parts)
            fragment = urlsplit(element.attrib["href"]).fragment
            chosen = next((each for each in part.iter("*") if each.get("id") == fragment), None) if fragment else part
            if chosen is None or etree.QName(chosen).namespace != SCH or chosen.tag == f"{{{SCH}}}schema":
                raise Unusable(f"{path} includes '{plain(element.attrib['href'])}', which is no part of a schema")
            place = above.index(element)
            above[place : place + 1] = [chosen] if element.tag == f"{{{SCH}}}include" else list(chosen)


class _Server(etree.Resolver):
    """Serves what an XML Schema includes. `refused` is why something was not served, if anything was not."""

    def __init__(self, serve: Callable[[str], bytes]) -> None:
        self.refused = ""
        self._serve = serve
        self._left = _MOST_PARTS

    def resolve(self, system_url: str | None, _public_id: str | None, context: Any) -> Any:
        """As Resolver says. It never returns None, for libxml2 would then look for itself."""
        try:
            return self.resolve_string(self._next(system_url or ""), context, base_url=system_url)
        except (PsthreadsError, Unusable) as error:
            # lxml loses what is raised here.
            self.refused = self.refused or str(error)
            raise

    def _next(self, address: str) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise Unusable("it includes too often")
        return self._serve(address)


def url(path: str) -> str:
    """A path in the group in the form that libxml2 resolves references against."""
    return f"group://{quote(path)}"


def inside(base: str, href: str) -> str:
    """The path in the group that a reference in the document at `base` stands for; else Unusable."""
    try:
        split = urlsplit(href)
    except ValueError:
        raise Unusable(f"'{plain(href)}' is no reference") from None
    if split.scheme not in {"", "group"} or split.netloc or not split.path:
        raise Unusable(f"it refers to '{plain(href)}', which is not in this group: put a copy there and name that")
    path = unquote(split.path)
    names = [] if path.startswith("/") else base.split("/")[:-1]
    for name in path.split("/"):
        if name == "..":
            if not any(names):
                raise Unusable(f"it refers to '{plain(href)}', which leads out of the group's folder")
            names.pop()
        elif name not in {"", "."}:
            names.append(name)
    return "/" + "/".join(name for name in names if name)


def gathered(parts: tuple[tuple[str, str], ...]) -> bytes:
    """An XML Schema that imports each of the parts, for a document that names several."""
    root = etree.Element(f"{{{XSD}}}schema", targetNamespace="urn:psthreads:gathered")
    for namespace, path in parts:
        part = etree.SubElement(root, f"{{{XSD}}}import", schemaLocation=url(path))
        if namespace:
            part.set("namespace", namespace)
    return etree.tostring(root)


def _components(element: etree._Element) -> Iterator[etree._Element]:
    for child in element:
        if child.tag == f"{{{RNG}}}div":
            yield from _components(child)
        elif child.tag in {f"{{{RNG}}}start", f"{{{RNG}}}define"}:
            yield child


def _include(element: etree._Element, grammar: etree._Element) -> None:
    """Turn a RELAX NG include into what it includes, without what it overrides."""
    if grammar.tag != f"{{{RNG}}}grammar":
        raise Unusable(f"it includes '{plain(element.get('href', ''))}', which is no grammar")
    overridden = {(each.tag, each.get("name")) for each in _components(element)}
    for each in list(_components(grammar)):
        above = each.getparent()
        if (each.tag, each.get("name")) in overridden and above is not None:
            above.remove(each)
    grammar.tag = element.tag = f"{{{RNG}}}div"
    del element.attrib["href"]
    element.insert(0, grammar)
