"""The page of a thread: status, timeline, details, files, the end of its log, and its actions."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from flask import Blueprint, g, redirect, render_template
from werkzeug.wrappers import Response as AnyResponse

from psthreads.authoring.parameter import Value, as_text
from psthreads.authoring.process import Answer
from psthreads.domain import access
from psthreads.domain.masking import MASK, Masker
from psthreads.domain.model import LogPage, Status, Thread
from psthreads.web.api import starts
from psthreads.web.auth.guard import Guard
from psthreads.web.http import respond
from psthreads.web.http.audit_origin import request_origin
from psthreads.web.pages import scope
from psthreads.web.pages.formatting import duration, pluralize, status_word
from psthreads.web.pages.threads.again import may_start, start_again
from psthreads.web.services import Services

_TAIL: Final = 12
_LONGEST_TRACE: Final = 8_000  # characters; the log has the whole
_STALLED_MS: Final = 10_000  # without a report
_SILENT_MS: Final = 5_000  # healthy workers send heartbeats more often


def add_to(blueprint: Blueprint, services: Services, guard: Guard) -> None:
    """Add the page of a thread and the actions of its buttons."""
    mask = Masker(services.config.mask)

    @blueprint.get("/threads/<thread>")
    def thread(thread: str, **_: str) -> str:
        target = services.store.with_result(guard.thread(thread))
        process = services.registry.find(target.process)
        now = int(time.time() * 1000)
        log = services.store.log(target.id, -_TAIL, _TAIL)
        return render_template(
            "thread.html",
            thread=target,
            log=log,
            trace=_trace(target, log) if access.sees_details(g.caller) else "",
            bars=[(bar, _time_left(target, bar, now)) for bar in respond.bars(target)],
            results=respond.results(target),
            result=json.dumps(json.loads(target.result), indent=2, ensure_ascii=False) if target.result else "",
            parameters=_visible(services.store.values(target.id), mask),
            history=list(_timeline(target, now)),
            may_start=process is not None and may_start(process),
            may_delete=target.status.is_final and access.may_delete(g.caller),
        )

    @blueprint.post("/threads/<thread>/cancel")
    def cancel(thread: str, **_: str) -> AnyResponse:
        target = guard.thread(thread)
        services.engine.cancel(target, by=request_origin())
        return redirect(scope.page("thread", thread=target.id), 303)

    @blueprint.post("/threads/<thread>/again")
    def again(thread: str, **_: str) -> AnyResponse:
        return follow(start_again(services, guard.thread(thread), starts.form_key()))


def follow(result: Thread | Answer) -> AnyResponse:
    """Return the response to a start: the way to the new thread's page, or the file that the process made at once."""
    if isinstance(result, Answer):
        return starts.send(result)
    return redirect(scope.page("thread", thread=result.id), 303)


def _trace(thread: Thread, log: LogPage) -> str:
    """Return the traceback of a thread's failure, or as much of its end as a page carries."""
    if thread.status is not Status.FAILED:
        return ""
    trace = next((event.detail for event in reversed(log.events) if event.detail), "")
    return trace if len(trace) <= _LONGEST_TRACE else f"…\n{trace[-_LONGEST_TRACE:]}"


def _time_left(thread: Thread, bar: respond.BarView, now: int) -> str:
    """Return the rate of a bar and the time left at that rate, empty where there is no current rate."""
    rates: Mapping[str, float] = json.loads(thread.rates) if thread.rates else {}
    rate = rates.get(bar.name, 0.0)
    is_stalled = now - thread.reported > _STALLED_MS  # The rate is out of date.
    if thread.status.is_final or is_stalled or rate <= 0 or bar.current >= bar.total:
        return ""
    return f"{rate:,.3g} per second, about {duration(1000 * (bar.total - bar.current) / rate)} left"


def _visible(values: Mapping[str, Value], mask: Masker) -> dict[str, str]:
    """Return the parameters as text, those that look like secrets masked."""
    texts = {name: as_text(value) for name, value in values.items()}
    return {name: MASK if text and looks_secret(mask, name, text) else text for name, text in texts.items()}


def looks_secret(mask: Masker, name: str, text: str) -> bool:
    """Return whether a parameter has the name of a secret, or a value that looks like one."""
    assignment = f"{name}=x"
    return mask(assignment) != assignment or mask(text) != text


def _timeline(thread: Thread, now: int) -> Iterator[dict[str, Any]]:
    yield {"what": "Created", "ms": thread.created, "note": f"for {thread.username}"}
    if thread.restarts:
        yield {"what": f"Restarted {pluralize(thread.restarts, 'time')}", "kind": "warn", "note": "worker lost"}
    if thread.started:
        waited = duration(thread.started - thread.created)
        note = f"after {waited}, by worker {thread.worker[:8]}"
        yield {"what": "Started", "ms": thread.started, "kind": "running", "note": note}
    elif not thread.status.is_final:
        yield {"what": "Waiting", "since": thread.created, "now": now, "kind": "later"}
    if thread.cancelled_by:
        yield {
            "what": f"Cancel requested by {thread.cancelled_by}",
            "ms": thread.cancel_asked,
            "kind": "warn",
            "note": "stopping its code" if thread.cancelling else "",
        }
    if thread.ended:
        kind = {"completed": "good", "failed": "bad"}.get(thread.status, "warn")
        note = f"ran for {duration(thread.ended - thread.started)}" if thread.started else "never ran"
        yield {"what": status_word(thread.status), "ms": thread.ended, "kind": kind, "note": note}
    elif thread.started:
        silence = now - thread.heard
        note = f"last heartbeat {duration(silence)} ago" if silence > _SILENT_MS else ""
        yield {"what": "Running", "since": thread.started, "now": now, "note": note, "kind": "later"}
