"""What a schema finds in a document, and where."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from lxml import etree

SILENT: Final = "It is not valid, and libxml2 does not say why"
"""The problem of a document that libxml2 refuses without a message."""


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

    def of(self, entry: Any) -> etree._Element:
        """Return the element that an entry of libxml2's log is about, or the nearest to it that is known."""
        try:
            path = entry.path or ""
        except UnicodeDecodeError:  # libxml2 cuts a long path, also inside of a character.
            path = ""
        element, is_whole = self._follow(path)
        if is_whole:
            return element
        return next((each for each in element.iter("*") if each.sourceline == entry.line), element)

    def _follow(self, path: str) -> tuple[etree._Element, bool]:
        """Return the last element of the path that exists, and whether that is the last of the path."""
        element = self._root
        for step in path.split("/")[2:]:
            name, _, number = step.rstrip("]").partition("[")
            children = self._children_of(element, name)
            index = int(number) - 1 if number.isdigit() else 0
            if index >= len(children):
                return element, False
            element = children[index]
        return element, bool(path)

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
