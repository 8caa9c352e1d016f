"""The page of a thread's log: filtered, paged, opened at a line, and followed by static/log.js."""

from __future__ import annotations

from typing import Any, Final

from flask import Blueprint, g, render_template, request

from psthreads.authoring.parameter import Bounds, Parameter
from psthreads.domain import access
from psthreads.domain.model import Level
from psthreads.web.auth.guard import Guard
from psthreads.web.pages import scope
from psthreads.web.pages.threads.lines import LineRange, LogLines
from psthreads.web.services import Services

_NUMBERS: Final = Bounds(0, 2**53)
_FROM: Final = Parameter("from_", int, 0, _NUMBERS)  # the line to open; 0 for the last lines
_AFTER: Final = Parameter("after", int, -1, Bounds(-1, 2**53))  # the lines after this number; -1 for no such bound
_BEFORE: Final = Parameter("before", int, 0, _NUMBERS)  # the lines before this number; 0 for no such bound
_LEVEL: Final = Parameter("level", str, "", choices=("", *Level))  # this level or worse
_TEXT: Final = Parameter("text", str, "", Bounds(greatest=200))  # lines that contain this, ignoring case
_WHOLE: Final = Parameter("whole", bool, False)  # only the line of `from`, with its full text


def add_to(blueprint: Blueprint, services: Services, guard: Guard) -> None:
    """Add the page of a thread's log."""

    @blueprint.get("/threads/<thread>/log")
    def log(thread: str, **_: str) -> str:
        target = guard.thread(thread)
        if scope.layout() != "base.html":
            # The script fetches the lines itself, and refreshes only the head of the page.
            return render_template("log.html", thread=target, lines=None)
        level, text = _value(_LEVEL), _value(_TEXT).strip()
        view = LogLines(
            services.store, target.id, Level(level) if level else None, text, with_detail=access.sees_details(g.caller)
        )
        jump: int = _value(_FROM)
        is_single = bool(_value(_WHOLE) and jump)
        lines = view.single(jump) if is_single else _range(view, jump, _value(_AFTER), _value(_BEFORE))
        return render_template(
            "log.html",
            thread=target,
            lines=lines,
            rows=list((view.full_rows if is_single else view.rows)(lines)),
            jump=jump,
            is_single=is_single,
            is_latest=lines.is_at_end and not jump,
            filters={"level": level or None, "text": text or None},
        )


def _range(view: LogLines, jump: int, after: int, before: int) -> LineRange:
    if jump:
        return view.around(jump)
    if after >= 0:
        return view.after(after)
    return view.before(before) if before else view.last()


def _value(parameter: Parameter) -> Any:
    """Return a parameter of the query; a field that a form leaves empty counts as absent."""
    text = request.args.get(parameter.wire)
    return parameter.read(text) if text else parameter.default
