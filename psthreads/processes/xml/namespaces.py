"""Tells for which namespaces a schema is: those of the root elements that it describes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lxml import etree

from psthreads.processes.xml.includes import RNG, XSD

_RNG: Final = f"{{{RNG}}}"
_PARTS: Final = frozenset(
    {"start", "define", "choice", "group", "interleave", "optional", "zeroOrMore", "oneOrMore", "mixed"}
)


class _AnyNamespace(Exception):
    """The schema describes root elements of any namespace, or of more than can be told."""


def xsd_namespaces(schema: etree._Element) -> frozenset[str]:
    """Return the namespaces of an XML Schema: its own, and those that it imports."""
    imports = schema.iterchildren(f"{{{XSD}}}import")
    return frozenset({schema.get("targetNamespace", ""), *(each.get("namespace", "") for each in imports)})


def rng_namespaces(schema: etree._Element) -> frozenset[str] | None:
    """Return the namespaces of the elements with which a RELAX NG schema begins; None for any.

    Its includes are inserted already.
    """
    definitions: dict[str, list[etree._Element]] = {}
    for each in schema.iter(f"{_RNG}define"):
        definitions.setdefault(each.get("name", "").strip(), []).append(each)
    starts = list(schema.iter(f"{_RNG}start")) if schema.tag == f"{_RNG}grammar" else [schema]
    visited: set[str] = set()
    try:
        return frozenset(name for start in starts for name in _first_namespaces(start, definitions, visited))
    except _AnyNamespace:
        return None


def _first_namespaces(
    pattern: etree._Element, definitions: dict[str, list[etree._Element]], visited: set[str]
) -> Iterator[str]:
    name = str(pattern.tag).removeprefix(_RNG)
    if name == "element":
        yield _namespace(pattern)
    elif name == "ref":
        target = pattern.get("name", "").strip()
        if target not in visited:
            visited.add(target)
            for each in definitions.get(target, []):
                yield from _first_namespaces(each, definitions, visited)
    elif name in _PARTS:
        for child in pattern.iterchildren(f"{_RNG}*"):
            yield from _first_namespaces(child, definitions, visited)
    elif name in {"externalRef", "parentRef", "grammar"}:
        raise _AnyNamespace


def _namespace(element: etree._Element) -> str:
    """Return the namespace of an element's name; raises _AnyNamespace for a class of names."""
    names = element.get("name")
    holder = element
    if names is None:
        first = next(element.iterchildren(f"{_RNG}*"), None)
        if first is None or first.tag != f"{_RNG}name":
            raise _AnyNamespace
        holder, names = first, first.text or ""
    prefix, colon, _ = names.strip().partition(":")
    if colon:
        return element.nsmap.get(prefix, "")
    while "ns" not in holder.attrib:
        parent = holder.getparent()
        if parent is None:
            return ""
        holder = parent
    return holder.attrib["ns"]
