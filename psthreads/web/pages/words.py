"""How times, durations and counts are said on the pages: pure functions, which templates use as filters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from markupsafe import escape

_SECOND: Final = 1_000
_MINUTE: Final = 60 * _SECOND
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_STEPS: Final = ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min"), (_MINUTE, "min", _SECOND, "s"))
_SIZES: Final = ("kB", "MB", "GB", "TB")


def duration(ms: float) -> str:
    """A span of milliseconds in its two greatest units: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 14 min`, `3 d 4 h`."""
    span = max(0, int(ms))
    if span < 10 * _SECOND:
        tenths = span // 100 / 10
        return f"{tenths:g} s" if span >= 100 or not span else f"{span} ms"  # noqa: PLR2004 (ms, the least tenth)
    for step, unit, lesser, lesser_unit in _STEPS:
        if span >= step:
            rest = span % step // lesser
            return f"{span // step} {unit} {rest} {lesser_unit}" if rest else f"{span // step} {unit}"
    return f"{span // _SECOND} s"


def ago(ms: int, now: int) -> str:
    """How long before `now` a moment was, both in milliseconds since the epoch: `3 min ago`; in one unit."""
    span = now - ms
    if span < 5 * _SECOND:
        return "just now"
    for step, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if span >= step:
            return f"{span // step} {unit} ago"
    return f"{span // _SECOND} s ago"


def number(value: float) -> str:
    """A number with its thousands apart: `1,200`."""
    return f"{value:,}"


def many(how_many: int, one: str, more: str = "") -> str:
    """A number with what it counts: `1 thread`, `1,200 threads`; with `more` where no s makes the plural."""
    return f"{how_many:,} {one if how_many == 1 else more or one + 's'}"


def size(of: float) -> str:
    """A number of bytes in the unit that fits: `412 B`, `1.2 MB`."""
    if of < 1_000:  # noqa: PLR2004 (the first unit begins there)
        return f"{of:g} B"
    for unit in _SIZES:
        of /= 1_000
        if round(of, 1) < 1_000 or unit == _SIZES[-1]:  # noqa: PLR2004 (as above)
            break
    return f"{of:,.1f} {unit}"


def weight(text: str) -> int:
    """How many bytes the text takes in a page: a character may take one or, escaped or from afar, six."""
    return len(escape(text).encode())


def cut(text: str, limit: int) -> str:
    """As much of the text's beginning as takes at most so many bytes in a page."""
    kept = text[:limit]
    while (found := weight(kept)) > limit:
        kept = kept[: len(kept) * limit // found]
    return kept


def short(text: str, limit: int = 160) -> str:
    """The text, cut where it would take more than so many bytes in a page; an ellipsis then says so."""
    kept = cut(text, limit)
    return text if len(kept) == len(text) else f"{kept.rstrip()}…"


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "duration": duration,
    "ago": ago,
    "number": number,
    "many": many,
    "size": size,
    "short": short,
}
"""By the name that templates call them."""
