"""The eight thread services: list, progress, logs and cancel, for the server and for a group."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from flask import Blueprint, Response, g, request

from psthreads.authoring.parameter import Bounds, Parameter
from psthreads.domain import access
from psthreads.domain.errors import BadParameter, ThreadNotFound
from psthreads.domain.model import SERVER_WIDE, Level, Status, Thread
from psthreads.threads.store import Kind
from psthreads.web.auth.guard import Guard
from psthreads.web.http import respond
from psthreads.web.http.audit_origin import REASON, request_origin
from psthreads.web.http.operation import IF_NONE_MATCH, PREFER, DeclaredResponse, Operation, Who, declares, service
from psthreads.web.http.parameters import preferred_wait, value_of
from psthreads.web.services import Services

_KINDS: Final = ("active", "finished", *(str(status) for status in Status))
_LONGEST_LOG_PAGE: Final = 5_000
_STATUS: Final = Parameter(
    "status", str, "active", choices=_KINDS, description="those that are not final, those that are, or of one status"
)
_PAGE: Final = Parameter("page", int, 1, Bounds(1, 1_000_000_000), description="which page")
_PAGE_SIZE: Final = Parameter("page_size", int, 50, Bounds(1, 500), description="how many threads a page has")
_LOG_SIZE: Final = Parameter("page_size", int, 200, Bounds(1, _LONGEST_LOG_PAGE), description="how many events")
FROM: Final = Parameter("from_", int, 1, Bounds(1, 2**53), description="the number of the first event")
"""Where to begin in a log."""

TAIL: Final = Parameter(
    "tail", int, 0, Bounds(0, _LONGEST_LOG_PAGE), description="the last so many events, in place of 'from'"
)
"""How many events of a log's end, where it is not 0."""

LEVEL: Final = Parameter("level", str, "", choices=tuple(Level), description="events of this level or a graver one")
"""The least level of a log's events."""

_FORCE: Final = Parameter("force", bool, False, description="kill it without the time to clean up")


def make_server_blueprint(services: Services, guard: Guard) -> Blueprint:
    """The services for the whole server, for administrators."""
    return _make_blueprint("server", "", services, guard, guard.server)


def make_group_blueprint(services: Services, guard: Guard) -> Blueprint:
    """The services for one group, for contributors and higher."""
    return _make_blueprint("group", "/groups/<group>", services, guard, guard.group)


def _make_blueprint(name: str, base: str, services: Services, guard: Guard, allow: Callable[[], None]) -> Blueprint:
    blueprint = Blueprint(name, __name__)
    blueprint.before_request(allow)

    def route(rule: str, method: str, view: Callable[..., Response]) -> None:
        for suffix in ("", ".<any(xml, json):suffix>"):
            blueprint.add_url_rule(base + rule + suffix, view_func=view, methods=[method])

    who = Who.GROUP if base else Who.SERVER

    @declares(
        Operation(
            "Lists threads, newest first",
            who,
            {200: service("A page of threads", "threads")},
            (_STATUS, _PAGE, _PAGE_SIZE),
        )
    )
    def threads(**_: str) -> Response:
        page = services.store.page(
            cast("Kind", value_of(_STATUS)),
            g.caller.group.id if g.caller.group else SERVER_WIDE,
            int(value_of(_PAGE)),
            int(value_of(_PAGE_SIZE)),
        )
        return respond.threads(page)

    @declares(
        Operation(
            "Says how a thread stands",
            who,
            {200: service("The thread", "thread"), 304: DeclaredResponse("Nothing has changed")},
            headers=(PREFER, IF_NONE_MATCH),
        )
    )
    def progress(thread: str, **_: str) -> Response:
        found, known = guard.thread(thread), request.environ.get("HTTP_IF_NONE_MATCH")
        headers = {}
        if (wait := preferred_wait()) is not None:
            found = _awaited(services, found, wait, is_new=known is None)
            guard.watch(own_progress=True).check(0, (found,))  # The role may be gone since.
            headers["Preference-Applied"] = f"wait={wait:g}"
        return respond.progress(found, headers, is_unchanged=known is not None and respond.is_unchanged(found))

    @declares(
        Operation(
            "Gives a page of a thread's log",
            who,
            {200: service("The events", "logs")},
            (FROM, _LOG_SIZE, LEVEL, TAIL),
        )
    )
    def logs(thread: str, **_: str) -> Response:
        found = guard.thread(thread)
        size = int(value_of(_LOG_SIZE))
        level = value_of(LEVEL)
        first, tail = first_event()
        log = services.store.log(found.id, first, tail or size, Level(level) if level else None)
        return respond.logs(log, with_detail=access.sees_details(g.caller))

    @declares(
        Operation(
            "Cancels a thread; without effect on one that has ended, or is not here",
            who,
            {200: service("The thread as it then stands; nothing where there is none", "cancel")},
            (_FORCE, REASON),
        )
    )
    def cancel(thread: str, **_: str) -> Response:
        try:
            found = guard.thread(thread)
            return respond.cancelled(services.engine.cancel(found, by=request_origin(), force=bool(value_of(_FORCE))))
        except ThreadNotFound:
            return respond.cancelled(None)

    route("/threads", "GET", threads)
    route("/threads/<thread>/progress", "GET", progress)
    route("/threads/<thread>/logs", "GET", logs)
    route("/threads/<thread>/cancel", "POST", cancel)
    return blueprint


def first_event() -> tuple[int, int]:
    """The number of the first event that is asked for, negative from the end, and how many from there; 0 for all."""
    tail = int(value_of(TAIL))
    if tail and "from" in request.args:
        raise BadParameter("tail", "Give either 'from' or 'tail', not both.")
    return (-tail, tail) if tail else (int(value_of(FROM)), 0)


def _awaited(services: Services, thread: Thread, seconds: float, *, is_new: bool) -> Thread:
    """The thread once it has ended, for a client that knows nothing of it; once it has changed, for one that does."""

    def is_enough(now: Thread) -> bool:
        return now.status.is_final if is_new else not respond.is_unchanged(now)

    with services.stream_limit.slot() as is_free:
        return services.feed.wait(thread, is_enough, seconds) if is_free else thread
