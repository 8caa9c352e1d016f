"""Cancelling or deleting many threads at once: first a question that says how many, then a line for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from flask import Blueprint, Response, g, render_template, request

from psthreads.authoring.parameter import Parameter
from psthreads.domain import access
from psthreads.domain.errors import BadParameter, Conflict, NotAllowed, ThreadNotFound, Unavailable
from psthreads.domain.model import Status, Thread, is_thread_id
from psthreads.web.http.audit_origin import request_origin
from psthreads.web.http.parameters import value_of
from psthreads.web.pages.threads import filters
from psthreads.web.services import Services

MOST: Final = 1_000
"""How many threads are acted on at once, at the most."""

_LOOKED_AT: Final = 10_000
_ACT: Final = Parameter("act", str, "cancel", choices=("cancel", "kill", "delete"))


@dataclass(slots=True)
class Result:
    """What became of some of the threads, in words; `is_bad` where it is not what was asked for."""

    said: str
    is_bad: bool
    threads: list[Thread] = field(default_factory=list)


def add_to(blueprint: Blueprint, services: Services) -> None:
    """Add the question and the deed, which are one address."""

    @blueprint.post("/threads/act", provide_automatic_options=False)
    def act(**_: str) -> Response:
        what = str(value_of(_ACT))
        if what == "delete" and not access.may_delete(g.caller):
            raise NotAllowed("Deleting threads needs at least the role manager in their group.")
        asked = filters.read(services.directory, services.registry)
        chosen, there_are_more = _chosen(services, asked)
        if "confirmed" in request.form:
            results = _Deed(services, what).do(chosen)
            text = render_template("bulk-done.html", what=what, results=results, count=len(chosen), asked=asked)
        else:
            missing = 0 if "every" in request.form else min(MOST, len(_named())) - len(chosen)
            text = render_template(
                "bulk.html",
                what=what,
                chosen=chosen,
                missing=missing,
                there_are_more=there_are_more,
                asked=asked,
                most=MOST,
            )
        return Response(text)

    def _chosen(services: Services, asked: filters.Filters) -> tuple[Sequence[Thread], bool]:
        """The threads that are meant, of those that there are for whoever asks; and whether there are more of them."""
        if "every" in request.form:
            if asked.problems:
                raise BadParameter(*next(iter(asked.problems.items())))
            found = services.search.find(asked.wanted, size=MOST, look_at=_LOOKED_AT)
            return found.threads, bool(found.after)
        ids = _named()
        threads, _version = services.store.fetch_many(ids[:MOST])
        return [one for one in threads if access.shows(g.caller, one)], len(ids) > MOST


def _named() -> list[str]:
    """The ids of the threads that were ticked, or that the question carries; each once, in their order."""
    ids = [*request.form.getlist("thread"), *request.form.get("threads", "").split()]
    for one in ids:
        if not is_thread_id(one):
            raise BadParameter("thread", f"'{one[:40]}' is no thread's id.")
    return list(dict.fromkeys(ids))


class _Deed:
    """Acts on threads one by one, and notes what became of each."""

    def __init__(self, services: Services, what: str) -> None:
        self._services = services
        self._what = what
        self._by = request_origin()
        self._results: dict[str, Result] = {}

    def do(self, threads: Sequence[Thread]) -> list[Result]:
        """Act on each; what became of them, those first for whom it is not what was asked for."""
        one = self._delete if self._what == "delete" else self._cancel
        for number, thread in enumerate(threads):
            try:
                one(thread)
            except ThreadNotFound:
                self._note(thread, "gone: somebody has deleted it, or it has expired", is_bad=True)
            except Conflict:
                self._note(thread, "not ended: cancel it first", is_bad=True)
            except Unavailable:
                for left in threads[number:]:
                    self._note(left, "not reached, as the store is away just now: repeat this", is_bad=True)
                break
        return sorted(self._results.values(), key=lambda result: not result.is_bad)

    def _cancel(self, thread: Thread) -> None:
        now = self._services.engine.cancel(thread, by=self._by, force=self._what == "kill")
        if thread.status.is_final or now.status in {Status.COMPLETED, Status.FAILED}:
            self._note(now, f"ended already, as {now.status}", is_bad=True)
        elif now.cancelling:
            how = "being killed" if self._what == "kill" else "being cancelled: its code is told to stop"
            self._note(now, how, is_bad=False)
        else:
            self._note(now, "cancelled", is_bad=False)

    def _delete(self, thread: Thread) -> None:
        self._services.store.delete(thread.id, self._by)
        self._note(thread, "deleted", is_bad=False)

    def _note(self, thread: Thread, said: str, *, is_bad: bool) -> None:
        self._results.setdefault(said, Result(said, is_bad)).threads.append(thread)
