"""Patterns of RELAX NG, and what is left of one behind a part of a document: its derivative.

A leaf is what a part of a document can match: an element, an attribute, a value, text. Patterns are interned, so that
the states of a validation are few objects, and each step from one to the next is worked out once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Final

from psthreads.processes.bounded.inside import Unusable

_MOST_PATTERNS: Final = 500_000
_MOST_STEPS: Final = 500_000


class Kind(Enum):
    """The way in which a pattern is made of its parts."""

    EMPTY = auto()
    NOT_ALLOWED = auto()
    LEAF = auto()
    CHOICE = auto()
    GROUP = auto()
    INTERLEAVE = auto()
    MANY = auto()
    """One or more."""


class Pattern:
    """An interned pattern. `is_nullable` says whether it matches nothing at all."""

    __slots__ = ("first", "is_nullable", "kind", "leaves", "parts")

    def __init__(self, kind: Kind, parts: tuple[Pattern, ...], *, is_nullable: bool) -> None:
        self.kind = kind
        self.parts = parts
        self.is_nullable = is_nullable
        self.leaves: frozenset[Leaf] | None = None
        self.first: frozenset[Leaf] | None = None


class Leaf(Pattern):
    """A pattern without parts, that is itself and no other. `stays` says whether it is left when it has matched."""

    __slots__ = ("stays",)

    def __init__(self, *, stays: bool = False) -> None:
        super().__init__(Kind.LEAF, (), is_nullable=stays)
        self.stays = stays


EMPTY: Final = Pattern(Kind.EMPTY, (), is_nullable=True)
NOT_ALLOWED: Final = Pattern(Kind.NOT_ALLOWED, (), is_nullable=False)
TEXT: Final = Leaf(stays=True)
"""Any text, also none."""


class Algebra:
    """Makes the patterns of one schema, and takes the steps between them."""

    def __init__(self) -> None:
        self._interned: dict[object, Pattern] = {}
        self._steps: dict[tuple[Pattern, frozenset[Leaf], bool], Pattern] = {}

    def choice(self, patterns: Iterable[Pattern]) -> Pattern:
        """Return the pattern that any of these matches."""
        parts: dict[Pattern, None] = {}
        for pattern in patterns:
            parts.update(dict.fromkeys(pattern.parts if pattern.kind is Kind.CHOICE else (pattern,)))
        parts.pop(NOT_ALLOWED, None)
        if EMPTY in parts and any(part.is_nullable for part in parts if part is not EMPTY):
            del parts[EMPTY]
        if len(parts) < 2:  # noqa: PLR2004 (of two, one is chosen)
            return next(iter(parts), NOT_ALLOWED)
        return self._made(Kind.CHOICE, (*parts,), frozenset(parts), any(part.is_nullable for part in parts))

    def group(self, first: Pattern, second: Pattern) -> Pattern:
        """Return the pattern of one behind the other."""
        return self._both(Kind.GROUP, first, second)

    def interleave(self, first: Pattern, second: Pattern) -> Pattern:
        """Return the pattern of both, mixed in any way."""
        return self._both(Kind.INTERLEAVE, first, second)

    def many(self, pattern: Pattern) -> Pattern:
        """Return the pattern of one or more."""
        if pattern.kind in {Kind.EMPTY, Kind.NOT_ALLOWED, Kind.MANY}:
            return pattern
        return self._made(Kind.MANY, (pattern,), pattern, pattern.is_nullable)

    def optional(self, pattern: Pattern) -> Pattern:
        """Return the pattern of this or nothing."""
        return self.choice((pattern, EMPTY))

    def all_of(self, patterns: list[Pattern], both: Callable[[Pattern, Pattern], Pattern]) -> Pattern:
        """Join patterns by `both`, halved again and again, so that many of them are not deep."""
        if len(patterns) < 2:  # noqa: PLR2004 (halves of two)
            return patterns[0] if patterns else EMPTY
        half = len(patterns) // 2
        return both(self.all_of(patterns[:half], both), self.all_of(patterns[half:], both))

    def after(self, pattern: Pattern, matched: frozenset[Leaf], *, in_any_order: bool = False) -> Pattern:
        """Return what is left of a pattern when something has matched any of these leaves.

        Attributes come in any order, also in a group.
        """
        if pattern.kind is Kind.LEAF:
            return (pattern if pattern.stays else EMPTY) if pattern in matched else NOT_ALLOWED
        if not pattern.parts:
            return NOT_ALLOWED
        key = pattern, matched, in_any_order
        left = self._steps.get(key)
        if left is None:
            left = self._after(pattern, matched, in_any_order=in_any_order)
            if len(self._steps) >= _MOST_STEPS:
                self._steps.clear()
            self._steps[key] = left
        return left

    def replaced(self, pattern: Pattern, by: Callable[[Leaf], Pattern]) -> Pattern:
        """Return a pattern with each leaf replaced."""
        replaced: dict[Pattern, Pattern] = {}

        def replace(each: Pattern) -> Pattern:
            if each not in replaced:
                replaced[each] = self._replaced(each, by, replace)
            return replaced[each]

        return replace(pattern)

    def leaves(self, pattern: Pattern) -> frozenset[Leaf]:
        """Return all leaves of a pattern."""
        if pattern.leaves is None:
            own = (pattern,) if isinstance(pattern, Leaf) else ()
            pattern.leaves = frozenset(own).union(*map(self.leaves, pattern.parts))
        return pattern.leaves

    def first(self, pattern: Pattern) -> frozenset[Leaf]:
        """Return the leaves that what comes next may match."""
        if pattern.first is None:
            parts = pattern.parts
            if pattern.kind is Kind.GROUP and not parts[0].is_nullable:
                parts = parts[:1]
            own = (pattern,) if isinstance(pattern, Leaf) else ()
            pattern.first = frozenset(own).union(*map(self.first, parts))
        return pattern.first

    def _both(self, kind: Kind, first: Pattern, second: Pattern) -> Pattern:
        if first is NOT_ALLOWED or second is NOT_ALLOWED:
            return NOT_ALLOWED
        if first is EMPTY or second is EMPTY:
            return second if first is EMPTY else first
        parts = (first, second)
        return self._made(kind, parts, parts, first.is_nullable and second.is_nullable)

    def _made(self, kind: Kind, parts: tuple[Pattern, ...], key: object, is_nullable: bool) -> Pattern:  # noqa: FBT001 (a value, no switch)
        made = self._interned.get((kind, key))
        if made is None:
            if len(self._interned) >= _MOST_PATTERNS:
                raise Unusable("too much of the schema is possible at once")
            made = self._interned[kind, key] = Pattern(kind, parts, is_nullable=is_nullable)
        return made

    def _after(self, pattern: Pattern, matched: frozenset[Leaf], *, in_any_order: bool) -> Pattern:
        kind, parts = pattern.kind, pattern.parts
        lefts = [self.after(part, matched, in_any_order=in_any_order) for part in parts]
        if kind is Kind.CHOICE:
            return self.choice(lefts)
        if kind is Kind.MANY:
            return self.group(lefts[0], self.optional(pattern))
        first, second = parts
        joined = [self._both(kind, lefts[0], second)]
        if kind is Kind.INTERLEAVE or in_any_order or first.is_nullable:
            is_behind = kind is Kind.GROUP and not in_any_order
            joined.append(lefts[1] if is_behind else self._both(kind, first, lefts[1]))
        return self.choice(joined)

    def _replaced(
        self, pattern: Pattern, by: Callable[[Leaf], Pattern], replace: Callable[[Pattern], Pattern]
    ) -> Pattern:
        if isinstance(pattern, Leaf):
            return by(pattern)
        parts = list(map(replace, pattern.parts))
        if pattern.kind is Kind.CHOICE:
            return self.choice(parts)
        if pattern.kind is Kind.MANY:
            return self.many(parts[0])
        return self._both(pattern.kind, *parts) if parts else pattern
