"""The elements of a thread's own XML: progress bars, and elements that do not change."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

from lxml import etree

from psthreads.domain.foreign import text_of

T = TypeVar("T")

_RESERVED: Final = frozenset(
    ("id", "name", "username", "groupid", "status", "cancelling", "created", "started", "ended", "heard")
) | {"warnings", "errors", "message", "thread"}  # in JSON, elements and attributes share their names

_LEAST_RATE_SECONDS: Final = 1.0  # a rate over less time says little: a bar often jumps when it starts


_GREATEST: Final = 2**63 - 1


class ReportedPart(Protocol):
    """An element of the thread's own XML."""

    @property
    def rate(self) -> float:
        """The progress in a second; 0 for an element without progress."""

    def to_xml(self) -> str:
        """Return the element's current state as well-formed XML."""


class ReportedElement:
    """An element that does not change."""

    __slots__ = ("_xml",)
    rate = 0.0

    def __init__(self, element: etree._Element) -> None:
        self._xml = etree.tostring(element, encoding="unicode")

    def to_xml(self) -> str:
        """Return the element as well-formed XML."""
        return self._xml


class Bar:
    """A named progress bar: `<name total="…" current="…"/>` in the thread's XML.

    Both counts are attributes that may be set. A bar can be used in a `with` statement.
    """

    __slots__ = ("_since", "current", "name", "total")

    def __init__(self, name: str, total: int) -> None:
        self.name = name
        self.total = total
        self.current = 0
        self._since = time.monotonic()

    def advance(self, by: int = 1) -> None:
        """Add `by` to the current count."""
        self.current += by

    def iter(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items; each is counted when the next one is requested."""
        for item in items:
            yield item
            self.current += 1

    @property
    def rate(self) -> float:
        """The average progress in a second; 0 in the first second, which would say little."""
        # This machine's own clock: it need not agree with any other.
        seconds = time.monotonic() - self._since
        return _count(self.current) / seconds if seconds > _LEAST_RATE_SECONDS else 0.0

    def to_xml(self) -> str:
        """Return the current counts as well-formed XML; 0 for a count that is no number."""
        return f'<{self.name} total="{_count(self.total)}" current="{_count(self.current)}"/>'

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def check_name(name: str) -> str:
    """Return the name; raises ValueError if it is not an XML name, or is one that every thread uses itself."""
    name = text_of(name)
    if etree.QName(name).localname != name:
        raise ValueError(f"'{name}' is in a namespace, which the elements of a thread are not")
    etree.Element(name)
    if name in _RESERVED:
        raise ValueError(f"Every thread has a '{name}' of its own: choose another name")
    return name


def _count(number: object) -> int:
    if type(number) is int and 0 <= number <= _GREATEST:
        return number
    # A process may set what it likes, and whoever writes the reports must not fail.
    try:
        return min(max(0, int(number)), _GREATEST)  # type: ignore[call-overload, no-any-return] # as may fail
    except Exception:  # noqa: BLE001 (whatever its methods raise)
        return 0
