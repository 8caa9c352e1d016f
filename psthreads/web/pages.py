"""The pages for administrators: what runs, one thread with its log, a cancel button; and signing in."""

from __future__ import annotations

from typing import Final, cast

from flask import Blueprint, Response, current_app, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from psthreads.model import SERVER_WIDE, Status
from psthreads.store import Kind
from psthreads.web import members, oidc, respond, sign_in
from psthreads.web.guard import Guard
from psthreads.web.parameters import choice, number
from psthreads.web.services import Services
from psthreads.web.sessions import Sessions

_KINDS: Final = ("active", "finished", *(str(status) for status in Status))
_TAIL: Final = 200


def make_blueprint(services: Services, guard: Guard) -> Blueprint:
    """The pages below /dashboard, and the sign-in page."""
    blueprint = Blueprint("pages", __name__)

    def allow() -> None:
        # Every page has a form, and a form needs a token that was signed.
        cast("Sessions", current_app.session_interface).need_key(current_app)
        {
            "pages.sign_in": guard.anyone,
            "pages.outside": guard.anyone,
            "pages.outside_return": guard.anyone,
            "pages.sign_out": guard.member,
        }.get(request.endpoint or "", guard.server)()

    blueprint.before_request(allow)
    blueprint.after_request(_protect)

    @blueprint.get("/")
    def home() -> AnyResponse:
        return redirect(url_for("pages.threads"))

    @blueprint.get("/dashboard")
    def threads() -> str:
        kind = cast("Kind", choice("status", _KINDS, "active"))
        page = services.store.page(kind, SERVER_WIDE, number("page", 1, least=1, greatest=10**9))
        return render_template("threads.html", page=page, kind=kind, kinds=_KINDS)

    @blueprint.get("/dashboard/threads/<thread>")
    def thread(thread: str) -> str:
        found = guard.thread(thread)
        log = services.store.log(found.id, -_TAIL, _TAIL)
        bars, results = respond.bars(found), respond.results(found)
        return render_template("thread.html", thread=found, bars=bars, results=results, log=log)

    @blueprint.post("/dashboard/threads/<thread>/cancel")
    def cancel(thread: str) -> AnyResponse:
        found = guard.thread(thread)
        services.engine.cancel(found, by=g.sight.member, force="force" in request.form)
        return redirect(url_for("pages.thread", thread=found.id), 303)

    members.add_to(blueprint, services)
    sign_in.add_to(blueprint, services)
    oidc.add_to(blueprint, services)
    return blueprint


def _protect(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    response.headers["Referrer-Policy"] = "same-origin"
    return response
