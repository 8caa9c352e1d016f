"""The page of one thread: how it stands, what it was started with, what it made, and what can be done with it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from flask import Blueprint, g, redirect, render_template
from werkzeug.wrappers import Response as AnyResponse

from psthreads.authoring.masking import MASK, Masker
from psthreads.authoring.parameter import Value, as_text
from psthreads.authoring.process import Answer as Done
from psthreads.authoring.process import Process
from psthreads.domain import access
from psthreads.domain.errors import MemberNotFound
from psthreads.domain.model import Thread
from psthreads.web.api import starts
from psthreads.web.auth.guard import Guard
from psthreads.web.http import respond
from psthreads.web.http.audit_origin import request_origin
from psthreads.web.pages import scope
from psthreads.web.pages.words import duration, many
from psthreads.web.services import Services

_TAIL: Final = 12
_STALLED_MS: Final = 10_000  # without a report
_SILENT_MS: Final = 5_000  # a worker that is well is heard from more often


def add_to(blueprint: Blueprint, services: Services, guard: Guard) -> None:
    """Add the page of a thread, and what its buttons do."""
    mask = Masker(services.config.mask)

    @blueprint.get("/threads/<thread>", provide_automatic_options=False)
    def thread(thread: str, **_: str) -> str:
        found = guard.thread(thread)
        process = services.registry.find(found.process)
        log = services.store.log(found.id, -_TAIL, _TAIL)
        now = int(time.time() * 1000)
        return render_template(
            "thread.html",
            thread=found,
            log=log,
            bars=[(bar, _left(found, bar, now)) for bar in respond.bars(found)],
            results=respond.results(found),
            values=_shown(services.store.values(found.id), mask),
            story=list(_timeline(found, now)),
            may_start=process is not None and _may_start(process),
            may_delete=found.status.is_final and access.may_delete(g.caller),
            with_detail=access.sees_details(g.caller),
        )

    @blueprint.post("/threads/<thread>/cancel", provide_automatic_options=False)
    def cancel(thread: str, **_: str) -> AnyResponse:
        found = guard.thread(thread)
        services.engine.cancel(found, by=request_origin())
        return redirect(scope.page("thread", thread=found.id), 303)

    @blueprint.post("/threads/<thread>/again", provide_automatic_options=False)
    def again(thread: str, **_: str) -> AnyResponse:
        found = guard.thread(thread)
        process = starts.process_of(services, found.process, may_start=_may_start)
        begun = starts.begin(
            services,
            process,
            process.read(process.texts(services.store.values(found.id))),
            member=_whose(found),
            group=services.directory.find_group(str(found.group_id)) if found.group_name else None,
            key=starts.form_key(),
        )
        if isinstance(begun, Done):
            return starts.send(begun)
        return redirect(scope.page("thread", thread=begun.id), 303)

    def _whose(found: Thread) -> access.Member:
        """Whom the work is done for: an administrator starts it for the same member, others for themselves."""
        own: access.Member = g.caller.member
        if not own.admin or own.id == found.member_id:
            return own
        try:
            member = services.directory.find_member(str(found.member_id))
        except MemberNotFound:
            return own
        return member if access.may_act_as(g.caller, member) else own


def _may_start(process: Process) -> bool:
    return access.may_start(g.caller, process.role)


def _left(thread: Thread, bar: respond.BarView, now: int) -> str:
    """How fast a bar goes on, and how long it will take at that pace; nothing once the thread has ended."""
    rates: Mapping[str, float] = json.loads(thread.rates) if thread.rates else {}
    rate = rates.get(bar.name, 0.0)
    is_silent = now - thread.reported > _STALLED_MS  # Then the pace is of another time.
    if thread.status.is_final or is_silent or rate <= 0 or bar.current >= bar.total:
        return ""
    return f"{rate:,.3g} a second, about {duration(1000 * (bar.total - bar.current) / rate)} left"


def _shown(values: Mapping[str, Value], mask: Masker) -> dict[str, str]:
    """The parameters as they may be seen: of those that look like secrets, only that there is one."""
    texts = {name: as_text(value) for name, value in values.items()}
    return {name: MASK if text and looks_secret(mask, name, text) else text for name, text in texts.items()}


def looks_secret(mask: Masker, name: str, text: str) -> bool:
    """Whether a parameter is named as secrets are, or holds what looks like one."""
    named = f"{name}=x"
    return mask(named) != named or mask(text) != text


def _timeline(thread: Thread, now: int) -> Iterator[dict[str, Any]]:
    yield {"what": "Accepted", "ms": thread.created, "note": f"for {thread.username}"}
    if thread.restarts:
        yield {"what": f"Queued again {many(thread.restarts, 'time')}", "kind": "warn", "note": "its worker was lost"}
    if thread.started:
        waited = duration(thread.started - thread.created)
        yield {
            "what": "Started",
            "ms": thread.started,
            "kind": "running",
            "note": f"after {waited}, by worker {thread.worker[:8]}",
        }
    elif not thread.status.is_final:
        yield {"what": "Waits", "when": f"for {duration(now - thread.created)} by now", "kind": "later"}
    if thread.cancelled_by:
        yield {
            "what": f"Cancel asked for by {thread.cancelled_by}",
            "ms": thread.cancel_asked,
            "kind": "warn",
            "note": "its code is told to stop" if thread.cancelling else "",
        }
    if thread.ended:
        kind = {"completed": "good", "failed": "bad"}.get(thread.status, "warn")
        ran = f"ran {duration(thread.ended - thread.started)}" if thread.started else "never ran"
        yield {"what": thread.status.capitalize(), "ms": thread.ended, "kind": kind, "note": ran}
    elif thread.started:
        silent = now - thread.heard
        heard = f"last heard from {duration(silent)} ago" if silent > _SILENT_MS else ""
        yield {"what": "Runs", "when": f"for {duration(now - thread.started)} by now", "note": heard, "kind": "later"}
