"""What a schema finds in a document, and where."""

from __future__ import annotations

from typing import NamedTuple

from lxml import etree


class Finding(NamedTuple):
    """An element of a document, and its problem."""

    element: etree._Element
    text: str


class Places:
    """Finds the elements of a document by libxml2's paths, such as `/doc/p[3]` or `/*/*[2]`."""

    def __init__(self, root: etree._Element) -> None:
        self._root = root
        # Many findings are often about the children of one element.
        self._children: dict[tuple[etree._Element, str], list[etree._Element]] = {}

    def at(self, path: str | None) -> etree._Element:
        """Return the element; if the path does not exist, the last one in it that does."""
        element = self._root
        for step in (path or "").split("/")[2:]:
            name, _, number = step.rstrip("]").partition("[")
            children = self._children_of(element, name)
            index = int(number) - 1 if number.isdigit() else 0
            if index >= len(children):
                break
            element = children[index]
        return element

    def _children_of(self, parent: etree._Element, name: str) -> list[etree._Element]:
        if (parent, name) not in self._children:
            self._children[parent, name] = [
                child for child in parent.iterchildren("*") if name == "*" or name == shown(child)
            ]
        return self._children[parent, name]


def _local(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]


def shown(element: etree._Element) -> str:
    """Return the name of an element as its document writes it."""
    return f"{element.prefix}:{_local(element)}" if element.prefix else _local(element)
