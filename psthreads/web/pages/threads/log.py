"""The log of one thread as a page: narrowed, paged, jumped in by a line's number, and followed by static/log.js."""

from __future__ import annotations

from typing import Any, Final

from flask import Blueprint, g, render_template, request

from psthreads.authoring.parameter import Bounds, Parameter
from psthreads.domain import access
from psthreads.domain.model import Level
from psthreads.web.auth.guard import Guard
from psthreads.web.http.parameters import value_of
from psthreads.web.pages import scope
from psthreads.web.pages.threads.lines import LineRange, Lines
from psthreads.web.services import Services

_NUMBERS: Final = Bounds(0, 2**53)
_FROM: Final = Parameter(
    "from_", int, 0, _NUMBERS, description="the number of the line to jump to; 0 for the last ones"
)
_AFTER: Final = Parameter("after", int, -1, Bounds(-1, 2**53), description="the lines after this number; -1: none")
_BEFORE: Final = Parameter("before", int, 0, _NUMBERS, description="the lines that lead to this number; 0: none")
_LEVEL: Final = Parameter("level", str, "", choices=("", *Level), description="lines of this level or a graver one")
_TEXT: Final = Parameter("text", str, "", Bounds(greatest=200), description="lines with this in them, in any case")
_WHOLE: Final = Parameter("whole", bool, False, description="only the line to jump to, with all of its text")


def add_to(blueprint: Blueprint, services: Services, guard: Guard) -> None:
    """Add the page of a thread's log."""

    @blueprint.get("/threads/<thread>/log", provide_automatic_options=False)
    def log(thread: str, **_: str) -> str:
        found = guard.thread(thread)
        if scope.layout() != "base.html":
            # The script brings the lines itself, and asks for the head of the page alone.
            return render_template("log.html", thread=found, run=None)
        level, text = value_of(_LEVEL), value_of(_TEXT).strip()
        lines = Lines(
            services.store, found.id, Level(level) if level else None, text, with_detail=access.sees_details(g.caller)
        )
        jump: int = _asked(_FROM)
        is_whole = bool(_asked(_WHOLE) and jump)
        run = lines.one(jump) if is_whole else _run(lines, jump, _asked(_AFTER), _asked(_BEFORE))
        return render_template(
            "log.html",
            thread=found,
            run=run,
            rows=list((lines.whole if is_whole else lines.rows)(run)),
            jump=jump,
            is_whole=is_whole,
            is_latest=run.is_at_end and not jump,
            narrowed={"level": level or None, "text": text or None},
        )


def _run(lines: Lines, jump: int, after: int, before: int) -> LineRange:
    if jump:
        return lines.around(jump)
    if after >= 0:
        return lines.after(after)
    return lines.before(before) if before else lines.last()


def _asked(parameter: Parameter) -> Any:
    """A parameter of the page; one that a form left empty is as one that is absent."""
    return value_of(parameter) if request.args.get(parameter.wire) else parameter.default
