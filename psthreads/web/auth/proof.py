"""The proof that the member sits before the browser, before credentials, roles, members or groups change.

A session may have been left open, and a token lies in files: neither makes something that outlasts it.
"""

from __future__ import annotations

from typing import Final

from flask import Response, g, render_template, request

from psthreads.domain import access
from psthreads.domain.access import Proof
from psthreads.domain.errors import NotAllowed, NotSignedIn, TooManyRequests
from psthreads.identity.administration import Administration
from psthreads.identity.credentials import Password
from psthreads.identity.directory import Directory
from psthreads.web.auth import devices, refusals, sessions
from psthreads.web.http.audit_origin import client_address, request_origin
from psthreads.web.services import Services

FIELD: Final = "current"
"""The field of a form that holds the member's password."""

_NO_SESSION: Final = (
    "Credentials, roles, members and groups are changed in a browser that is signed in, or with 'psthreads admin' on "
    "the server: no token and no HTTP Basic does here."
)
WRONG: Final = "The password is wrong, or locked after too many wrong ones. Nothing was changed."
_KEPT_BYTES: Final = 65_536  # of a form, which the page that asks repeats


def require(services: Services) -> Response | None:
    """Allow `changes` to a session with a recent proof, which the form may hold; else return the page that asks for it.

    The page repeats the form. Raises NotAllowed for every other credential.
    """
    problem, status, headers = "", 403, {}
    if g.has_session and not _is_recent(services) and request.form.get(FIELD):
        try:
            prove(services.directory)
        except NotSignedIn:
            problem = WRONG
        except TooManyRequests as error:
            problem, status, headers = error.message, error.status, {"Retry-After": str(error.retry_after)}
    if not g.has_session:
        raise NotAllowed(_NO_SESSION)
    if not _is_recent(services):
        return Response(_page(services, problem), status, headers)
    g.may_change_access = True
    return None


def prove(directory: Directory) -> None:
    """Verify the password in the form. Raises NotSignedIn and TooManyRequests."""
    try:
        username = g.caller.member.username
        password = Password(username, request.form.get(FIELD, ""), devices.of_cookie(username))
        directory.identify(password, address=client_address())
    except (NotSignedIn, TooManyRequests) as error:
        refusals.note(error, "refused.password" if isinstance(error, NotSignedIn) else "")
        raise
    sessions.prove()


def changes(directory: Directory) -> Administration:
    """Return the changes on behalf of the request. Raises NotAllowed where the guard has seen no recent proof."""
    if not g.get("may_change_access"):
        raise NotAllowed(_NO_SESSION)
    return directory.by(request_origin())


def _is_recent(services: Services) -> bool:
    is_recent = sessions.proof_age() <= services.config.session_proof
    return access.may_change_access(g.caller, Proof.of(has_session=g.has_session, is_recent=is_recent))


def _page(services: Services, problem: str) -> str:
    fields = {name: values for name, values in request.form.lists() if name not in {FIELD, "csrf_token"}}
    is_kept = sum(len(value) for values in fields.values() for value in values) <= _KEPT_BYTES
    return render_template(
        "prove.html",
        problem=problem,
        fields=fields if is_kept else {},
        is_kept=is_kept,
        has_provider=bool(services.config.oidc_issuer),
    )
