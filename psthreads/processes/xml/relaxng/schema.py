"""A RELAX NG schema, and what it finds in documents.

libxml2 compiles the schema, which shows what is wrong with it, but does not apply it: it takes valid documents for
invalid, and invalid ones for valid, where a schema has classes of names, several attributes of one class, or content
that is mixed in any order. The verdict is worked out by derivatives of patterns, which also show where a document
leaves what is possible.

Of an element, the patterns are known that it may match. Its content is followed by all of them at once, and so each
part of a document is looked at once. Behind a mistake, it goes on as if there was none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Final

from lxml import etree

from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.xml.findings import Finding, shown
from psthreads.processes.xml.parsing import MOST_PROBLEMS, plain
from psthreads.processes.xml.relaxng.grammar import ElementLeaf, RelaxNgGrammar
from psthreads.processes.xml.relaxng.names import any_of
from psthreads.processes.xml.relaxng.patterns import EMPTY, NOT_ALLOWED, Pattern
from psthreads.processes.xml.relaxng.state_moves import WHITE, Place, StateMoves
from psthreads.processes.xml.relaxng.values import Namespaces

_MOST_NAMED: Final = 8
_LONGEST_NAMED: Final = 60

States = dict[ElementLeaf, Pattern]
"""The patterns that an element may match, and what is left of the content of each."""


class RelaxNgSchema:
    """A compiled RELAX NG schema, with its includes inserted; raises an LxmlError or Unusable if it is none."""

    def __init__(self, path: str, source: etree._Element) -> None:
        self.path = path
        etree.RelaxNG(source)
        self._moves = StateMoves()
        self._grammar = RelaxNgGrammar(source, self._moves.algebra)

    def is_for(self, namespace: str) -> bool:
        """Do as Schema."""
        return self._namespaces is None or namespace in self._namespaces

    def findings(self, root: etree._Element) -> list[Finding]:
        """Do as Schema."""
        check = _RelaxNgCheck(self._moves, self._grammar)
        try:
            check.document(root)
        except _Enough:
            pass
        except RecursionError:
            raise Unusable(f"the check by {self.path} goes too deep") from None
        except Unusable as error:
            raise Unusable(f"the schema {self.path} cannot be applied: {error}") from None
        return check.findings

    @cached_property
    def _namespaces(self) -> frozenset[str] | None:
        leaves = self._moves.algebra.first(self._grammar.start)
        return any_of(leaf.names for leaf in leaves if isinstance(leaf, ElementLeaf)).namespaces()


class _Enough(Exception):
    """There are as many findings as anybody wants."""


class _RelaxNgCheck:
    """The check of one document. Behind a finding it goes on as if all was well."""

    def __init__(self, moves: StateMoves, grammar: RelaxNgGrammar) -> None:
        self.findings: list[Finding] = []
        self._moves = moves
        self._grammar = grammar

    def document(self, root: etree._Element) -> None:
        """Check a document."""
        start = self._grammar.start
        if candidates := self._moves.elements(start, str(root.tag)):
            self._element(root, candidates)
        else:
            self._add(root, f"{self._subject(root)} as the root{self._expected([start])}")

    def _element(self, element: etree._Element, candidates: frozenset[ElementLeaf]) -> frozenset[ElementLeaf]:
        """Return those of the candidates that an element may be, at least one."""

        def place() -> Namespaces:
            return element.nsmap

        moves = self._moves
        states = {leaf: leaf.content for leaf in candidates}
        for tag, value in element.attrib.items():
            after = _after(states, lambda state: moves.after_attribute(state, str(tag), str(value), place))  # noqa: B023 (called at once)
            if not after:
                text = f"{etree.QName(tag).localname}='{_short(str(value))}'"
                self._add(element, f"The attribute {text} is not allowed in the element '{shown(element)}'")
            states = after or states
        states = self._closed(states, element)
        text, has_elements = element.text or "", False
        for child in element:
            if isinstance(child.tag, str):
                states = self._child(self._text(states, element, text, place), element, child)
                text, has_elements = child.tail or "", True
            else:  # A comment is not there.
                text += child.tail or ""
        if has_elements:
            states = self._text(states, element, text, place)
            ends = [leaf for leaf, state in states.items() if state.is_nullable]
        else:
            ends = [leaf for leaf, state in states.items() if moves.matches(state, text, place)]
        if not ends:
            if not has_elements and text.strip(WHITE):
                self._add(element, f"The element '{shown(element)}' may not contain the text '{_short(text)}'")
            else:
                lack = self._expected(states.values())
                self._add(element, f"The element '{shown(element)}' does not have what the schema requires{lack}")
        return frozenset(ends or states)

    def _closed(self, states: States, element: etree._Element) -> States:
        """Go on to the content, for which all attributes that are required must be there."""
        moves = self._moves
        if after := _after(states, moves.closed):
            return after
        names = {str(leaf.names) for state in states.values() for leaf in moves.missing(state)}
        lack = f": {_listed(names)}" if names else ""
        self._add(element, f"The element '{shown(element)}' lacks an attribute{lack}")
        return _after(states, lambda state: moves.closed(state, EMPTY))

    def _text(self, states: States, element: etree._Element, text: str, place: Place) -> States:
        """Go on behind a text beside elements."""
        if not text.strip(WHITE):
            return states
        after = _after(states, lambda state: self._moves.after_text(state, text, place))
        if not after:
            self._add(element, f"The element '{shown(element)}' may not contain the text '{_short(text)}'")
        return after or states

    def _child(self, states: States, element: etree._Element, child: etree._Element) -> States:
        """Go on behind an element."""
        moves, tag = self._moves, str(child.tag)
        candidates = _elements(moves, states, tag)
        if not candidates:
            self._add(
                child, f"{self._subject(child)} here in the element '{shown(element)}'{self._expected(states.values())}"
            )
            states = _after(states, moves.relaxed)  # What it stands for may be missing.
            if not (candidates := _elements(moves, states, tag)):
                return states
        matched = self._element(child, candidates)
        return _after(states, lambda state: moves.algebra.after(state, matched))

    def _subject(self, element: etree._Element) -> str:
        is_known = any(leaf.names.matches(str(element.tag)) for leaf in self._grammar.elements)
        name = shown(element)
        return f"The element '{name}' is not allowed" if is_known else f"The schema has no element '{name}', which is"

    def _expected(self, states: Iterable[Pattern]) -> str:
        first = {leaf for state in states for leaf in self._moves.algebra.first(state)}
        names = {str(leaf.names) for leaf in first if isinstance(leaf, ElementLeaf)}
        return f"; the schema has {_listed(names)} there" if names else ""

    def _add(self, element: etree._Element, text: str) -> None:
        self.findings.append(Finding(element, text))
        if len(self.findings) > MOST_PROBLEMS:
            raise _Enough


def _after(states: States, step: Callable[[Pattern], Pattern]) -> States:
    return {leaf: left for leaf, state in states.items() if (left := step(state)) is not NOT_ALLOWED}


def _elements(moves: StateMoves, states: States, tag: str) -> frozenset[ElementLeaf]:
    if len(states) == 1:
        return moves.elements(next(iter(states.values())), tag)
    return frozenset().union(*(moves.elements(state, tag) for state in states.values()))


def _short(text: str) -> str:
    text = plain(text)
    return text if len(text) <= _LONGEST_NAMED else f"{text[:_LONGEST_NAMED]}…"


def _listed(names: set[str]) -> str:
    listed = sorted(names)[:_MOST_NAMED]
    more = ["others"] if len(names) > _MOST_NAMED else []
    return " or ".join([*listed, *more])
