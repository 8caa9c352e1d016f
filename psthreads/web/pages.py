"""The pages for administrators: what runs, one thread with its log, a cancel button; and signing in."""

from __future__ import annotations

from typing import Final, cast
from urllib.parse import urlsplit

from flask import Blueprint, Response, current_app, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from psthreads.errors import NotSignedIn
from psthreads.model import SERVER_WIDE, Status
from psthreads.store import Kind
from psthreads.web import respond, untyped
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
        {"pages.sign_in": guard.anyone, "pages.sign_out": guard.member}.get(request.endpoint or "", guard.server)()

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
        return render_template("thread.html", thread=found, bars=respond.bars(found), log=log)

    @blueprint.post("/dashboard/threads/<thread>/cancel")
    def cancel(thread: str) -> AnyResponse:
        found = guard.thread(thread)
        services.engine.cancel(found, by=g.sight.member, force="force" in request.form)
        return redirect(url_for("pages.thread", thread=found.id), 303)

    @blueprint.route("/sign-in", methods=["GET", "POST"])
    def sign_in() -> AnyResponse | tuple[str, int] | str:
        following = _own_path(request.values.get("next", ""))
        if request.method == "GET":
            return render_template("sign-in.html", following=following, problem="")
        untyped.protect_from_forgery(current_app)
        username, password = request.form.get("username", ""), request.form.get("password", "")
        try:
            member, signed = services.directory.sign_in(username, password)
        except NotSignedIn as error:
            return render_template("sign-in.html", following=following, problem=error.message), 401
        untyped.sign_in(member, signed.stamp)
        return redirect(following, 303)

    @blueprint.post("/sign-out")
    def sign_out() -> AnyResponse:
        untyped.sign_out()
        return redirect(url_for("pages.sign_in"), 303)

    return blueprint


def _protect(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    response.headers["Referrer-Policy"] = "same-origin"
    return response


def _own_path(path: str) -> str:
    """The path to go on to, where it is one of ours; the start page otherwise."""
    parts = urlsplit(path.replace("\\", "/"))
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and not parts.netloc
    return path if is_ours and path.isprintable() else "/"
