"""Signing in and out with a browser, and what every way to do so ends with."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from flask import Blueprint, Response, current_app, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from psthreads.domain.access import Member
from psthreads.domain.errors import NotSignedIn, TooManyRequests
from psthreads.identity.credentials import Session
from psthreads.web.auth import csrf, sessions
from psthreads.web.http import audit_origin
from psthreads.web.services import Services

_LONGEST: Final = 64  # characters of a username


def add_to(blueprint: Blueprint, services: Services) -> None:
    """Add the sign-in page with its form, and the way to sign out."""

    @blueprint.get("/sign-in", provide_automatic_options=False)
    def sign_in() -> str:
        return form(own_path(request.args.get("next", "")), "", ended="ended" in request.args)

    @blueprint.post("/sign-in", provide_automatic_options=False)
    def sign_in_post() -> AnyResponse | str:
        following = own_path(request.values.get("next", ""))
        csrf.protect_from_forgery(current_app)
        username, password = request.form.get("username", ""), request.form.get("password", "")
        try:
            member, signed = services.directory.sign_in(username, password, address=audit_origin.address())
        except NotSignedIn as error:
            return Response(form(following, error.message, username), 401)
        except TooManyRequests as error:
            again = {"Retry-After": str(error.retry_after)}
            return Response(form(following, error.message, username), 429, again)
        return go_on(services, member, signed, following)

    @blueprint.post("/sign-out", provide_automatic_options=False)
    def sign_out() -> AnyResponse:
        if g.has_session and "everywhere" in request.form:
            services.directory.by(audit_origin.here(with_reason=False)).sign_out_everywhere(g.caller.member)
        end(services)
        return redirect(url_for("pages.sign_in"), 303)

    def form(following: str, problem: str, username: str = "", *, ended: bool = False) -> str:
        return render_template(
            "sign-in.html",
            following=following,
            problem=problem,
            username=username[:_LONGEST],
            outside=bool(services.config.oidc_issuer),
            ended=ended,
        )


def go_on(services: Services, member: Member, session: Session, following: str) -> AnyResponse:
    """Begin the member's session in place of any other of this browser, and lead to one of our own pages."""
    end(services)
    sessions.begin()
    csrf.sign_in(member, session)
    return redirect(own_path(following), 303)


def end(services: Services) -> None:
    """End the browser's session, if there is one, so that a copy of its cookie is of no use either."""
    if (known := sessions.of_cookie()) is not None:
        services.directory.end_session(known, int(services.config.session_life), address=audit_origin.address())
    sessions.forget()


def own_path(path: str) -> str:
    """The path to go on to, where it is one of ours; the start page otherwise."""
    parts = urlsplit(path.replace("\\", "/"))
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and not parts.netloc
    return path if is_ours and path.isprintable() else "/"
