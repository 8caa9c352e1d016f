"""The elements of a thread's own XML: progress bars, and elements that do not change."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

from lxml import etree

T = TypeVar("T")

_TAKEN: Final = frozenset(
    ("id", "name", "username", "groupid", "status", "cancelling", "created", "started", "ended", "heard")
) | {"warnings", "errors", "message", "thread"}  # in JSON, elements and attributes share their names

_TELLING_SECONDS: Final = 1.0  # a bar that has just begun may have jumped


class ReportedPart(Protocol):
    """An element of the thread's own XML, as it stands when it is asked for."""

    @property
    def rate(self) -> float:
        """How much of it is done in a second; 0 for what does not progress."""

    def to_xml(self) -> str:
        """The element, well-formed."""


class ReportedElement:
    """An element that does not change."""

    __slots__ = ("_xml",)
    rate = 0.0

    def __init__(self, element: etree._Element) -> None:
        self._xml = etree.tostring(element, encoding="unicode")

    def to_xml(self) -> str:
        """The element, well-formed."""
        return self._xml


class Bar:
    """A named progress bar: `<name total="…" current="…"/>` in the thread's XML.

    A context manager and a source of iterators. Both counts are plain attributes and may be set.
    """

    __slots__ = ("_since", "current", "name", "total")

    def __init__(self, name: str, total: int) -> None:
        self.name = name
        self.total = total
        self.current = 0
        self._since = time.monotonic()

    def advance(self, by: int = 1) -> None:
        """Count `by` more as done."""
        self.current += by

    def iter(self, items: Iterable[T]) -> Iterator[T]:
        """The items, each counted as done when the next one is asked for."""
        for item in items:
            yield item
            self.current += 1

    @property
    def rate(self) -> float:
        """How much was done in a second so far, 0 at the very start, when that would tell nothing.

        By this machine's own clock, which need not agree with any other.
        """
        seconds = time.monotonic() - self._since
        return self.current / seconds if seconds > _TELLING_SECONDS else 0.0

    def to_xml(self) -> str:
        """The element, well-formed, as it stands now."""
        return f'<{self.name} total="{max(0, self.total)}" current="{max(0, self.current)}"/>'

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def check_name(name: str) -> None:
    """Raise ValueError for what is no XML name, and for a name that every thread uses itself."""
    etree.Element(name)
    if name in _TAKEN:
        raise ValueError(f"Every thread has a '{name}' of its own: choose another name")
