"""Signing in and out with a browser, and what every way to sign in ends with."""

from __future__ import annotations

import time
from typing import Final, cast
from urllib.parse import urlsplit

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from psthreads.domain.access import Member
from psthreads.domain.errors import NotSignedIn, TooManyRequests
from psthreads.identity.credentials import Session
from psthreads.web.auth import csrf, devices, refusals, sessions
from psthreads.web.http.audit_origin import client_address, request_origin
from psthreads.web.services import Services

_LONGEST: Final = 64  # characters of a username


def add_to(blueprint: Blueprint, services: Services) -> None:
    """Add the sign-in page with its form, and the route to sign out."""

    @blueprint.get("/sign-in")
    def sign_in() -> str:
        return form(own_path(request.args.get("next", "")), "", ended="ended" in request.args)

    @blueprint.post("/sign-in")
    def sign_in_post() -> AnyResponse | str:
        following = own_path(request.values.get("next", ""))
        csrf.check_token()
        username, password = request.form.get("username", ""), request.form.get("password", "")
        try:
            device = devices.of_cookie(username)
            member, session = services.directory.sign_in(username, password, address=client_address(), device=device)
        except NotSignedIn as error:
            refusals.note(error, "refused.password", username)
            return Response(form(following, error.message, username), 401)
        except TooManyRequests as error:
            refusals.note(error, claimed=username)
            headers = {"Retry-After": str(error.retry_after)}
            return Response(form(following, error.message, username), 429, headers)
        return begin_session(services, member, session, following, proven=time.time())

    @blueprint.post("/sign-out")
    def sign_out() -> AnyResponse:
        if g.has_session and "everywhere" in request.form:
            services.directory.by(request_origin(with_reason=False)).sign_out_everywhere(g.caller.member)
        _end_session(services)
        answer = redirect(url_for("pages.sign_in"), 303)
        # What the browser keeps of the pages would show them to the next person.
        answer.headers["Clear-Site-Data"] = '"cache", "storage"'
        return answer

    def form(following: str, problem: str, username: str = "", *, ended: bool = False) -> str:
        return render_template(
            "sign-in.html",
            following=following,
            problem=problem,
            username=username[:_LONGEST],
            outside=bool(services.config.oidc_issuer),
            admins_outside=services.config.admins_by_provider,
            ended=ended,
        )


def begin_session(
    services: Services, member: Member, session: Session, following: str, *, proven: float
) -> AnyResponse:
    """Begin the member's session in place of this browser's last one, and redirect to the path, if it is ours.

    `sessions.begin` gives the meaning of `proven`.
    """
    _end_session(services)
    sessions.begin(member, session, proven)
    response = cast("Response", redirect(own_path(following), 303))
    devices.remember(response, member.username)
    return response


def _end_session(services: Services) -> None:
    # Ended in the directory, too: a copy of the cookie must be of no use.
    if (session := sessions.of_cookie()) is not None:
        services.directory.end_session(session, int(services.config.session_life), address=client_address())
    sessions.forget()


def own_path(path: str) -> str:
    """Return the path if it is one of this server; the start page otherwise."""
    parts = urlsplit(path.replace("\\", "/"))
    is_here = path.startswith(f"{request.root_path}/") and not path.startswith(("//", "/\\")) and not parts.netloc
    return path if is_here and path.isprintable() else url_for("pages.home")
