"""The lines of a log on a page: filtered by level and text, and cut so that the page stays small."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from psthreads.domain.model import Event, Level, LogPage, iso
from psthreads.threads.store import ThreadStore
from psthreads.web.pages.formatting import cut, html_size

PAGE_SIZE: Final = 200
"""The most lines of a page."""

_LOOK_AT: Final = 5_000  # lines that one request with a filter looks at
_CONTEXT: Final = 10  # lines above the line that a page opens at
_MAX_BYTES: Final = 28_000  # of HTML, for the texts of a page
_LIMITS: Final = (600, 400, 250, 120)  # bytes of HTML for one line: the largest with which all lines fit
_FULL: Final = 40_000  # bytes of HTML for a line on a page of its own


@dataclass(frozen=True, slots=True)
class LogRow:
    """A line on the page. `day` is empty where it is that of the line before."""

    seq: int
    day: str
    time: str
    level: Level
    text: str
    is_cut: bool


@dataclass(frozen=True, slots=True)
class LineRange:
    """The lines of a page: those that match among lines `first` to `last`, of `total` in the log.

    `last` is less than `first` where there are no lines.
    """

    events: tuple[Event, ...] = ()
    first: int = 1
    last: int = 0
    total: int = 0

    @property
    def is_at_end(self) -> bool:
        """Whether these are the last lines so far."""
        return self.last >= self.total


@dataclass(frozen=True, slots=True)
class LogLines:
    """A thread's log, filtered to lines of `level` or worse that contain `text`, ignoring case."""

    store: ThreadStore
    thread_id: str
    level: Level | None = None
    text: str = ""
    with_detail: bool = False
    _needle: str = field(init=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "_needle", self.text.lower())

    @property
    def is_filtered(self) -> bool:
        """Whether a filter may leave out lines."""
        return bool(self.text) or self.level is not None

    def single(self, number: int) -> LineRange:
        """Return only the line of that number, whatever the filters, or the line that tells of its gap."""
        page = self._read(number, 1)
        return LineRange(page.events[:1], number, page.events[0].seq if page.events else number - 1, page.total)

    def around(self, number: int) -> LineRange:
        """Return the page that opens at the line of that number, with a few lines above it unless a filter is set."""
        return self.after(number - 1 if self.is_filtered else max(0, number - 1 - _CONTEXT))

    def after(self, number: int) -> LineRange:
        """Return the lines after that number, or the last lines at the end of the log."""
        first = number + 1
        page = self._read(first, self._size)
        if not page.events:
            return self.last()
        matching: list[Event] = []
        last = number
        for event in self._matching(page, first):
            if len(matching) == PAGE_SIZE:
                break
            matching.append(event)
            last = event.seq
        else:
            last = page.events[-1].seq
        return LineRange(tuple(matching), first, last, page.total)

    def last(self) -> LineRange:
        """Return the last lines."""
        return self._up_to(None)

    def before(self, number: int) -> LineRange:
        """Return the lines before that number."""
        return self._up_to(number - 1) if number > 1 else self.after(0)

    def _up_to(self, end: int | None) -> LineRange:
        size = self._size
        while True:
            first = -size if end is None else max(1, end - size + 1)
            page = self._read(first, size if end is None else end - first + 1)
            to = page.total if end is None else min(end, page.total)
            if not page.events:
                return LineRange((), 1, 0, page.total)
            first = max(1, page.total - size + 1) if end is None else first
            if end is not None and page.events[0].seq > end:
                # These lines were dropped: go on with the lines before the gap.
                end = page.events[0].seq - page.dropped
                if end < 1:
                    return LineRange((), 1, 0, page.total)
                continue
            if page.next > to or size == 1:
                break
            size = max(1, len(page.events) // 2)  # Long lines: read fewer, so that the read reaches `to`.
        matching = [event for event in self._matching(page, first) if event.seq <= to]
        if len(matching) > PAGE_SIZE:
            matching = matching[-PAGE_SIZE:]
            first = matching[0].seq
        return LineRange(tuple(matching), first, to, page.total)

    def rows(self, lines: LineRange) -> Iterator[LogRow]:
        """Yield the rows of these lines, each cut so that the page stays small."""
        texts = self._texts(lines)
        for limit in _LIMITS:
            heads = [cut(text, limit) for text in texts]
            if sum(map(html_size, heads)) <= _MAX_BYTES:
                break
        return _rows(lines.events, texts, heads)

    def full_rows(self, lines: LineRange) -> Iterator[LogRow]:
        """Yield the rows of these lines with their full text, up to what a page can hold."""
        texts = self._texts(lines)
        return _rows(lines.events, texts, [cut(text, _FULL) for text in texts])

    def _texts(self, lines: LineRange) -> list[str]:
        return [event.text(with_detail=self.with_detail) for event in lines.events]

    @property
    def _size(self) -> int:
        return _LOOK_AT if self.is_filtered else PAGE_SIZE

    def _read(self, first: int, size: int) -> LogPage:
        return self.store.log(self.thread_id, first, size)

    def _matching(self, page: LogPage, first: int) -> Iterator[Event]:
        expected = first
        for event in page.events:
            # After a gap comes the event that tells how many lines were dropped: it is shown whatever the filter.
            if event.seq != expected or self._matches(event):
                yield event
            expected = event.seq + 1

    def _matches(self, event: Event) -> bool:
        if self.level is not None and not event.level.is_at_least(self.level):
            return False
        return not self._needle or self._needle in event.text(with_detail=self.with_detail).lower()


def _rows(events: Sequence[Event], texts: Sequence[str], heads: Sequence[str]) -> Iterator[LogRow]:
    previous_day = ""
    for event, text, head in zip(events, texts, heads, strict=True):
        day, time = iso(event.timestamp)[:23].split("T")
        yield LogRow(event.seq, "" if day == previous_day else day, time, event.level, head, len(head) < len(text))
        previous_day = day
