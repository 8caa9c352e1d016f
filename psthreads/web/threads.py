"""The eight thread services: list, progress, logs and cancel, for the server and for a group."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from flask import Blueprint, Response, g, request

from psthreads import access
from psthreads.errors import BadParameter, ThreadNotFound
from psthreads.model import SERVER_WIDE, Level, Status, Thread
from psthreads.store import Kind
from psthreads.web import respond
from psthreads.web.guard import Guard
from psthreads.web.parameters import choice, flag, number, preferred_wait
from psthreads.web.services import Services

_KINDS: Final = ("active", "finished", *(str(status) for status in Status))
_LONGEST_PAGE: Final = 500
_LONGEST_LOG_PAGE: Final = 5_000


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
            blueprint.add_url_rule(
                base + rule + suffix, view_func=view, methods=[method], provide_automatic_options=False
            )

    def threads(**_: str) -> Response:
        page = services.store.page(
            cast("Kind", choice("status", _KINDS, "active")),
            g.sight.group.id if g.sight.group else SERVER_WIDE,
            number("page", 1, least=1, greatest=1_000_000_000),
            number("page-size", 50, least=1, greatest=_LONGEST_PAGE),
        )
        return respond.threads(page)

    def progress(thread: str, **_: str) -> Response:
        found, known = guard.thread(thread), request.environ.get("HTTP_IF_NONE_MATCH")
        headers = {}
        if (wait := preferred_wait()) is not None:
            found = _awaited(services, found, wait, is_new=known is None)
            guard.watch(own_progress=True).check(0, (found,))  # The role may be gone since.
            headers["Preference-Applied"] = f"wait={wait:g}"
        return respond.progress(found, headers, is_known=known is not None and respond.is_known(found))

    def logs(thread: str, **_: str) -> Response:
        found = guard.thread(thread)
        size = number("page-size", 200, least=1, greatest=_LONGEST_LOG_PAGE)
        level = choice("level", tuple(Level), "")
        tail = number("tail", 0, least=0, greatest=_LONGEST_LOG_PAGE)
        if tail and "from" in request.args:
            raise BadParameter("tail", "Give either 'from' or 'tail', not both.")
        first = -tail if tail else number("from", 1, least=1, greatest=2**53)
        log = services.store.log(found.id, first, tail or size, Level(level) if level else None)
        return respond.logs(log, with_detail=access.sees_details(g.sight))

    def cancel(thread: str, **_: str) -> Response:
        try:
            found = guard.thread(thread)
            return respond.cancelled(services.engine.cancel(found, by=g.sight.member, force=flag("force")))
        except ThreadNotFound:
            return respond.cancelled(None)

    route("/threads", "GET", threads)
    route("/threads/<thread>/progress", "GET", progress)
    route("/threads/<thread>/logs", "GET", logs)
    route("/threads/<thread>/cancel", "POST", cancel)
    return blueprint


def _awaited(services: Services, thread: Thread, seconds: float, *, is_new: bool) -> Thread:
    """The thread once it has ended, for a client that knows nothing of it; once it has changed, for one that does."""

    def is_enough(now: Thread) -> bool:
        return now.status.is_final if is_new else not respond.is_known(now)

    with services.slots.one() as is_free:
        return services.feed.wait(thread, is_enough, seconds) if is_free else thread
