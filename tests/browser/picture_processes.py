"""Processes that look as real ones do, for `make screenshots`; loaded by real workers."""

from __future__ import annotations

import itertools
import time
from typing import Literal

from psthreads.authoring.context import Context
from psthreads.authoring.registry import process
from psthreads.domain.model import Level

_ROUTE = "/members/{member}/groups/{group}/pictures/"
_DOCUMENTS = (
    "/documents/manuals/centrifugal/ap-200/installation.psml",
    "/documents/manuals/translations/ja/保守点検.psml",
    "/documents/manuals/translations/he/התקנת מגוף.psml",
    "/documents/press/2024/ap-350-launch.xml",
    "/documents/a-path-without-any-place-to-break-it-" + "x" * 120 + ".xml",
    "/documents/canteen/Käsespätzle für alle.xml",
)
TRACEBACK = """Traceback (most recent call last):
  File "convert.py", line 48, in convert
    tree = etree.parse(source)
  File "src/lxml/etree.pyx", line 3591, in lxml.etree.parse
lxml.etree.XMLSyntaxError: Opening and ending tag mismatch: fragment line 14 and section, line 31, column 11"""


def _talk(context: Context, lines: int, *, errors: bool = True) -> None:
    for number in range(lines):
        path = _DOCUMENTS[number % len(_DOCUMENTS)]
        if number % 17 == 11:
            context.warning(f"{path}: the link to block 12 leads nowhere")
        elif errors and number % 29 == 23:
            context.error(f"{path}: cannot be converted")
            context.log("It stays as it was", Level.ERROR, detail=TRACEBACK)
        else:
            context.log(f"Converting {path}")


@process(title="{title}", route=_ROUTE + "busy")
def busy(context: Context, title: str, status: Literal["inprogress", "warning", "error"] = "inprogress") -> None:
    """Has three bars and a long log, and goes on until it is cancelled, with this status."""
    steps, documents = context.bar("progress", 3), context.bar("processing", 12_474)
    context.bar("packaging", 250)
    _talk(context, 60)
    match status:
        case "warning":
            context.warning("14 links lead nowhere so far")
        case "error":
            context.error("A document cannot be converted, and stays as it was")
        case "inprogress":
            context.message(f"Converting {_DOCUMENTS[0]}")
    for number in itertools.count():
        time.sleep(0.1)
        if number == 10:
            steps.advance()
        if number < 1000:
            documents.advance(12)


@process(title="{title}", route=_ROUTE + "done")
def done(context: Context, title: str, lines: int = 40, says: str = "Converted 12,474 documents") -> str:
    """Has a log, and ends."""
    with context.bar("processing", total=lines) as bar:
        for _ in bar.iter(range(lines)):
            pass
    _talk(context, lines, errors=False)
    return says


@process(title="{title}", route=_ROUTE + "broken")
def broken(context: Context, title: str, lines: int = 400) -> None:
    """Has a log that is longer than a page, and fails."""
    _talk(context, lines)
    raise OSError("No space is left for /documents/manuals: 2,310 of 12,474 documents were converted")
