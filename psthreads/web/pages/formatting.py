"""Times, durations, counts and statuses as the pages show them: pure functions, which templates use as filters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from markupsafe import Markup, escape

from psthreads.domain.model import Status

_SECOND: Final = 1_000
_MINUTE: Final = 60 * _SECOND
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_STEPS: Final = ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min"), (_MINUTE, "min", _SECOND, "s"))
_SIZES: Final = ("kB", "MB", "GB", "TB")
_STATUS_WORDS: Final[Mapping[str, str]] = {Status.INITIALISED: "Waiting", Status.INPROGRESS: "Running"}


def status_word(status: str) -> str:
    """Return the word that pages show for a status of the API, or for another kind of a list."""
    return _STATUS_WORDS.get(status, status.capitalize())


def duration(ms: float) -> str:
    """Format milliseconds in their two largest units: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 14 min`, `3 d 4 h`."""
    span = max(0, int(ms))
    if span < 10 * _SECOND:
        tenths = span // 100 / 10
        return f"{tenths:g} s" if span >= 100 or not span else f"{span} ms"  # noqa: PLR2004 (ms, the smallest tenth)
    for step, unit, smaller, smaller_unit in _STEPS:
        if span >= step:
            rest = span % step // smaller
            return f"{span // step} {unit} {rest} {smaller_unit}" if rest else f"{span // step} {unit}"
    return f"{span // _SECOND} s"


def ago(ms: int, now: int) -> str:
    """Format how long before `now` a time was, in one unit: `3 min ago`. Both are in milliseconds since the epoch."""
    span = now - ms
    if span < 5 * _SECOND:
        return "just now"
    for step, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if span >= step:
            return f"{span // step} {unit} ago"
    return f"{span // _SECOND} s ago"


def number(value: float) -> str:
    """Format a number with thousands separators: `1,200`."""
    return f"{value:,}"


def pluralize(count: int, singular: str, plural: str = "") -> str:
    """Format a count with its noun: `1 thread`, `1,200 threads`. `plural` is for nouns that take more than an s."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def size(count: float) -> str:
    """Format a number of bytes in the unit that fits: `412 B`, `1.2 MB`."""
    if count < 1_000:  # noqa: PLR2004 (the first unit begins there)
        return f"{count:g} B"
    for unit in _SIZES:
        count /= 1_000
        if round(count, 1) < 1_000 or unit == _SIZES[-1]:  # noqa: PLR2004 (as above)
            break
    return f"{count:,.1f} {unit}"


def breakable(path: str) -> Markup:
    """Return the path with places at which a line may break, after its slashes."""
    return Markup("/<wbr>").join(path.split("/"))


def html_size(text: str) -> int:
    """Return how many bytes the text takes in a page, where a character can take up to six."""
    return len(escape(text).encode())


def cut(text: str, limit: int) -> str:
    """Return as much of the text's beginning as takes at most `limit` bytes in a page."""
    head = text[:limit]
    while (total := html_size(head)) > limit:
        head = head[: len(head) * limit // total]
    return head


def short(text: str, limit: int = 160) -> str:
    """Return the text, cut with an ellipsis where it takes more than `limit` bytes in a page."""
    head = cut(text, limit)
    return text if len(head) == len(text) else f"{head.rstrip()}…"


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "status_word": status_word,
    "duration": duration,
    "ago": ago,
    "number": number,
    "pluralize": pluralize,
    "size": size,
    "short": short,
    "breakable": breakable,
}
"""The filters of templates, by name."""
