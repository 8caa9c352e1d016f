"""One's own account: the password, the roles, and the tokens. For sessions only: no token can make another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from psthreads.access import Member
from psthreads.credentials import Password
from psthreads.directory import Directory
from psthreads.errors import BadParameter, Conflict, NotFound, NotSignedIn, TooManyRequests
from psthreads.parameter import Parameter
from psthreads.web import sign_in
from psthreads.web.dashboard import forms, tokens
from psthreads.web.dashboard.forms import AFTER, DONE
from psthreads.web.dashboard.groups import opens
from psthreads.web.dashboard.tokens import Shown
from psthreads.web.operation import FORM, HTML, Answer, Operation, Who, declares
from psthreads.web.origin import address, here
from psthreads.web.parameters import given
from psthreads.web.services import Services

_ALL: Final = Parameter("all", str, "", choices=("", "tokens"), description="which list is shown as a whole")
_DONE: Final = {
    "password": "Your password is changed. Every other browser is signed out.",
    "token-revoked": "The token is revoked.",
}
_REFUSED: Final = Answer("The page, which says why it cannot be done", (HTML,))


def add_to(blueprint: Blueprint, services: Services) -> None:
    """Add the pages below /dashboard/account."""
    directory = services.directory

    def show(problem: str = "", refused: str = "", shown: Shown | None = None, after: str = "", done: str = "") -> str:
        member: Member = g.sight.member
        own = directory.tokens(member)
        return render_template(
            "account.html",
            member=member,
            part=directory.find_memberships(member, "", after, tokens.PART),
            opens=opens,
            after=after,
            tokens=own,
            some_tokens=own if given(_ALL) == "tokens" else own[-tokens.PART :],
            told=tokens.telling(directory, (one.reach for one in own)),
            expires=tokens.CHOICES,
            outside=bool(services.config.oidc_issuer),
            problem=problem,
            refused=refused,
            typed=forms.again(refused),
            shown=shown,
            done=done,
        )

    @blueprint.get("/dashboard/account", provide_automatic_options=False)
    @declares(forms.reading("The page of one's own account", (AFTER, _ALL, DONE), Who.BROWSER))
    def account() -> str:
        return show(after=str(given(AFTER)), done=_DONE.get(str(given(DONE)), ""))

    def attempt(form: str, do: Callable[[], AnyResponse | str]) -> AnyResponse | str:
        try:
            return do()
        except (BadParameter, Conflict, NotFound, TooManyRequests) as problem:
            again = {"Retry-After": str(problem.retry_after)} if isinstance(problem, TooManyRequests) else None
            return Response(show(problem.message, form), problem.status, again)

    @blueprint.post("/dashboard/account/password", provide_automatic_options=False)
    @declares(_changing("Changes one's own password, and ends one's other sessions", "current", "password"))
    def account_password() -> AnyResponse | str:
        return attempt("password", lambda: _change_password(services, g.sight.member))

    @blueprint.post("/dashboard/account/tokens", provide_automatic_options=False)
    @declares(
        _changing("Makes a token of one's own, and shows it this once", *("name", "expires", "read", "act", "groups"))
    )
    def account_tokens() -> AnyResponse | str:
        # No redirect: a secret is shown in this answer and nowhere else.
        return attempt("tokens", lambda: show(shown=tokens.create(directory, g.sight.member)))

    @blueprint.post("/dashboard/account/tokens/revoke", provide_automatic_options=False)
    @declares(_changing("Ends a token of one's own, after a question", "name", "sure"))
    def account_tokens_revoke() -> AnyResponse | str:
        return attempt("", lambda: _revoke(directory, g.sight.member))


def _changing(summary: str, *fields: str) -> Operation:
    answers = {200: forms.PAGE, 302: forms.AWAY, 303: forms.SENT}
    refused = dict.fromkeys((400, 404, 409, 429), _REFUSED)
    return Operation(summary, Who.BROWSER, answers | refused, body=(FORM,), fields=("csrf_token", *fields, "reason"))


def _change_password(services: Services, member: Member) -> AnyResponse:
    """Change it, for whoever knows the one that counts now: a session that was left open is not enough."""
    current, password = request.form.get("current", ""), forms.text("password", strip=False)
    try:
        services.directory.identify(Password(member.username, current), address=address())
    except NotSignedIn:
        raise BadParameter("current", "That is not the password that you have now: nothing was changed.") from None
    services.directory.by(here()).change_password(member, password)
    # All sessions are ended by that, and this one begins anew.
    now, session = services.directory.sign_in(member.username, password, address=address())
    return sign_in.go_on(services, now, session, url_for("pages.account", done="password"))


def _revoke(directory: Directory, member: Member) -> AnyResponse | str:
    question = tokens.ask_revoke(member)
    if (page := forms.ask(question, ("name",), url_for("pages.account"))) is not None:
        return page
    tokens.revoke(directory, member)
    return redirect(url_for("pages.account", done="token-revoked"), 303)
