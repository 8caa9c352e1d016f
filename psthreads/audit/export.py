"""The audit as a file: CSV for a spreadsheet, JSON lines for programs; piece by piece, whatever there is."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from psthreads.audit.entries import FIELDS, AuditEntry, fields_of
from psthreads.domain.model import iso

_AT_ONCE: Final = 500
# What a spreadsheet takes for the beginning of a formula, in ASCII and as East Asian keyboards write it.
_FORMULA: Final = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


@dataclass(frozen=True, slots=True)
class Format:
    """How entries become text: what the file begins with, and some entries."""

    media: str
    head: str
    write: Callable[[list[AuditEntry]], str]


def pieces(entries: Iterable[AuditEntry], name: str, check: Callable[[], None] = lambda: None) -> Iterator[str]:
    """The file in this format, as it is read; `check` is called before each piece, and what it raises ends the file."""
    form = FORMATS[name]
    if form.head:
        yield form.head
    rest = iter(entries)
    while some := list(islice(rest, _AT_ONCE)):
        check()
        yield form.write(some)


def _row(entry: AuditEntry) -> dict[str, str]:
    return {"entry": entry.id, "time": iso(entry.time), **fields_of(entry)}


def _csv(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([map(_cell, row) for row in rows])
    return text.getvalue()


def _cell(text: str) -> str:
    """The text, with an apostrophe before what would be a formula: a reason is anybody's to write."""
    return f"'{text}" if text.startswith(_FORMULA) else text


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
"""By their names."""
