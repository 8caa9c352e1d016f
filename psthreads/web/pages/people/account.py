"""One's own account: the password, the roles, and the tokens. For sessions only: no token can make another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from flask import Blueprint, Response, g, redirect, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from psthreads.domain.access import Member
from psthreads.domain.errors import BadParameter, Conflict, NotFound, NotSignedIn, TooManyRequests
from psthreads.identity.credentials import Password
from psthreads.identity.directory import Directory
from psthreads.web.auth import sessions, sign_in
from psthreads.web.http.audit_origin import client_address, request_origin
from psthreads.web.http.parameters import value_of
from psthreads.web.pages import forms
from psthreads.web.pages.forms import AFTER, DONE
from psthreads.web.pages.people import tokens
from psthreads.web.pages.people.groups import opens
from psthreads.web.pages.people.tokens import TOKENS, Shown
from psthreads.web.services import Services

_DONE: Final = {
    "password": "Your password is changed. Every other browser is signed out.",
    "token-revoked": "The token is revoked.",
}


def add_to(blueprint: Blueprint, services: Services) -> None:
    """Add the pages below /dashboard/account."""
    directory = services.directory

    def show(problem: str = "", refused: str = "", wrong: str = "", shown: Shown | None = None, done: str = "") -> str:
        member: Member = g.caller.member
        own = tokens.newest(directory.tokens(member), str(value_of(TOKENS)))
        after = str(value_of(AFTER))
        return render_template(
            "account.html",
            member=member,
            part=directory.find_memberships(member, "", after, tokens.PART),
            opens=opens,
            after=after,
            tokens=own,
            tokens_after=str(value_of(TOKENS)),
            told=tokens.telling(directory, [one.token_scope for one in own.items]),
            expires=tokens.CHOICES,
            outside=bool(services.config.oidc_issuer),
            problem=problem,
            refused=refused,
            wrong=wrong,
            typed=forms.again(refused),
            shown=shown,
            done=done,
        )

    @blueprint.get("/dashboard/account", provide_automatic_options=False)
    def account() -> str:
        return show(done=_DONE.get(str(value_of(DONE)), ""))

    def attempt(form: str, do: Callable[[], AnyResponse | str]) -> AnyResponse | str:
        try:
            return do()
        except (BadParameter, Conflict, NotFound, TooManyRequests) as problem:
            again = {"Retry-After": str(problem.retry_after)} if isinstance(problem, TooManyRequests) else None
            wrong = problem.name if isinstance(problem, BadParameter) else ""
            return Response(show(problem.message, form, wrong), problem.status, again)

    @blueprint.post("/dashboard/account/password", provide_automatic_options=False)
    def account_password() -> AnyResponse | str:
        return attempt("password", lambda: _change_password(services, g.caller.member))

    @blueprint.post("/dashboard/account/tokens", provide_automatic_options=False)
    def account_tokens() -> AnyResponse | str:
        # No redirect: a secret is shown in this answer and nowhere else.
        return attempt("tokens", lambda: show(shown=_create(directory, g.caller.member)))

    @blueprint.post("/dashboard/account/tokens/revoke", provide_automatic_options=False)
    def account_tokens_revoke() -> AnyResponse | str:
        return attempt("", lambda: _revoke(directory, g.caller.member))


def _change_password(services: Services, member: Member) -> AnyResponse:
    """Change it, in place of the one that was proven and of no later one; this browser's session begins anew."""
    if (before := sessions.of_cookie()) is None:
        raise NotSignedIn  # It ran out just now. Without its stamp, a later password could be overwritten.
    password = forms.text("password", strip=False)
    _prove(services.directory, member)
    stamp = services.directory.by(request_origin()).change_password(member, password, stamp=before.stamp)
    now = services.directory.begin_session(member, stamp, "by a new password", address=client_address())
    return sign_in.begin_session(services, member, now, url_for("pages.account", done="password"))


def _create(directory: Directory, member: Member) -> Shown:
    _prove(directory, member)
    return tokens.create(directory, member)


def _revoke(directory: Directory, member: Member) -> AnyResponse | str:
    if not forms.is_sure():
        return forms.ask(tokens.ask_revoke(member), ("name",), url_for("pages.account"))
    tokens.revoke(directory, member)
    return redirect(url_for("pages.account", done="token-revoked"), 303)


def _prove(directory: Directory, member: Member) -> None:
    """Let only go on who knows the password that counts now: a session that was left open is not enough.

    Raises BadParameter, and TooManyRequests for whoever has guessed too often.
    """
    current = forms.text("current", strip=False)
    try:
        directory.identify(Password(member.username, current), address=client_address())
    except NotSignedIn:
        sentence = "That is not your password, or it is locked after too many wrong ones: nothing was changed."
        raise BadParameter("current", sentence) from None
