"""Puts a stylesheet of a group together as one text, with all that it imports, for a Saxon that may read nothing.

A module that is imported or included becomes a `data:` address. Functions that read documents become those of
`reading.py`, one for each place that addresses are relative to.
"""

from __future__ import annotations

import base64
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from lxml import etree

from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.xml import parsing as _parsing
from psthreads.processes.xml.includes import Absent, Includer, url
from psthreads.processes.xml.parsing import NotWellFormed
from psthreads.processes.xml.saxon import expressions, reading

XSLT: Final = "http://www.w3.org/1999/XSL/Transform"
_DATA: Final = "data:application/xslt+xml;base64,"

_XSL: Final = f"{{{XSLT}}}"
_XML_BASE: Final = "{http://www.w3.org/XML/1998/namespace}base"
_ROOTS: Final = frozenset({f"{_XSL}stylesheet", f"{_XSL}transform", f"{_XSL}package"})
_LOADING: Final = frozenset({f"{_XSL}import", f"{_XSL}include"})
# Attributes of XSLT that are expressions or patterns; the others may have expressions in braces.
_EXPRESSIONS: Final = frozenset(
    {"select", "test", "use", "group-by", "group-adjacent", "group-starting-with", "group-ending-with", "initial-value"}
    | {"match", "from", "count", "value", "xpath", "use-when", "key", "with-params", "for-each-item", "for-each-source"}
)
_MOST_PARTS: Final = 500
_MOST_BYTES: Final = 32 * 1024 * 1024
_DEEPEST: Final = 16
_MOST_PLACES: Final = 500  # of different bases

Locate = Callable[[str, str], str]
"""Returns the path in the group for the path of a document and a reference in it."""


@dataclass(slots=True)
class Written:
    """What a stylesheet became. `formats` are the properties of its named outputs, "" for the one without a name.

    `results` has the attributes of each `xsl:result-document`, whose addresses end in `#` and its index.
    """

    text: str = ""
    formats: dict[str, dict[str, str]] = field(default_factory=dict)
    results: list[dict[str, str]] = field(default_factory=list)
    bases: list[str] = field(default_factory=list)
    modules: dict[str, _Module] = field(default_factory=dict)

    def place(self, address: str, line: int) -> str:
        """Return the module and line in the group for a place that Saxon names."""
        # Saxon shows an address from its last slash.
        addresses = (each for each in self.modules if each.startswith(_DATA) and each.endswith(address))
        module = self.modules[next(addresses, "")]
        number = module.line(line)
        return f"{module.path}, line {number}" if number else module.path


class _Module:
    """A module as it was written for Saxon, whose lines are not those of the group's document."""

    def __init__(self, path: str, root: etree._Element, text: bytes) -> None:
        self.path = path
        self._text = text
        self._lines = [element.sourceline or 0 for element in root.iter("*")]

    def line(self, written: int) -> int:
        """Return the line in the group's document, or 0 for what is not from there."""
        root = _parsing.parse_as_it_is(self._text, _parsing.parser())
        starts = [element.sourceline or 1 for element in root.iter("*")]
        index = max(0, min(bisect_right(starts, written), len(self._lines)) - 1)
        return self._lines[index] and self._lines[index] + max(0, written - starts[index])


class Writer:
    """Writes one stylesheet of a group; raises Unusable where a module cannot be had or is not XML."""

    def __init__(self, includer: Includer, locate: Locate) -> None:
        self.written = Written()
        self._includer = includer
        self._locate = locate
        self._addresses: dict[str, str] = {}
        self._parts = 0
        self._bytes = 0

    def write(self, path: str, root: etree._Element) -> Written:
        """Write the stylesheet with this root element, which is changed."""
        if root.tag not in _ROOTS:
            root = _whole(root)
        self._rewrite(path, root, ())
        # At the end, where they change no line.
        for element in reading.declarations(self.written.bases):
            root.append(element)
        text = self._module("", path, root)
        self.written.text = text.decode()
        return self.written

    def _address(self, path: str, ancestors: tuple[str, ...]) -> str:
        """Return the address of a module with all that it imports."""
        if path in ancestors or len(ancestors) > _DEEPEST:
            raise Unusable(f"{path} includes itself, or is too deep in what others include")
        if path not in self._addresses:
            data = self._includer.expanded(path, self._includer.read(path))
            try:
                root = _parsing.parse(data, _parsing.parser(), url(path))
            except NotWellFormed as error:
                raise Unusable(f"{path} is not well-formed: {error}") from None
            self._rewrite(path, root, ancestors)
            # Its end is its own, and has no slash in base 64.
            text = self._module(path, path, root) + b"<!-- %d -->" % len(self._addresses)
            address = _DATA + base64.b64encode(text).decode()
            self._addresses[path] = address
            self.written.modules[address] = self.written.modules[path]
        self._parts += 1
        self._bytes += len(self._addresses[path])
        if self._parts > _MOST_PARTS or self._bytes > _MOST_BYTES:
            raise Unusable(f"its modules are more than {_MOST_PARTS} or {_MOST_BYTES // 1024 // 1024} MB")
        return self._addresses[path]

    def _module(self, key: str, path: str, root: etree._Element) -> bytes:
        text = etree.tostring(root, encoding="utf-8")
        self.written.modules[key] = _Module(path, root, text)
        return text

    def _rewrite(self, path: str, root: etree._Element, ancestors: tuple[str, ...]) -> None:
        root.set(_XML_BASE, root.base or url(path))
        may_expand = bool(root.xpath("//@expand-text | //@xsl:expand-text", namespaces={"xsl": XSLT}))
        self._note_formats(root)
        for element in root.iter("*"):
            if element.tag in _LOADING:
                try:
                    target = self._locate(path, element.get("href", ""))
                    element.set("href", self._address(target, (*ancestors, path)))
                except Absent:
                    if "use-when" not in element.attrib:  # Otherwise Saxon says so, if it is used.
                        raise
            self._rewrite_element(element, expands=may_expand and _expands_text(element))

    def _rewrite_element(self, element: etree._Element, *, expands: bool) -> None:
        is_xslt = str(element.tag).startswith(_XSL)
        suffix = partial(self._suffix, element)
        for name, value in list(element.attrib.items()):
            if (is_xslt and name in _EXPRESSIONS) or name == f"{_XSL}use-when":
                new = expressions.rewritten(str(value), suffix, element.nsmap)
            else:
                new = expressions.rewritten_template(str(value), suffix, element.nsmap)
            if new != value:
                element.set(name, new)
        if expands:
            element.text = element.text and expressions.rewritten_template(element.text, suffix, element.nsmap)
            for child in element:
                child.tail = child.tail and expressions.rewritten_template(child.tail, suffix, element.nsmap)
        if element.tag == f"{_XSL}result-document" and "href" in element.attrib:
            element.set("href", f"{element.attrib['href']}#{len(self.written.results)}")
            self.written.results.append(_static(element))

    def _suffix(self, element: etree._Element) -> str:
        bases = self.written.bases
        base = element.base or ""
        if base not in bases:
            if len(bases) >= _MOST_PLACES:
                raise Unusable(f"it reads documents from more than {_MOST_PLACES} bases")
            bases.append(base)
        return f".{bases.index(base)}"

    def _note_formats(self, root: etree._Element) -> None:
        for element in root.iterchildren(f"{_XSL}output"):
            properties = _static(element)
            name = properties.pop("name", "")
            # What is imported comes later here, and has less precedence.
            self.written.formats[name] = properties | self.written.formats.get(name, {})


def needs_saxon(root: etree._Element) -> bool:
    """Tell whether a stylesheet, or a part of it, is of a later version than 1.1."""
    for element in root.iter("*"):
        is_xslt = str(element.tag).startswith(_XSL)
        version = element.get("version" if is_xslt else f"{_XSL}version", "")
        if version and element.tag != f"{_XSL}output" and _number(version) >= 2:  # noqa: PLR2004 (XSLT's next version)
            return True
    return False


def _number(version: str) -> float:
    try:
        return float(version)
    except ValueError:
        return 0.0


def _whole(root: etree._Element) -> etree._Element:
    """Return a simplified stylesheet as the one that it stands for (XSLT 3.0, section 3.7)."""
    version = root.get(f"{_XSL}version")
    if version is None:
        raise Unusable("it is not a stylesheet: its root element is neither xsl:stylesheet nor has an xsl:version")
    whole = etree.Element(f"{_XSL}stylesheet", {"version": version}, {"xsl": XSLT})
    etree.SubElement(whole, f"{_XSL}template", match="/").append(root)
    return whole


def _expands_text(element: etree._Element) -> bool:
    name = "expand-text" if str(element.tag).startswith(_XSL) else f"{_XSL}expand-text"
    value = element.get(name)
    if value is None:
        parent = element.getparent()
        return parent is not None and _expands_text(parent)
    return value.strip() in {"yes", "true", "1"}


def _static(element: etree._Element) -> dict[str, str]:
    attributes: Mapping[str, str] = {str(name): str(value) for name, value in element.attrib.items()}
    return {name: value.strip() for name, value in attributes.items() if "{" not in value}
