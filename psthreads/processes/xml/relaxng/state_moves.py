"""The steps of validations from state to state, kept for the other documents of a run: most are taken again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from psthreads.processes.xml.relaxng.grammar import AttributeLeaf, DataLeaf, ElementLeaf, ListLeaf
from psthreads.processes.xml.relaxng.patterns import EMPTY, NOT_ALLOWED, TEXT, Algebra, Leaf, Pattern
from psthreads.processes.xml.relaxng.values import Namespaces, words

WHITE: Final = " \t\r\n"
"""The white space of XML."""

_MOST_KEPT: Final = 200_000

Place = Callable[[], Namespaces]
"""Returns the namespaces of a place in a document."""


class _Kept(dict[Any, Any]):
    """Results by their arguments; it begins anew where they are too many."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if len(self) >= _MOST_KEPT:
            self.clear()
        super().__setitem__(key, value)


class StateMoves:
    """The steps between the states of one schema."""

    def __init__(self) -> None:
        self.algebra = Algebra()
        self._elements: dict[tuple[Pattern, str], frozenset[ElementLeaf]] = _Kept()
        self._attributes: dict[tuple[Pattern, str], frozenset[AttributeLeaf]] = _Kept()
        self._values: dict[Pattern, tuple[frozenset[Leaf], list[Leaf]]] = _Kept()
        self._closed: dict[tuple[Pattern, Pattern], Pattern] = _Kept()
        self._relaxed: dict[Pattern, Pattern] = _Kept()

    def elements(self, state: Pattern, tag: str) -> frozenset[ElementLeaf]:
        """Return the patterns of elements of this name that may come next."""
        key = state, tag
        leaves = self._elements.get(key)
        if leaves is None:
            first = self.algebra.first(state)
            leaves = frozenset(leaf for leaf in first if isinstance(leaf, ElementLeaf) and leaf.names.matches(tag))
            self._elements[key] = leaves
        return leaves

    def after_attribute(self, state: Pattern, tag: str, value: str, place: Place) -> Pattern:
        """Return what is left behind an attribute."""
        key = state, tag
        leaves = self._attributes.get(key)
        if leaves is None:
            leaves = frozenset(leaf for leaf in self._attributes_in(state) if leaf.names.matches(tag))
            self._attributes[key] = leaves
        matched = frozenset(leaf for leaf in leaves if self.matches(leaf.content, value, place))
        return self.algebra.after(state, matched, in_any_order=True) if matched else NOT_ALLOWED

    def closed(self, state: Pattern, by: Pattern = NOT_ALLOWED) -> Pattern:
        """Return a state with all attributes replaced that there still may be."""
        key = state, by
        closed = self._closed.get(key)
        if closed is None:
            closed = self.algebra.replaced(state, lambda leaf: by if isinstance(leaf, AttributeLeaf) else leaf)
            self._closed[key] = closed
        return closed

    def missing(self, state: Pattern) -> list[AttributeLeaf]:
        """Return the attributes without which there is no way on."""

        def without(missing: AttributeLeaf) -> Pattern:
            return self.algebra.replaced(
                state,
                lambda leaf: NOT_ALLOWED if leaf is missing else EMPTY if isinstance(leaf, AttributeLeaf) else leaf,
            )

        return [leaf for leaf in self._attributes_in(state) if without(leaf) is NOT_ALLOWED]

    def relaxed(self, state: Pattern) -> Pattern:
        """Return a state in which nothing is required."""
        relaxed = self._relaxed.get(state)
        if relaxed is None:
            relaxed = self._relaxed[state] = self.algebra.replaced(state, self.algebra.optional)
        return relaxed

    def matches(self, pattern: Pattern, text: str, place: Place) -> bool:
        """Tell whether a text is all that a pattern needs."""
        if pattern is TEXT or (pattern.is_nullable and not text.strip(WHITE)):
            return True
        return self.after_text(pattern, text, place).is_nullable

    def after_text(self, state: Pattern, text: str, place: Place) -> Pattern:
        """Return what is left behind a text."""
        leaves = self._values.get(state)
        if leaves is None:
            first = self.algebra.first(state)
            leaves = first & {TEXT}, [leaf for leaf in first if isinstance(leaf, (DataLeaf, ListLeaf))]
            self._values[state] = leaves
        matched, values = leaves
        if values:
            matched = matched.union(leaf for leaf in values if self._allows(leaf, text, place))
        return self.algebra.after(state, matched)

    def _allows(self, leaf: Leaf, text: str, place: Place) -> bool:
        if isinstance(leaf, DataLeaf):
            is_excepted = leaf.excepted is not NOT_ALLOWED and self.matches(leaf.excepted, text, place)
            return not is_excepted and leaf.type.allows(text, place)
        if not isinstance(leaf, ListLeaf):
            return False
        left = leaf.content
        for word in words(text):
            left = self.after_text(left, word, place)
        return left.is_nullable

    def _attributes_in(self, state: Pattern) -> list[AttributeLeaf]:
        return [leaf for leaf in self.algebra.leaves(state) if isinstance(leaf, AttributeLeaf)]
