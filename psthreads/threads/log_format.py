"""The format of a log's lines in Redis: the time, one letter for the level, and the text.

A line is stored without its number, which follows from its position.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from psthreads.domain.model import Event, Level, Line

# After a small letter, only the first line of the text is for everybody; the rest is for administrators.
_LETTERS: Final = {Level.DEBUG: "D", Level.INFO: "I", Level.WARN: "W", Level.ERROR: "E"}
_LEVELS: Final = {letter: level for level, letter in _LETTERS.items()}
_STAMPED: Final = re.compile("[0-9]{13}[DIWEdiwe]")
_STAMP: Final = 13  # digits of the milliseconds since the epoch, from 2001 until 2286


def write(line: Line) -> str:
    """Return a line as it is stored."""
    letter = _LETTERS[line.level]
    if line.detail:
        return f"{line.timestamp}{letter.lower()}{' '.join(line.message.split())}\n{line.detail}"
    return f"{line.timestamp}{letter}{line.message}"


def parse(first: int, lines: list[bytes], head: int, dropped: int) -> Iterator[Event]:
    """Yield the events in stored lines, the first of which has the number `first`.

    `head` is the number of lines in the log's head, `dropped` the number of those missing after it: one event stands
    for all of them.
    """
    number = first
    for line in lines:
        text = line.decode(errors="replace")
        if not _STAMPED.match(text):
            text = f"{'0' * _STAMP}WThis line cannot be read"
        stamp = int(text[:_STAMP])
        if head < number <= head + dropped:
            gap = f"{dropped:,} lines are gone from here, numbers {head + 1} to {head + dropped}"
            yield Event(head + dropped, stamp, Level.WARN, gap)
            number = head + dropped + 1
        letter, message, detail = text[_STAMP], text[_STAMP + 1 :], ""
        if letter.islower():
            message, _, detail = message.partition("\n")
        yield Event(number, stamp, _LEVELS[letter.upper()], message, detail)
        number += 1
