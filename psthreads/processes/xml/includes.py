"""Reads what schemas include, inside their group only.

libxml2 would load includes itself, and for RELAX NG without calling a resolver. So a resolver serves the includes of
XML Schema, and those of RELAX NG and Schematron are inserted beforehand. Everything is read through the group's folder
and parsed without trust.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from lxml import etree

from psthreads.domain.errors import DocumentNotFound, PsthreadsError
from psthreads.processes.bounded.files import Files
from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.xml import parsing as _parsing
from psthreads.processes.xml.catalogs.built_in import CONTENTS
from psthreads.processes.xml.parsing import NotWellFormed, plain
from psthreads.processes.xml.relaxng import compact

XSD: Final = "http://www.w3.org/2001/XMLSchema"
RNG: Final = "http://relaxng.org/ns/structure/1.0"
SCH: Final = "http://purl.oclc.org/dsdl/schematron"
SCH_15: Final = "http://www.ascc.net/xml/schematron"

_LARGEST: Final = 8 * 1024 * 1024  # bytes of one schema document
_MOST_PARTS: Final = 500  # documents of one schema
_BASE: Final = "{http://www.w3.org/XML/1998/namespace}base"
_DEEPEST: Final = 16  # includes within includes
_ID: Final = re.compile(rb"""[:"'\s]ID["'\s]|&#""")
_ADVICE: Final = "put a copy there, and say in /schemas/catalog.xml what it stands for"


class Absent(Unusable):
    """The group does not have what a document or a schema refers to."""


class Includer:
    """Reads the schema documents of one group, and resolves their includes.

    All methods raise Unusable if a document is missing, outside the group, too large, too deep or not well-formed.
    `locate` returns the path in the group for the path of a document and a reference in it, and `parse` the root
    element of a document with this content and this path.
    """

    def __init__(
        self,
        files: Files,
        locate: Callable[[str, str], str] | None = None,
        parse: Callable[[bytes, str], etree._Element] | None = None,
    ) -> None:
        self._files = files
        self._locate = locate or inside
        self._parse = parse or _parse

    def read(self, path: str) -> bytes:
        """Return the bytes of one schema document; raises Absent if there is none."""
        if path in CONTENTS:
            return CONTENTS[path]
        try:
            with self._files.open(path) as file:
                data = file.read(_LARGEST + 1)
        except DocumentNotFound as error:
            raise Absent(f"{path}: {error.message}") from None
        except (OSError, PsthreadsError) as error:
            reason = error.message if isinstance(error, PsthreadsError) else "It cannot be read"
            raise Unusable(f"{path}: {reason}") from None
        if len(data) > _LARGEST:
            raise Unusable(f"{path} is larger than {_LARGEST // 1024 // 1024} MB")
        return data

    def parse(self, path: str, data: bytes) -> etree._Element:
        """Return a schema document's root element; `path` is the base of its references."""
        if path.lower().endswith(".rnc"):
            data = _xml_of_compact(path, data)
        try:
            return self._parse(data, path)
        except NotWellFormed as error:
            raise Unusable(f"{path} is not well-formed: {error}") from None

    def expanded(self, path: str, data: bytes) -> bytes:
        """Return a document as it is without its document type: with entities expanded, and on the same lines."""
        root = self.parse(path, data)
        if root.getroottree().docinfo.internalDTD is None:
            return data
        return b"\n" * ((root.sourceline or 1) - 1) + etree.tostring(root)

    def parse_again(self, path: str, root: etree._Element) -> etree._Element:
        """Parse a schema with its includes inserted, so that a parser's limits apply to the whole."""
        try:
            return _parsing.parse(etree.tostring(root), _parsing.parser(), url(path))
        except NotWellFormed as error:
            raise Unusable(f"with its includes it cannot be parsed: {error.problem.text}") from None

    def xsd(
        self, path: str, data: bytes, on_part: Callable[[bytes], object] = lambda _: None
    ) -> tuple[etree.XMLSchema, bool]:
        """Compile an XML Schema with its includes, imports and redefines; also tell whether it may use xs:ID.

        `on_part` is called with each document that it includes.
        """
        data = self.expanded(path, data)
        parts_with_ids = int(_may_have_ids(data))

        def serve(address: str) -> bytes:
            nonlocal parts_with_ids
            target = self._locate(path, address)
            part = self.expanded(target, self.read(target))
            parts_with_ids += _may_have_ids(part)
            on_part(part)
            return part

        server = _Server(serve)
        root = _parsing.parse(data, _parsing.parser(server), url(path))
        try:
            schema = etree.XMLSchema(root)
        except etree.XMLSchemaParseError as error:
            _parsing.refuse_shortage(error.error_log)
            raise Unusable(server.refused or plain(str(error))) from None
        if server.refused:
            raise Unusable(server.refused)
        return schema, bool(parts_with_ids)

    def rng(self, path: str, root: etree._Element) -> etree._Element:
        """Insert the includes of a RELAX NG schema, so that nothing is left to load."""
        return self.parse_again(path, self._rng(path, root, (), []))

    def sch(self, path: str, root: etree._Element) -> etree._Element:
        """Insert the includes of a Schematron schema, so that nothing is left to load; version 1.5 becomes ISO's."""
        self._sch(path, root, (), [])
        return self.parse_again(path, root)

    def _target(self, path: str, element: etree._Element, ancestors: tuple[str, ...], parts: list[str]) -> str:
        """Return the path that an element includes, within the limits; `parts` collects the paths of the schema."""
        target = self._locate(_base(path, element), element.get("href", ""))
        parts.append(target)
        if target in ancestors or len(ancestors) > _DEEPEST or len(parts) > _MOST_PARTS:
            raise Unusable(f"{path} includes {target} in a circle, too deeply or too often")
        return target

    def _rng(self, path: str, root: etree._Element, ancestors: tuple[str, ...], parts: list[str]) -> etree._Element:
        ancestors = (*ancestors, path)
        for element in list(root.iter(f"{{{RNG}}}externalRef", f"{{{RNG}}}include")):
            target = self._target(path, element, ancestors, parts)
            part = self._rng(target, self.parse(target, self.read(target)), ancestors, parts)
            # A part does not inherit this attribute; an empty one keeps it from doing so here.
            part.set("datatypeLibrary", part.get("datatypeLibrary", ""))
            if element.tag == f"{{{RNG}}}include":
                _include(element, part)
                continue
            if "ns" in element.attrib:
                part.set("ns", part.get("ns", element.attrib["ns"]))
            parent = element.getparent()
            if parent is None:
                root = part
            else:
                parent.replace(element, part)
        return root

    def _sch(self, path: str, root: etree._Element, ancestors: tuple[str, ...], parts: list[str]) -> None:
        ancestors = (*ancestors, path)
        for element in root.iter(f"{{{SCH_15}}}*"):
            element.tag = f"{{{SCH}}}{etree.QName(element).localname}"
        for element in list(root.iter(f"{{{SCH}}}include", f"{{{SCH}}}extends")):
            parent = element.getparent()
            if "href" not in element.attrib or parent is None:
                continue  # `extends rule` refers to the same schema.
            target = self._target(path, element, ancestors, parts)
            part = self.parse(target, self.read(target))
            self._sch(target, part, ancestors, parts)
            fragment = urlsplit(element.attrib["href"]).fragment
            node = next((each for each in part.iter("*") if each.get("id") == fragment), None) if fragment else part
            if node is None or etree.QName(node).namespace != SCH or node.tag == f"{{{SCH}}}schema":
                raise Unusable(f"{path} includes '{plain(element.attrib['href'])}', which is not a part of a schema")
            index = parent.index(element)
            parent[index : index + 1] = [node] if element.tag == f"{{{SCH}}}include" else list(node)


class _Server(etree.Resolver):
    """Serves the includes of an XML Schema. `refused` is the first reason why a document was not served."""

    def __init__(self, serve: Callable[[str], bytes]) -> None:
        self.refused = ""
        self._serve = serve
        self._left = _MOST_PARTS

    def resolve(self, system_url: str | None, _public_id: str | None, context: Any) -> Any:
        """Do as Resolver. Never returns None: libxml2 would then load the address itself."""
        try:
            return self.resolve_string(self._next(system_url or ""), context, base_url=system_url)
        except Exception as error:
            # lxml loses the exception.
            self.refused = self.refused or str(error)
            raise

    def _next(self, address: str) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise Unusable("it has too many includes")
        return self._serve(address)


def _may_have_ids(schema: bytes) -> bool:
    # In an encoding such as UTF-16, and in a reference to a character, the name cannot be seen.
    return _ID.search(schema) is not None or b"<" not in schema[:100] or b"\0" in schema


def _xml_of_compact(path: str, data: bytes) -> bytes:
    """Return a RELAX NG schema in compact syntax as XML; raises Unusable with its path."""
    try:
        return compact.xml_of(data)
    except Unusable as error:
        raise Unusable(f"{path}, {error}") from None


def _parse(data: bytes, path: str) -> etree._Element:
    return _parsing.parse(data, _parsing.parser(), url(path))


def url(path: str) -> str:
    """Return a path in the group as a URL, for libxml2 to resolve references."""
    return f"group://{quote(path)}"


def inside(base: str, href: str) -> str:
    """Return the path in the group of a reference in the document at `base`; raises Absent if there is none."""
    try:
        split = urlsplit(href)
    except ValueError:
        raise Absent(f"'{plain(href)}' is not a reference") from None
    if split.scheme not in {"", "group"} or split.netloc or not split.path:
        raise Absent(f"it refers to '{plain(href)}', which is not in this group: {_ADVICE}")
    path = unquote(split.path)
    names = [] if path.startswith("/") else base.split("/")[:-1]
    for name in path.split("/"):
        if name == "..":
            if not any(names):
                raise Absent(f"it refers to '{plain(href)}', which leads out of the group's folder")
            names.pop()
        elif name not in {"", "."}:
            names.append(name)
    return "/" + "/".join(name for name in names if name)


def schema_of(parts: tuple[tuple[str, str], ...]) -> bytes:
    """Return an XML Schema that imports all parts, which are pairs of namespace and path."""
    root = etree.Element(f"{{{XSD}}}schema", targetNamespace="urn:psthreads:gathered")
    for namespace, path in parts:
        part = etree.SubElement(root, f"{{{XSD}}}import", schemaLocation=url(path))
        if namespace:
            part.set("namespace", namespace)
    return etree.tostring(root)


def _base(path: str, element: etree._Element) -> str:
    """Return what references of an element in a document are relative to: the document, or as xml:base says."""
    for each in (*reversed(list(element.iterancestors())), element):
        if (base := each.get(_BASE)) is not None:
            path = inside(path, base) + ("/" if base.endswith("/") else "")
    return path


def _components(element: etree._Element) -> Iterator[etree._Element]:
    for child in element:
        if child.tag == f"{{{RNG}}}div":
            yield from _components(child)
        elif child.tag in {f"{{{RNG}}}start", f"{{{RNG}}}define"}:
            yield child


def _include(element: etree._Element, grammar: etree._Element) -> None:
    """Replace a RELAX NG include by the grammar, without the components that the include overrides."""
    if grammar.tag != f"{{{RNG}}}grammar":
        raise Unusable(f"it includes '{plain(element.get('href', ''))}', which is not a grammar")
    overrides = {(component.tag, component.get("name")) for component in _components(element)}
    for _, name in overrides - {(component.tag, component.get("name")) for component in _components(grammar)}:
        what = f"the definition of '{plain(str(name))}'" if name else "the start"
        raise Unusable(f"it overrides {what}, which '{plain(element.get('href', ''))}' does not have")
    for component in list(_components(grammar)):
        parent = component.getparent()
        if (component.tag, component.get("name")) in overrides and parent is not None:
            parent.remove(component)
    grammar.tag = element.tag = f"{{{RNG}}}div"
    del element.attrib["href"]
    element.insert(0, grammar)
