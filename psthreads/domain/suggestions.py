"""The nearest of the names that exist, for whoever has mistyped one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

LIKELY: Final = 0.6
"""How alike two names must be for one to be suggested for the other, from 0 to 1."""

_LONGEST: Final = 64  # characters: to compare longer ones costs their product


def nearest(name: str, names: Iterable[str], alike: float = LIKELY) -> str:
    """Return the name that is most like this one; empty where none is like it. Case does not matter."""
    by_key = {other.lower(): other for other in names if len(other) <= _LONGEST}
    matches = get_close_matches(name[:_LONGEST].lower(), by_key, n=1, cutoff=alike)
    return by_key[matches[0]] if matches else ""


def hint(name: str, names: Iterable[str]) -> str:
    """Return the end of a sentence about a name that does not exist: the nearest one, or else all of them."""
    names = list(names)
    if match := nearest(name, names):
        return f"did you mean '{match}'?"
    return f"there are {', '.join(names)}." if names else "there are none."
