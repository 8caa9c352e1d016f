"""The audit as a file: CSV for a spreadsheet, JSON lines for programs; in constant memory."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from psthreads.audit.entries import FIELDS, AuditEntry
from psthreads.domain.model import iso

_AT_ONCE: Final = 500
# Where a formula may begin for a spreadsheet: at the beginning of a cell, or after what another separator than ours
# would make one. In ASCII, and as East Asian keyboards write it.
_FORMULA: Final = re.compile('(^|[;,|\t\r\n])(?=[ "]*[=+\\-@\uff1d\uff0b\uff0d\uff20])|^(?=[\t\r\n])')


@dataclass(frozen=True, slots=True)
class Format:
    """A format of the file: its media type, its first line, and how it writes entries."""

    media: str
    head: str
    write: Callable[[list[AuditEntry]], str]


def pieces(entries: Iterable[AuditEntry], name: str, check: Callable[[], None] = lambda: None) -> Iterator[str]:
    """Yield the file in the named format, piece by piece.

    `check` runs before each piece; what it raises ends the file.
    """
    chosen = FORMATS[name]
    if chosen.head:
        yield chosen.head
    rest = iter(entries)
    while chunk := list(islice(rest, _AT_ONCE)):
        check()
        yield chosen.write(chunk)


def _row(entry: AuditEntry) -> dict[str, str]:
    return {"entry": entry.id, "time": iso(entry.time), **entry.fields()}


def _csv(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([map(_cell, row) for row in rows])
    return text.getvalue()


def _cell(text: str) -> str:
    # Anybody can write a reason: an apostrophe keeps a spreadsheet from running it as a formula.
    return _FORMULA.sub(r"\1'", text)


def _json(entries: list[AuditEntry]) -> str:
    return "".join(f"{json.dumps(_row(entry), ensure_ascii=False)}\n" for entry in entries)


FORMATS: Final[Mapping[str, Format]] = {
    "csv": Format(
        "text/csv; charset=utf-8",
        _csv([("entry", "time", *FIELDS)]),
        lambda entries: _csv(_row(entry).values() for entry in entries),
    ),
    "jsonl": Format("application/jsonl; charset=utf-8", "", _json),
}
"""The formats, by their names."""
