"""Finds the elements that are to blame where RELAX NG says no.

libxml2 tries one alternative after the other, and its messages are mostly about elements far above the mistake. So the
schema is compiled a second time, for every element that it describes as the root. An element that is not valid for
itself, but whose children are, is to blame; and what makes it valid when it is left out is what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Final

from lxml import etree

from psthreads.processes.xml.findings import Finding, shown
from psthreads.processes.xml.includes import RNG
from psthreads.processes.xml.parsing import plain

_RNG: Final = f"{{{RNG}}}"
_XML: Final = "http://www.w3.org/XML/1998/namespace"
# libxml2's names of the messages that say what is wrong with an element.
_TELLING: Final = tuple(
    f"RELAXNG_ERR_{name}"
    for name in ("TYPEVAL", "INVALIDATTR", "VALUE", "ATTRVALID", "ELEMWRONG", "NOELEM", "ELEMNAME", "TEXTWRONG")
)
_MOST_BLAMED: Final = 20
_MOST_TRIES: Final = 4_000  # validations of a part of one document
_MOST_ELEMENTS: Final = 400_000  # that are validated for one document, again and again
_MOST_CHILDREN: Final = 500  # that are left out one by one


class Blame:
    """Blames elements by one RELAX NG schema, with its includes inserted."""

    def __init__(self, schema: etree._Element) -> None:
        self._any, self._names = _any_element(schema)
        self._tries = 0
        self._elements = 0

    def findings(self, root: etree._Element) -> list[Finding]:
        """Return what is wrong, in the order of the document; empty if that cannot be told, or takes too long."""
        self._tries, self._elements = _MOST_TRIES, _MOST_ELEMENTS
        findings: list[Finding] = []
        try:
            for element in self._to_blame(root):
                findings.append(self._finding(element))
                if len(findings) >= _MOST_BLAMED:
                    break
        except _TooLong:
            pass
        return findings

    def _is_valid(self, element: etree._Element) -> bool:
        self._tries -= 1
        self._elements -= sum(1 for _ in element.iter())
        if self._any is None or self._tries < 0 or self._elements < 0:
            raise _TooLong
        return self._any.validate(element)

    def _to_blame(self, element: etree._Element) -> Iterator[etree._Element]:
        """Yield the elements that are not valid although their children are; the first is known not to be valid."""
        is_to_blame = True
        for child in element.iterchildren("*"):
            if not self._is_valid(child):
                is_to_blame = False
                yield from self._to_blame(child)
        if is_to_blame:
            yield element

    def _finding(self, element: etree._Element) -> Finding:
        """Return what makes the element valid when it is left out."""
        name = shown(element)
        if self._names and element.tag not in self._names:
            return Finding(element, f"The schema has no element '{name}'")
        for key, value in element.attrib.items():
            copy = deepcopy(element)
            del copy.attrib[key]
            if self._is_valid(copy):
                attribute = etree.QName(key).localname
                return Finding(element, f"The attribute {attribute}='{value}' is not allowed in the element '{name}'")
        children = list(element.iterchildren("*"))
        for index, child in enumerate(children[:_MOST_CHILDREN]):
            copy = deepcopy(element)
            _leave_out(list(copy.iterchildren("*"))[index])
            if self._is_valid(copy):
                return Finding(child, f"The element '{shown(child)}' is not allowed here in the element '{name}'")
        copy = deepcopy(element)
        copy.text = None
        for node in copy:
            node.tail = None
        if self._is_valid(copy):
            return Finding(element, f"The element '{name}' may not contain this text")
        return Finding(element, f"The element '{name}' does not have what the schema requires{self._reason(element)}")

    def _reason(self, element: etree._Element) -> str:
        """Return what libxml2 says of an element for itself, the most telling first."""
        if self._any is None or self._is_valid(element):
            return ""
        texts = {
            entry.type_name: entry.message for entry in self._any.error_log if "element , got" not in entry.message
        }
        if texts.get("RELAXNG_ERR_ELEMNAME", "").endswith(f"got {etree.QName(element).localname}"):
            del texts["RELAXNG_ERR_ELEMNAME"]  # It is about another element that this one could have been.
        names = ", ".join(sorted(etree.QName(key).localname for key in element.attrib))
        default = f" among its attributes ({plain(names)}) or in its content" if names else ""
        return next((f" ({plain(texts[kind])})" for kind in _TELLING if kind in texts), default)


class _TooLong(Exception):
    """The limits of one document are reached, or the schema cannot be used for parts of one."""


def _leave_out(element: etree._Element) -> None:
    parent = element.getparent()
    if parent is None:
        return
    before, tail = element.getprevious(), element.tail or ""
    if before is not None:
        before.tail = (before.tail or "") + tail
    else:
        parent.text = (parent.text or "") + tail
    parent.remove(element)


def _any_element(schema: etree._Element) -> tuple[etree.RelaxNG | None, set[str]]:
    """Compile the schema with every element that it describes as a start, or return None where that is not possible.

    Also return the names of these elements, or none if some have any name.
    """
    root = deepcopy(schema)
    if root.tag != f"{_RNG}grammar":
        grammar = etree.Element(f"{_RNG}grammar")
        etree.SubElement(grammar, f"{_RNG}start").append(root)
        root = grammar
    if sum(1 for _ in root.iter(f"{_RNG}grammar", f"{_RNG}parentRef")) > 1:
        return None, set()
    _free_of_context(root)
    start = etree.Element(f"{_RNG}start")
    choice = etree.SubElement(start, f"{_RNG}choice")
    names: list[str] = []
    for number, element in enumerate(list(root.iter(f"{_RNG}element"))):
        names += _names_of(element)
        reference = etree.SubElement(choice, f"{_RNG}ref", name=f"psthreads-{number}")
        parent = element.getparent()
        if parent is not None:
            parent.replace(element, deepcopy(reference))
        etree.SubElement(root, f"{_RNG}define", name=f"psthreads-{number}").append(element)
    for old in list(root.iter(f"{_RNG}start")):
        parent = old.getparent()
        if parent is not None:
            parent.remove(old)
    root.append(start)
    try:
        compiled = etree.RelaxNG(etree.fromstring(etree.tostring(root)))
    except etree.LxmlError:
        compiled = None
    return compiled, set() if "" in names else set(names)


def _names_of(element: etree._Element) -> Iterator[str]:
    """Yield the names that a pattern of an element describes, and "" for those that cannot be told."""
    name = element.get("name")
    if name is not None:
        yield f"{{{element.get('ns')}}}{name.strip()}" if element.get("ns") else name.strip()
        return
    names = element[0] if len(element) else element
    for each in names.iter(f"{_RNG}*"):
        if each.tag == f"{_RNG}name":
            local = (each.text or "").strip()
            yield f"{{{each.get('ns')}}}{local}" if each.get("ns") else local
        elif each.tag != f"{_RNG}choice":
            yield ""


def _free_of_context(root: etree._Element) -> None:
    """Write the namespaces and datatype libraries of patterns where they count, so that they can be moved."""
    for pattern in root.iter(f"{_RNG}element", f"{_RNG}attribute", f"{_RNG}name", f"{_RNG}nsName"):
        is_name = pattern.tag == f"{_RNG}name"
        text = (pattern.text if is_name else pattern.get("name")) or ""
        prefix, colon, local = text.strip().partition(":")
        if colon:
            pattern.set("ns", _XML if prefix == "xml" else pattern.nsmap.get(prefix) or "")
            if is_name:
                pattern.text = local
            else:
                pattern.set("name", local)
        elif pattern.tag != f"{_RNG}attribute" or "name" not in pattern.attrib:
            pattern.set("ns", _inherited(pattern, "ns"))
    for pattern in root.iter(f"{_RNG}data", f"{_RNG}value"):
        if pattern.tag == f"{_RNG}data" or "type" in pattern.attrib:
            pattern.set("datatypeLibrary", _inherited(pattern, "datatypeLibrary"))


def _inherited(pattern: etree._Element, name: str) -> str:
    holder: etree._Element | None = pattern
    while holder is not None:
        if name in holder.attrib:
            return holder.attrib[name]
        holder = holder.getparent()
    return ""
