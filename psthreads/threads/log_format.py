"""How a line of a log is written in Redis: the time, one letter for the level, and the text.

No number is stored with a line: it follows from where the line stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from psthreads.domain.model import Event, Level, Line

# A line whose letter is small has a first line for everybody, and more for administrators only.
_LETTERS: Final = {Level.DEBUG: "D", Level.INFO: "I", Level.WARN: "W", Level.ERROR: "E"}
_LEVELS: Final = {letter: level for level, letter in _LETTERS.items()}
_STAMP: Final = 13  # digits of the milliseconds since the epoch, from 2001 until 2286


def write(line: Line) -> str:
    """A line as it is stored."""
    letter = _LETTERS[line.level]
    if line.detail:
        return f"{line.timestamp}{letter.lower()}{' '.join(line.message.split())}\n{line.detail}"
    return f"{line.timestamp}{letter}{line.message}"


def read(first: int, lines: list[bytes], head: int, dropped: int) -> Iterator[Event]:
    """The events in stored lines, of which the first one wanted has the number `first`.

    `head` is how many lines the log's head has, `dropped` how many are gone after it: one event tells of these.
    """
    number = first
    for line in lines:
        text = line.decode()
        stamp = int(text[:_STAMP])
        if head < number <= head + dropped:
            gone = f"{dropped:,} lines are gone from here, numbers {head + 1} to {head + dropped}"
            yield Event(head + dropped, stamp, Level.WARN, gone)
            number = head + dropped + 1
        letter, message, detail = text[_STAMP], text[_STAMP + 1 :], ""
        if letter.islower():
            message, _, detail = message.partition("\n")
        yield Event(number, stamp, _LEVELS[letter.upper()], message, detail)
        number += 1
