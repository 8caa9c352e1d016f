"""The eight thread services: list, progress, logs and cancel, for the server and for a group."""

from __future__ import annotations

from typing import Final, cast

from flask import Blueprint, Response, g, request

from psthreads.authoring.parameter import Bounds, Parameter
from psthreads.domain import access
from psthreads.domain.errors import BadParameter, ThreadNotFound
from psthreads.domain.model import SERVER_WIDE, Level, Status, Thread
from psthreads.threads.records import Kind
from psthreads.web.api.levels import ServiceLevel
from psthreads.web.auth.guard import Guard
from psthreads.web.http import respond
from psthreads.web.http.audit_origin import REASON, request_origin
from psthreads.web.http.operation import IF_NONE_MATCH, PREFER, DeclaredResponse, Operation, declares, service
from psthreads.web.http.parameters import preferred_wait, value_of
from psthreads.web.http.routing import add_service
from psthreads.web.services import Services

_KINDS: Final = ("active", "finished", *(str(status) for status in Status))
_LONGEST_LOG_PAGE: Final = 5_000
_STATUS: Final = Parameter(
    "status", str, "active", choices=_KINDS, description="active threads, finished ones, or those of one status"
)
_PAGE: Final = Parameter("page", int, 1, Bounds(1, 1_000_000_000), description="the number of the page")
_PAGE_SIZE: Final = Parameter("page_size", int, 50, Bounds(1, 500), description="the threads on a page")
_CURSOR: Final = Parameter(
    "cursor",
    str,
    "",
    Bounds(greatest=60),
    description="the next-cursor of the page before, in place of 'page': no thread is missed, whatever ends meanwhile",
)
_LOG_SIZE: Final = Parameter("page_size", int, 200, Bounds(1, _LONGEST_LOG_PAGE), description="the events on a page")
FROM: Final = Parameter("from_", int, 1, Bounds(1, 2**53), description="the number of the first event")
TAIL: Final = Parameter(
    "tail", int, 0, Bounds(0, _LONGEST_LOG_PAGE), description="the number of last events, in place of 'from'"
)
LEVEL: Final = Parameter("level", str, "", choices=tuple(Level), description="the lowest level of the events")
_FORCE: Final = Parameter("force", bool, False, description="kill the thread without its grace period")


def make_blueprint(services: Services, guard: Guard, level: ServiceLevel) -> Blueprint:
    """Return the four services of a level."""
    blueprint = level.make_blueprint()

    @declares(
        Operation(
            "Lists threads, newest first",
            level.who,
            {200: service("A page of threads", "threads")},
            (_STATUS, _PAGE, _PAGE_SIZE, _CURSOR),
        )
    )
    def threads(**_: str) -> Response:
        kind = cast("Kind", value_of(_STATUS))
        group_id = g.caller.group.id if g.caller.group else SERVER_WIDE
        number, size = int(value_of(_PAGE)), int(value_of(_PAGE_SIZE))
        if cursor := str(value_of(_CURSOR)):
            if number != 1:
                raise BadParameter("cursor", "Give either 'page' or 'cursor', not both.")
            return respond.threads(services.search.page(kind, group_id, cursor, size))
        return respond.threads(services.store.page(kind, group_id, number, size))

    @declares(
        Operation(
            "Shows a thread's progress",
            level.who,
            {200: service("The thread", "thread"), 304: DeclaredResponse("Nothing has changed")},
            headers=(PREFER, IF_NONE_MATCH),
        )
    )
    def progress(**path: str) -> Response:
        thread, tag = guard.thread(path["thread"]), request.environ.get("HTTP_IF_NONE_MATCH")
        headers = {}
        if (wait := preferred_wait()) is not None:
            thread = _wait(services, thread, wait, until_final=tag is None)
            guard.watch(progress=True).check(0, (thread,))  # The role may have ended meanwhile.
            headers["Preference-Applied"] = f"wait={wait:g}"
        thread = services.store.with_result(thread)
        return respond.progress(thread, headers, is_unchanged=tag is not None and respond.is_unchanged(thread))

    @declares(
        Operation(
            "Shows a page of a thread's log",
            level.who,
            {200: service("The events", "logs")},
            (FROM, _LOG_SIZE, LEVEL, TAIL),
        )
    )
    def logs(**path: str) -> Response:
        thread = guard.thread(path["thread"])
        size = int(value_of(_LOG_SIZE))
        lowest = value_of(LEVEL)
        first, tail = first_event()
        log = services.store.log(thread.id, first, tail or size, Level(lowest) if lowest else None)
        return respond.logs(log, with_detail=access.sees_details(g.caller))

    @declares(
        Operation(
            "Cancels a thread; has no effect on one that has ended or does not exist",
            level.who,
            {200: service("The thread after the request; nothing where it does not exist", "cancel")},
            (_FORCE, REASON),
        )
    )
    def cancel(**path: str) -> Response:
        try:
            thread = guard.thread(path["thread"])
            return respond.cancelled(services.engine.cancel(thread, by=request_origin(), force=bool(value_of(_FORCE))))
        except ThreadNotFound:
            return respond.cancelled(None)

    add_service(blueprint, f"{level.path}/threads", threads, ["GET"])
    add_service(blueprint, f"{level.path}/threads/<thread>/progress", progress, ["GET"])
    add_service(blueprint, f"{level.path}/threads/<thread>/logs", logs, ["GET"])
    add_service(blueprint, f"{level.path}/threads/<thread>/cancel", cancel, ["POST"])
    return blueprint


def first_event() -> tuple[int, int]:
    """Return the number of the first event, negative from the end, and the number of events; 0 for all of them.

    Raises BadParameter where the request has both 'from' and 'tail'.
    """
    tail = int(value_of(TAIL))
    if tail and "from" in request.args:
        raise BadParameter("tail", "Give either 'from' or 'tail', not both.")
    return (-tail, tail) if tail else (int(value_of(FROM)), 0)


def _wait(services: Services, thread: Thread, seconds: float, *, until_final: bool) -> Thread:
    """Return the thread once it has ended or, without `until_final`, has changed since the client's last request."""

    def is_enough(current: Thread) -> bool:
        return current.status.is_final if until_final else not respond.is_unchanged(current)

    with services.stream_limit.slot(g.caller) as is_free:
        return services.feed.wait(thread, is_enough, seconds) if is_free else thread
