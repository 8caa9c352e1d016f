"""The lines of a log that a page shows: which ones, narrowed by level and text, and how much of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from psthreads.domain.model import Event, Level, LogPage, iso
from psthreads.threads.store import ThreadStore
from psthreads.web.pages.words import cut, weight

SHOWN: Final = 200
"""The most lines of a page."""

_LOOKED: Final = 5_000  # lines that one request looks at when they are narrowed
_ABOVE: Final = 10  # lines before one that is jumped to, for what led to it
_ROOM: Final = 28_000  # bytes of HTML for the texts of a page
_LIMITS: Final = (600, 400, 250, 120)  # bytes of HTML for the text of one line, the greatest that leaves room for all
_WHOLE: Final = 40_000  # bytes of HTML for the text of a line that is shown alone


@dataclass(frozen=True, slots=True)
class LogRow:
    """A line as it is shown. `day` is told where it is another than that of the line before."""

    seq: int
    day: str
    time: str
    level: Level
    text: str
    is_cut: bool


@dataclass(frozen=True, slots=True)
class LineRange:
    """Lines that a page shows, of all from number `first` to `last` that were looked at; `total` are in the log.

    Where nothing was looked at, `last` is before `first`.
    """

    events: tuple[Event, ...] = ()
    first: int = 1
    last: int = 0
    total: int = 0

    @property
    def is_at_end(self) -> bool:
        """Whether nothing comes after these lines yet."""
        return self.last >= self.total


@dataclass(frozen=True, slots=True)
class Lines:
    """A thread's log, narrowed to what is as grave as `level` or graver and has `text` in it, in any case."""

    store: ThreadStore
    thread_id: str
    level: Level | None = None
    text: str = ""
    with_detail: bool = False
    _sought: str = field(init=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "_sought", self.text.lower())

    @property
    def is_narrowed(self) -> bool:
        """Whether some lines may be left out."""
        return bool(self.text) or self.level is not None

    def one(self, number: int) -> LineRange:
        """The line of that number alone, whatever the lines are narrowed to; what was dropped there, if it is gone."""
        page = self._read(number, 1)
        return LineRange(page.events[:1], number, page.events[0].seq if page.events else number - 1, page.total)

    def around(self, number: int) -> LineRange:
        """The line of that number with a few before it and more after it; of narrowed lines those from it on."""
        return self.after(number - 1 if self.is_narrowed else max(0, number - 1 - _ABOVE))

    def after(self, number: int) -> LineRange:
        """The lines that follow that number; at the end of the log, the last ones."""
        first = number + 1
        page = self._read(first, self._most)
        if not page.events:
            return self.last()
        kept: list[Event] = []
        last = number
        for event in self._matching(page, first):
            if len(kept) == SHOWN:
                break
            kept.append(event)
            last = event.seq
        else:
            last = page.events[-1].seq
        return LineRange(tuple(kept), first, last, page.total)

    def last(self) -> LineRange:
        """The last lines."""
        return self._up_to(None)

    def before(self, number: int) -> LineRange:
        """The lines that lead to that number, without it."""
        return self._up_to(number - 1) if number > 1 else self.after(0)

    def _up_to(self, end: int | None) -> LineRange:
        many = self._most
        while True:
            first = -many if end is None else max(1, end - many + 1)
            page = self._read(first, many if end is None else end - first + 1)
            to = page.total if end is None else min(end, page.total)
            if not page.events:
                return LineRange((), 1, 0, page.total)
            first = max(1, page.total - many + 1) if end is None else first
            if end is not None and page.events[0].seq > end:
                # All of it is gone: what is left before stands where the gap begins.
                end = page.events[0].seq - page.dropped
                if end < 1:
                    return LineRange((), 1, 0, page.total)
                continue
            if page.next > to or many == 1:
                break
            many = max(1, len(page.events) // 2)  # Long lines: a piece with an end that is near enough.
        kept = [event for event in self._matching(page, first) if event.seq <= to]
        if len(kept) > SHOWN:
            kept = kept[-SHOWN:]
            first = kept[0].seq
        return LineRange(tuple(kept), first, to, page.total)

    def rows(self, run: LineRange) -> Iterator[LogRow]:
        """The lines as they are shown, so much of each that the page does not grow too large."""
        texts = self._texts(run)
        for limit in _LIMITS:
            shown = [cut(text, limit) for text in texts]
            if sum(map(weight, shown)) <= _ROOM:
                break
        return _rows(run.events, texts, shown)

    def whole(self, run: LineRange) -> Iterator[LogRow]:
        """The lines with all of their text; what no page should hold is cut."""
        texts = self._texts(run)
        return _rows(run.events, texts, [cut(text, _WHOLE) for text in texts])

    def _texts(self, run: LineRange) -> list[str]:
        return [event.text(with_detail=self.with_detail) for event in run.events]

    @property
    def _most(self) -> int:
        return _LOOKED if self.is_narrowed else SHOWN

    def _read(self, first: int, many: int) -> LogPage:
        return self.store.log(self.thread_id, first, many)

    def _matching(self, page: LogPage, first: int) -> Iterator[Event]:
        expected = first
        for event in page.events:
            # A number that is passed over was dropped, and its event says so: it is shown whatever is sought.
            if event.seq != expected or self._matches(event):
                yield event
            expected = event.seq + 1

    def _matches(self, event: Event) -> bool:
        if self.level is not None and not event.level.is_at_least(self.level):
            return False
        return not self._sought or self._sought in event.text(with_detail=self.with_detail).lower()


def _rows(events: Sequence[Event], texts: Sequence[str], shown: Sequence[str]) -> Iterator[LogRow]:
    before = ""
    for event, text, kept in zip(events, texts, shown, strict=True):
        moment = iso(event.timestamp)
        day = moment[:10]
        yield LogRow(event.seq, "" if day == before else day, moment[11:23], event.level, kept, len(kept) < len(text))
        before = day
