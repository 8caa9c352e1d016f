"""Failures by cause: the newest failed threads that match the filters, grouped by process and message.

What differs between two messages of one cause is left out: names, paths, ids and numbers.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from flask import Blueprint, Response, render_template

from psthreads.domain.model import Thread
from psthreads.threads.search import ThreadSearchResult
from psthreads.web.auth.guard import Guard
from psthreads.web.pages.threads import filters
from psthreads.web.services import Services

_LOOK_AT: Final = 1_000  # threads: what one request costs at most
_MOST_CAUSES: Final = 60
_LONGEST_TEXT: Final = 200  # characters that the list's search takes
_SHORTEST_TEXT: Final = 4
_VARIABLE: Final = re.compile(r"""'[^']*'|"[^"]*"|“[^”]*”|\S*/\S+|\b(?=\w*\d)[0-9a-f]{8,}\b|\d+(?:[.,]\d+)*""")
_PLACE: Final = "…"


@dataclass(frozen=True, slots=True)
class Cause:
    """Failed threads of one process with one message. `text` is what the list's search finds them by, or empty."""

    process: str
    message: str
    text: str
    count: int
    newest: Thread


def add_to(blueprint: Blueprint, services: Services, guard: Guard) -> None:  # noqa: ARG001 (called like every section's)
    """Add the page."""

    @blueprint.get("/failures")
    def failures(**_: str) -> Response:
        chosen = filters.read(services.directory, services.registry, status="failed")
        result = ThreadSearchResult((), "", None, 0)
        if not chosen.problems:
            result = services.search.find(chosen.query, size=_LOOK_AT, look_at=_LOOK_AT)
        causes = causes_of(result.threads)
        page = render_template(
            "failures.html",
            filters=chosen,
            causes=causes[:_MOST_CAUSES],
            others=causes[_MOST_CAUSES:],
            looked_at=len(result.threads),
            looked_back_to=result.looked_back_to or (result.threads[-1].ended if result.after else 0),
            processes=[process.name for process in services.registry],
            now=int(time.time() * 1000),
        )
        return Response(page, 400 if chosen.problems else 200)


def causes_of(threads: Iterable[Thread]) -> list[Cause]:
    """Return the causes of these failures, which stand newest first: those of most threads first."""
    groups: dict[tuple[str, str], list[Thread]] = {}
    for thread in threads:
        message = _PLACE.join(_VARIABLE.split(thread.message))
        groups.setdefault((thread.process, message), []).append(thread)
    causes = [
        Cause(process, message, _text(message), len(failed), failed[0]) for (process, message), failed in groups.items()
    ]
    return sorted(causes, key=lambda cause: -cause.count)


def _text(message: str) -> str:
    """Return the longest part of the message that all threads of the cause have."""
    longest = max((part.strip() for part in message.split(_PLACE)), key=len)[:_LONGEST_TEXT].strip()
    return longest if len(longest) >= _SHORTEST_TEXT else ""
