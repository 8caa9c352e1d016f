"""Includes documents in documents: XInclude 1.1, within the group.

libxml2 would read the texts that are to be included itself, from any file, so it is not asked. Of XPointer, the id of
an element and the scheme `element()` are known.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Final

from lxml import etree

from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.xml.catalogs.locating import Locator
from psthreads.processes.xml.includes import Absent, Includer
from psthreads.processes.xml.parsing import INCLUDE, NotWellFormed, plain
from psthreads.processes.xml.reading import Reader, Reading

_FALLBACK: Final = "{http://www.w3.org/2001/XInclude}fallback"
_XML: Final = "{http://www.w3.org/XML/1998/namespace}"
_DEEPEST: Final = 16
_MOST_PARTS: Final = 1_000  # inclusions in one document
_MOST_BYTES: Final = 32 * 1024 * 1024  # of all of them together


class Inclusions:
    """Expands the inclusions of one group's documents."""

    def __init__(self, reader: Reader, locator: Locator, includer: Includer) -> None:
        self._reader = reader
        self._locator = locator
        self._includer = includer
        self._parts = 0
        self._bytes = 0

    def expanded(self, reading: Reading, path: str) -> Reading:
        """Return the document with what it includes.

        Raises Unusable for what is neither there nor has a fallback, for a circle, and beyond the limits.
        """
        if next(reading.root.iter(INCLUDE), None) is None:
            return reading
        self._parts = self._bytes = 0
        return replace(reading, root=self._expand(deepcopy(reading.root.getroottree()).getroot(), path, ()))

    def _expand(self, root: etree._Element, path: str, ancestors: tuple[tuple[str, str], ...]) -> etree._Element:
        while (include := next(root.iter(INCLUDE), None)) is not None:
            try:
                content = self._included(include, path, ancestors)
            except Absent as error:
                fallback = include.find(_FALLBACK)
                if fallback is None:
                    raise Unusable(f"{path} includes what cannot be had: {error}") from None
                content = fallback
            if include is root:
                elements = list(content.iterchildren("*")) if content.tag == _FALLBACK else [content]
                if len(elements) != 1 or elements[0].tag == INCLUDE:
                    raise Unusable(f"{path} includes something other than one element as its root")
                root = elements[0]
                continue
            _replace(include, content)
        return root

    def _included(self, include: etree._Element, path: str, ancestors: tuple[tuple[str, str], ...]) -> etree._Element:
        """Return an included element with what it includes, or a text in an element `fallback`."""
        href, pointer = include.get("href", ""), include.get("xpointer", "")
        target = self._locator.reference(path, href) if href else path
        data = self._includer.read(target)
        self._parts += 1
        self._bytes += len(data)
        if self._parts > _MOST_PARTS or self._bytes > _MOST_BYTES:
            raise Unusable(f"its inclusions are more than {_MOST_PARTS:,} or {_MOST_BYTES // 1024 // 1024} MB")
        if include.get("parse", "xml") == "text":
            return _text(data, include.get("encoding") or "utf-8", target)
        if (target, pointer) in ancestors or len(ancestors) >= _DEEPEST:
            raise Unusable(f"{path} includes {target} in a circle or too deeply")
        try:
            root = self._reader.read(data, target).root
        except NotWellFormed as error:
            raise Unusable(f"it includes {target}, which is not well-formed: {error}") from None
        root = self._expand(_pointed(root, pointer, target), target, (*ancestors, (target, pointer)))
        if target.rpartition("/")[0] != path.rpartition("/")[0] and f"{_XML}base" not in root.attrib:
            root.set(f"{_XML}base", href)
        return root


def _text(data: bytes, encoding: str, target: str) -> etree._Element:
    holder = etree.Element(_FALLBACK)
    try:
        holder.text = data.decode(encoding).replace("\r\n", "\n").removeprefix("\ufeff")
    except (LookupError, ValueError):
        raise Unusable(f"{target} is not a text in {plain(encoding)} that XML can have") from None
    return holder


def _pointed(root: etree._Element, pointer: str, target: str) -> etree._Element:
    """Return a copy of the element that a pointer means, without a pointer of the root element."""
    scheme, _, rest = pointer.partition("(")
    name, *steps = (rest.removesuffix(")") if scheme == "element" else pointer).split("/")
    if "(" in pointer and scheme != "element":
        raise Unusable(f"it includes '{plain(pointer)}': only ids and the scheme element() are known")
    element: etree._Element | None = root
    if name:
        ids = root.xpath("id($name)", name=name)
        element = next((each for each in root.iter("*") if each.get(f"{_XML}id") == name), ids[0] if ids else None)
    elif steps:
        element = root if steps.pop(0) == "1" else None
    for step in steps:
        children = [] if element is None else list(element.iterchildren("*"))
        element = children[int(step) - 1] if step.isdigit() and 0 < int(step) <= len(children) else None
    if element is None:
        raise Absent(f"{target} has no element '{plain(pointer)}'")
    copy = deepcopy(element)
    copy.tail = None
    return copy


def _replace(include: etree._Element, content: etree._Element) -> None:
    """Put an element, or what is in a fallback, in the place of an inclusion."""
    parent = include.getparent()
    if parent is None:
        return
    nodes = list(content) if content.tag == _FALLBACK else [content]
    text = (content.text or "") if content.tag == _FALLBACK else ""
    tail, before, index = include.tail or "", include.getprevious(), parent.index(include)
    include.tail = None
    parent[index : index + 1] = nodes
    if before is not None:
        before.tail = (before.tail or "") + text + ("" if nodes else tail)
    else:
        parent.text = (parent.text or "") + text + ("" if nodes else tail)
    if nodes:
        nodes[-1].tail = (nodes[-1].tail or "") + tail
