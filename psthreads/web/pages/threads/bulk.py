"""Cancelling, killing, deleting or restarting many threads: first a confirmation page, then the result for each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from flask import Blueprint, g, render_template, request

from psthreads.authoring.parameter import Parameter
from psthreads.authoring.process import Answer
from psthreads.domain import access
from psthreads.domain.errors import (
    BadParameter,
    Conflict,
    NotAllowed,
    PsthreadsError,
    ThreadNotFound,
    TooManyRequests,
    Unavailable,
)
from psthreads.domain.model import Status, Thread, is_thread_id
from psthreads.web.api import starts
from psthreads.web.http.audit_origin import request_origin
from psthreads.web.http.parameters import value_of
from psthreads.web.pages.formatting import status_word
from psthreads.web.pages.threads import filters
from psthreads.web.pages.threads.again import start_again
from psthreads.web.services import Services

LIMIT: Final = 1_000
"""How many threads one action can change."""

_LOOK_AT: Final = 10_000
_ACT: Final = Parameter("act", str, "cancel", choices=("cancel", "kill", "delete", "again"))
_LONGEST: Final = 20.0  # seconds that starts may take: their checks may read documents


@dataclass(slots=True)
class Result:
    """The outcome for some of the threads, in words; `is_bad` where it is not what the member asked for."""

    outcome: str
    is_bad: bool
    threads: list[Thread] = field(default_factory=list)


def add_to(blueprint: Blueprint, services: Services) -> None:
    """Add the confirmation page and the action, which share one address."""

    @blueprint.post("/threads/act")
    def act(**_: str) -> str:
        action = str(value_of(_ACT))
        if action == "delete" and not access.may_delete(g.caller):
            raise NotAllowed("Deleting threads needs at least the role manager in their group.")
        chosen = filters.read(services.directory, services.registry)
        threads, has_more = _selected(services, chosen)
        if "confirmed" in request.form:
            results = _BulkAction(services, action).run(threads)
            return render_template("bulk-done.html", results=results, count=len(threads), filters=chosen)
        missing = 0 if "every" in request.form else min(LIMIT, len(_ids())) - len(threads)
        return render_template(
            "bulk.html",
            action=action,
            threads=threads,
            missing=missing,
            has_more=has_more,
            filters=chosen,
            limit=LIMIT,
        )


def _selected(services: Services, chosen: filters.Filters) -> tuple[Sequence[Thread], bool]:
    """Return the selected threads that the caller can see, and whether there are more of them."""
    if "every" in request.form:
        if chosen.problems:
            raise BadParameter(*next(iter(chosen.problems.items())))
        result = services.search.find(chosen.query, size=LIMIT, look_at=_LOOK_AT)
        return result.threads, bool(result.after)
    ids = _ids()
    threads, _version = services.store.fetch_many(ids[:LIMIT])
    return [thread for thread in threads if access.shows(g.caller, thread)], len(ids) > LIMIT


def _ids() -> list[str]:
    """Return the ids of the ticked threads, or those that the confirmation page carries, each once and in order."""
    ids = [*request.form.getlist("thread"), *request.form.get("threads", "").split()]
    for thread_id in ids:
        if not is_thread_id(thread_id):
            raise BadParameter("thread", f"'{thread_id[:40]}' is not the ID of a thread.")
    return list(dict.fromkeys(ids))


class _BulkAction:
    """Changes threads one by one, and collects the results."""

    def __init__(self, services: Services, name: str) -> None:
        self._services = services
        self._name = name
        self._by = request_origin()
        self._until = time.monotonic() + _LONGEST
        self._results: dict[str, Result] = {}

    def run(self, threads: Sequence[Thread]) -> list[Result]:
        """Change each thread and return the results, bad ones first."""
        change = {"delete": self._delete, "again": self._start_again}.get(self._name, self._cancel)
        for number, thread in enumerate(threads):
            try:
                change(thread)
            except ThreadNotFound:
                self._add(thread, "not found; deleted or expired", is_bad=True)
            except Conflict:
                self._add(thread, "not finished; cancel it first", is_bad=True)
            except (Unavailable, TooManyRequests) as problem:
                reason = "the database is unavailable" if isinstance(problem, Unavailable) else problem.message
                for rest in threads[number:]:
                    self._add(rest, f"not changed ({reason.rstrip('.')}); try again", is_bad=True)
                break
            except PsthreadsError as problem:
                self._add(thread, f"not started: {problem.message}", is_bad=True)
        return sorted(self._results.values(), key=lambda result: not result.is_bad)

    def _cancel(self, thread: Thread) -> None:
        now = self._services.engine.cancel(thread, by=self._by, force=self._name == "kill")
        if thread.status.is_final or now.status in {Status.COMPLETED, Status.FAILED}:
            self._add(now, f"already finished: {status_word(now.status)}", is_bad=True)
        elif now.cancelling:
            outcome = "being killed" if self._name == "kill" else "being cancelled; the code is told to stop"
            self._add(now, outcome, is_bad=False)
        else:
            self._add(now, "cancelled", is_bad=False)

    def _delete(self, thread: Thread) -> None:
        self._services.store.delete(thread.id, self._by)
        self._add(thread, "deleted", is_bad=False)

    def _start_again(self, thread: Thread) -> None:
        if time.monotonic() > self._until:
            raise TooManyRequests(f"these starts took longer than {_LONGEST:g} s", 1)
        # The form's key with the thread's: a form that is sent twice starts each thread once.
        result = start_again(self._services, thread, f"{starts.form_key()}-{thread.id}")
        if isinstance(result, Answer):
            result.path.unlink()
            self._add(thread, "done at once, without a thread; open it to get its file", is_bad=True)
        else:
            self._add(result, "started again", is_bad=False)

    def _add(self, thread: Thread, outcome: str, *, is_bad: bool) -> None:
        self._results.setdefault(outcome, Result(outcome, is_bad)).threads.append(thread)
