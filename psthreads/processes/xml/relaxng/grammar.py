"""Makes the patterns of a RELAX NG schema in XML syntax, whose includes are inserted: sections 4.1 to 4.19 of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Final

from lxml import etree

from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.xml.parsing import plain
from psthreads.processes.xml.relaxng.names import RNG_TAG, NameClass, inherited, kind_of, name_class_of, patterns_in
from psthreads.processes.xml.relaxng.patterns import EMPTY, NOT_ALLOWED, TEXT, Algebra, Leaf, Pattern
from psthreads.processes.xml.relaxng.values import ValueType, type_of_data, type_of_value

_START: Final = "start"


class ElementLeaf(Leaf):
    """An element: its names and its content, attributes included."""

    __slots__ = ("content", "names")

    def __init__(self, names: NameClass) -> None:
        super().__init__()
        self.names = names
        self.content: Pattern = NOT_ALLOWED


class AttributeLeaf(Leaf):
    """An attribute: its names and the pattern of its value."""

    __slots__ = ("content", "names")

    def __init__(self, names: NameClass, content: Pattern) -> None:
        super().__init__()
        self.names = names
        self.content = content


class DataLeaf(Leaf):
    """Text of a type, but none that a pattern excepts."""

    __slots__ = ("excepted", "type")

    def __init__(self, type_: ValueType, excepted: Pattern) -> None:
        super().__init__()
        self.type = type_
        self.excepted = excepted


class ListLeaf(Leaf):
    """Text that is a list of words, and their pattern."""

    __slots__ = ("content",)

    def __init__(self, content: Pattern) -> None:
        super().__init__()
        self.content = content


class _GrammarScope:
    """The definitions of one grammar."""

    def __init__(self, grammar: etree._Element | None, parent: _GrammarScope | None) -> None:
        self.parent = parent
        self.definitions: defaultdict[str, list[etree._Element]] = defaultdict(list)
        self.patterns: dict[str, Pattern | None] = {}
        if grammar is not None:
            self._collect(grammar)

    def _collect(self, holder: etree._Element) -> None:
        for child in patterns_in(holder):
            if child.tag == f"{RNG_TAG}div":
                self._collect(child)
            elif child.tag in {f"{RNG_TAG}start", f"{RNG_TAG}define"}:
                self.definitions[_name(child) if child.tag == f"{RNG_TAG}define" else _START].append(child)


class RelaxNgGrammar:
    """The patterns of a schema: of the document, `start`, and of all elements. Raises Unusable if it is none."""

    def __init__(self, schema: etree._Element, algebra: Algebra) -> None:
        self._algebra = algebra
        self.elements: list[ElementLeaf] = []
        self._open: list[tuple[ElementLeaf, list[etree._Element], _GrammarScope]] = []
        try:
            self.start = self._pattern(schema, _GrammarScope(None, None))
            while self._open:
                element, content, scope = self._open.pop()
                element.content = self._all(content, scope)
        except RecursionError:
            raise Unusable("its definitions refer to each other too deeply") from None

    def _pattern(self, pattern: etree._Element, scope: _GrammarScope) -> Pattern:  # noqa: C901, PLR0911, PLR0912 (the list of patterns)
        algebra, kind = self._algebra, kind_of(pattern)
        children = patterns_in(pattern)
        match kind:
            case "element" | "attribute":
                names, content = name_class_of(pattern, children)
                if kind == "attribute":
                    return AttributeLeaf(names, self._all(content, scope) if content else TEXT)
                leaf = ElementLeaf(names)
                self.elements.append(leaf)
                self._open.append((leaf, content, scope))
                return leaf
            case "empty":
                return EMPTY
            case "notAllowed":
                return NOT_ALLOWED
            case "text":
                return TEXT
            case "group":
                return self._all(children, scope)
            case "interleave":
                return self._all(children, scope, algebra.interleave)
            case "mixed":
                return algebra.interleave(TEXT, self._all(children, scope))
            case "choice":
                return algebra.choice([self._pattern(child, scope) for child in children])
            case "optional":
                return algebra.optional(self._all(children, scope))
            case "oneOrMore":
                return algebra.many(self._all(children, scope))
            case "zeroOrMore":
                return algebra.optional(algebra.many(self._all(children, scope)))
            case "list":
                return ListLeaf(self._all(children, scope))
            case "value":
                return DataLeaf(type_of_value(pattern, _library(pattern)), NOT_ALLOWED)
            case "data":
                return self._data(pattern, children, scope)
            case "ref":
                return self._definition(scope, _name(pattern))
            case "parentRef" if scope.parent is not None:
                return self._definition(scope.parent, _name(pattern))
            case "grammar":
                return self._definition(_GrammarScope(pattern, scope), _START)
        raise Unusable(f"line {pattern.sourceline}: '{plain(kind)}' is no pattern of RELAX NG here")

    def _all(
        self,
        patterns: list[etree._Element],
        scope: _GrammarScope,
        both: Callable[[Pattern, Pattern], Pattern] | None = None,
    ) -> Pattern:
        algebra = self._algebra
        return algebra.all_of([self._pattern(each, scope) for each in patterns], both or algebra.group)

    def _data(self, pattern: etree._Element, children: list[etree._Element], scope: _GrammarScope) -> Pattern:
        excepted = [child for child in children if child.tag == f"{RNG_TAG}except"]
        inner = [self._pattern(each, scope) for child in excepted for each in patterns_in(child)]
        return DataLeaf(type_of_data(pattern, _library(pattern)), self._algebra.choice(inner))

    def _definition(self, scope: _GrammarScope, name: str) -> Pattern:
        if name in scope.patterns:
            pattern = scope.patterns[name]
            if pattern is None:
                raise Unusable(f"the definition of '{plain(name[1:])}' refers to itself outside of an element")
            return pattern
        definitions = scope.definitions.get(name)
        if not definitions:
            raise Unusable("it has no start" if name == _START else f"it does not define '{plain(name[1:])}'")
        scope.patterns[name] = None
        parts = [self._all(patterns_in(each), scope) for each in definitions]
        if any(each.get("combine", "").strip() == "interleave" for each in definitions):
            pattern = self._algebra.all_of(parts, self._algebra.interleave)
        else:
            pattern = self._algebra.choice(parts)
        scope.patterns[name] = pattern
        return pattern


def _name(pattern: etree._Element) -> str:
    return f"={pattern.get('name', '').strip()}"  # so that none is called as the start is


def _library(pattern: etree._Element) -> str:
    return inherited(pattern, "datatypeLibrary")
