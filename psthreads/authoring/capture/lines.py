"""Turns the bytes that programs write into lines of a log, of whole characters and without a terminal's controls."""

from __future__ import annotations

import codecs
import re
import time
from typing import Final

from psthreads.domain.model import MAX_TEXT

PARTIAL_SECONDS: Final = 0.5
"""A line that is not complete is logged as it is after this time."""

_BAR_SECONDS: Final = 10.0  # between two lines of a progress bar
_MOST_BYTES: Final = 4 * MAX_TEXT
_CUT: Final = "… [the rest of this line is cut]"
# ECMA-48: control sequences, strings up to their end, other escapes; and the control characters but for tab and CR.
_CONTROLS: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)


class OutputLines:
    """The lines of one stream, from bytes in pieces of any size.

    A carriage return begins the line anew, so that of a progress bar only its last state is kept.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._is_bar = False
        self._is_cut = False
        self._shown = b""
        self._changed = self._said = 0.0

    @property
    def kept(self) -> int:
        """The number of the last bytes that are in no line yet."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that the bytes complete."""
        self._changed = time.monotonic()
        if self._is_cut:
            _, newline, data = data.partition(b"\n")
            if not newline:
                return []
            self._is_cut = False
        *whole, rest = (self._rest + data).split(b"\n")
        lines = [text for line in whole if (text := self._line(line)) is not None]
        before = rest.rfind(b"\r", 0, -1)
        if before >= 0:
            if not self._is_bar:
                self._is_bar, self._said = True, self._changed
            state = rest[before + 1 :]
            # Blanks wipe a bar out on a terminal: its last state is worth more.
            rest = state if state.strip() else b"\r".join((_last(rest[:before]), state))
        if len(rest) > _MOST_BYTES:
            lines.append(f"{_text(rest)[: MAX_TEXT - len(_CUT)]}{_CUT}")
            rest, self._is_cut = b"", True
        self._rest = rest
        return lines

    def partial(self) -> list[str]:
        """Return the line that is not complete, where it has stood for a while."""
        now = time.monotonic()
        if self._is_bar:
            if self._rest == self._shown or now < self._said + _BAR_SECONDS:
                return []
            self._said, self._shown = now, self._rest
            return [text for text in [_state(self._rest)] if text]
        if not self._rest or now < self._changed + PARTIAL_SECONDS:
            return []
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(self._rest)
        self._rest = decoder.getstate()[0]  # a character of which a part is to come
        return [_CONTROLS.sub("", text)] if text else []

    def end(self) -> list[str]:
        """Return what is left at the end of the stream."""
        text = self._line(self._rest) if self._rest else None
        self._rest = b""
        return [] if text is None else [text]

    def _line(self, line: bytes) -> str | None:
        is_bar = self._is_bar or b"\r" in line[:-1]
        is_shown = is_bar and line == self._shown
        self._is_bar, self._shown = False, b""
        text = _state(line)
        return None if is_bar and (is_shown or not text.strip()) else text


def _state(line: bytes) -> str:
    """Return the last state of a line that was written over."""
    return _text(_last(line))


def _last(line: bytes) -> bytes:
    states = line.split(b"\r")
    return next((state for state in reversed(states) if state.strip()), states[0])


def _text(line: bytes) -> str:
    return _CONTROLS.sub("", line.decode(errors="replace"))
