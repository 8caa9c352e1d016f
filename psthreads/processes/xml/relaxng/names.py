"""Classes of names: which elements or attributes a pattern of RELAX NG is about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from lxml import etree

from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.xml.parsing import plain

RNG_TAG: Final = "{http://relaxng.org/ns/structure/1.0}"
_XML: Final = "http://www.w3.org/XML/1998/namespace"


@dataclass(frozen=True, slots=True)
class NameClass:
    """A class of names: any of `parts`; or one name; or all of a namespace, or of any, but those of `excepted`."""

    namespace: str | None = None
    local: str | None = None
    parts: tuple[NameClass, ...] = ()
    excepted: NameClass | None = None
    is_choice: bool = False

    def matches(self, tag: str) -> bool:
        """Tell whether a name, as lxml writes it, is of this class."""
        return _matches(self, *_split(tag))

    def namespaces(self) -> frozenset[str] | None:
        """Return the namespaces of its names; None for any."""
        if not self.is_choice:
            return None if self.namespace is None else frozenset((self.namespace,))
        all_parts: set[str] = set()
        for part in self.parts:
            namespaces = part.namespaces()
            if namespaces is None:
                return None
            all_parts |= namespaces
        return frozenset(all_parts)

    def __str__(self) -> str:
        """Return its names for a message."""
        if self.is_choice:
            return " or ".join(map(str, self.parts))
        return f"'{self.local}'" if self.local is not None else "another"


def any_of(parts: Iterable[NameClass]) -> NameClass:
    """Return the class of all names of these classes."""
    return NameClass(parts=tuple(parts), is_choice=True)


def name_class_of(pattern: etree._Element, children: list[etree._Element]) -> tuple[NameClass, list[etree._Element]]:
    """Return the name class of an element or an attribute, and the children that are its content."""
    name = pattern.get("name")
    if name is not None:
        is_attribute = pattern.tag == f"{RNG_TAG}attribute"
        namespace = pattern.get("ns", "") if is_attribute else inherited(pattern, "ns")
        return _named(pattern, name, namespace), children
    if not children:
        raise Unusable(f"line {pattern.sourceline}: a pattern has no name")
    return _class(children[0]), children[1:]


def inherited(pattern: etree._Element, name: str) -> str:
    """Return the value of an attribute of a pattern or of the nearest around it."""
    holder: etree._Element | None = pattern
    while holder is not None:
        if name in holder.attrib:
            return holder.attrib[name]
        holder = holder.getparent()
    return ""


def patterns_in(pattern: etree._Element) -> list[etree._Element]:
    """Return the children that are of RELAX NG: others are annotations."""
    return list(pattern.iterchildren(f"{RNG_TAG}*"))


def kind_of(pattern: etree._Element) -> str:
    """Return the local name of a pattern."""
    return str(pattern.tag).removeprefix(RNG_TAG)


def _class(pattern: etree._Element) -> NameClass:
    kind, children = kind_of(pattern), patterns_in(pattern)
    if kind == "name":
        return _named(pattern, pattern.text or "", inherited(pattern, "ns"))
    if kind in {"choice", "except"}:
        return any_of(map(_class, children))
    if kind in {"anyName", "nsName"}:
        namespace = inherited(pattern, "ns") if kind == "nsName" else None
        return NameClass(namespace, excepted=_class(children[0]) if children else None)
    raise Unusable(f"line {pattern.sourceline}: '{plain(kind)}' is no class of names")


def _named(pattern: etree._Element, name: str, namespace: str) -> NameClass:
    prefix, colon, local = name.strip().partition(":")
    if not colon:
        return NameClass(namespace, prefix)
    if prefix != "xml" and prefix not in pattern.nsmap:
        raise Unusable(f"line {pattern.sourceline}: the prefix '{plain(prefix)}' is not declared")
    return NameClass(_XML if prefix == "xml" else pattern.nsmap[prefix], local)


def _matches(names: NameClass, namespace: str, local: str) -> bool:
    if names.is_choice:
        return any(_matches(part, namespace, local) for part in names.parts)
    if names.namespace is not None and names.namespace != namespace:
        return False
    if names.local is not None:
        return names.local == local
    return names.excepted is None or not _matches(names.excepted, namespace, local)


@lru_cache(maxsize=4096)
def _split(tag: str) -> tuple[str, str]:
    namespace, _, local = tag.rpartition("}")
    return namespace[1:], local
