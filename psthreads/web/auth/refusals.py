"""Records what is refused in the security log: one place for every answer."""

from __future__ import annotations

import logging
from typing import Final

from flask import Flask, Response, g, request

from psthreads.audit.entries import Origin
from psthreads.domain.access import Caller
from psthreads.domain.errors import (
    Forgery,
    IdentityMismatch,
    NotAllowed,
    NotSignedIn,
    PsthreadsError,
    TooManyGuesses,
    Unavailable,
)
from psthreads.web.auth import sessions
from psthreads.web.current import current_globals
from psthreads.web.http.audit_origin import client_address
from psthreads.web.services import Services

_STATUSES: Final = frozenset({401, 403, 429})
_LONGEST_PATH: Final = 200
_KINDS: Final = (
    (Forgery, "refused.forgery"),
    (IdentityMismatch, "refused.identity"),
    (TooManyGuesses, "refused.throttle"),
    (NotAllowed, "refused.access"),
)
_log = logging.getLogger(__name__)


def install(app: Flask, services: Services) -> None:
    """Have every refusal recorded."""

    def record(response: Response) -> Response:
        context = current_globals()
        problem, refusal = context.pop("problem", None), context.pop("refusal", None)
        if response.status_code in _STATUSES or refusal or isinstance(problem, NotSignedIn):
            _record(services, response, refusal or (problem, "", ""))
        return response

    app.after_request(record)


def note(problem: PsthreadsError, act: str = "", claimed: str = "") -> None:
    """Note a refusal that the answer alone does not show: its kind, and the username or client that came with it."""
    g.refusal = problem, act, claimed


def _record(services: Services, response: Response, refusal: tuple[PsthreadsError | None, str, str]) -> None:
    problem, act, claimed = refusal
    if not act:
        act, claimed = _kind_of(problem, claimed)
        is_led_on = response.status_code not in _STATUSES
        if not act or (is_led_on and act in {"refused.anonymous", "refused.password"}):
            return  # Whoever opens a page first is led to the sign-in, and no password was looked at.
    caller: Caller | None = g.get("caller")
    member = caller.member if caller else None
    reason = problem.message if problem is not None else ""
    origin = Origin(member.username if member else "", member.id if member else None, client_address(), reason)
    try:
        services.directory.refusals.record(act, origin, f"{request.method} {request.path[:_LONGEST_PATH]}", claimed)
    except Unavailable as error:
        _log.warning("A refusal is not recorded: %s", error)


def _kind_of(problem: PsthreadsError | None, claimed: str) -> tuple[str, str]:
    for kind, act in _KINDS:
        if isinstance(problem, kind):
            return act, claimed
    if not isinstance(problem, NotSignedIn):
        return "", claimed
    authorization = request.authorization
    if authorization is not None and authorization.type == "basic":
        return "refused.password", authorization.username or ""
    if authorization is not None or "Authorization" in request.headers:
        return "refused.token", ""
    return "refused.session" if sessions.has_cookie() else "refused.anonymous", ""
