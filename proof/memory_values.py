"""The values of a Redis in memory, and what of them its commands share.

Values are never changed, only replaced, so that a copy of the dictionary that holds them is a whole copy. Texts hold a
byte in each character (Latin-1).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

V = TypeVar("V")


class RedisRefusal(Exception):
    """An error that Redis would answer with."""


class Hash(dict[str, str]):
    """The value of a hash."""


class SortedSet(dict[str, float]):
    """The value of a sorted set: scores by members."""


class Stream(tuple[str, ...]):
    """The value of a stream: nothing but its last fields, which nobody reads here."""

    __slots__ = ()


Value = str | tuple[str, ...] | frozenset[str] | Hash | SortedSet | Stream


class Values(dict[str, Value]):
    """The values by their keys. `touched` are the keys that were read or written, in the order of their first time."""

    def __init__(self, values: Mapping[str, Value] | Iterable[tuple[str, Value]] = ()) -> None:
        super().__init__(values)
        self.touched: dict[str, None] = {}

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value, `default` where there is none."""
        self.touched[key] = None
        return super().get(key, default)

    def pop(self, key: str, default: Any = None) -> Any:
        """Remove and return the value, `default` where there is none."""
        self.touched[key] = None
        return super().pop(key, default)

    def __contains__(self, key: object) -> bool:
        self.touched[str(key)] = None
        return super().__contains__(key)

    def __setitem__(self, key: str, value: Value) -> None:
        self.touched[key] = None
        super().__setitem__(key, value)


def text(value: str | float) -> str:
    """Return an argument as Redis reads it: numbers as Lua writes them."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) or (value == math.floor(value) and abs(value) < 1e15):  # noqa: PLR2004 (Lua writes 14 digits)
        return str(int(value))
    return f"{value:.14g}"


def score(value: float) -> str:
    """Return a score as Redis writes it."""
    return str(int(value)) if value == math.floor(value) and math.isfinite(value) else f"{value:.17g}"


def number(value: str) -> int:
    """Return the whole number in an argument. Raises RedisRefusal."""
    try:
        return int(value)
    except ValueError:
        raise RedisRefusal("ERR value is not an integer or out of range") from None


def _limit(value: str) -> tuple[float, bool]:
    """Return a limit of scores, and whether it is left out itself."""
    is_open = value.startswith("(")
    try:
        return float(value[is_open:]), is_open
    except ValueError:
        raise RedisRefusal("ERR min or max is not a float") from None


def between(members: SortedSet, least: str, most: str) -> list[tuple[str, float]]:
    """Return the members with scores between the limits, in order."""
    (low, over), (high, under) = _limit(least), _limit(most)
    return [
        (member, at)
        for member, at in ordered(members)
        if (at > low if over else at >= low) and (at < high if under else at <= high)
    ]


def ordered(members: SortedSet) -> list[tuple[str, float]]:
    """Return the members with their scores, in order."""
    return sorted(members.items(), key=lambda entry: (entry[1], entry[0]))


def part(values: Sequence[V], first: str, last: str) -> Sequence[V]:
    """Return the elements from one index to another, both included; negative ones count from the end."""
    begin, end = number(first), number(last)
    begin = max(0, begin + len(values)) if begin < 0 else begin
    end = end + len(values) if end < 0 else end
    return values[begin : end + 1] if end >= 0 else values[:0]


def need(condition: object) -> None:
    """Refuse a form of a command that no script uses."""
    if not condition:
        raise RedisRefusal("ERR not among the forms that are known here")
