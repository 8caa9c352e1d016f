"""The member's own account: password, roles and tokens. For sessions only: no token can create another token."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from flask import Blueprint, Response, g, redirect, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from psthreads.domain.access import Member
from psthreads.domain.errors import BadParameter, Conflict, NotFound, NotSignedIn, TooManyRequests
from psthreads.identity.directory import Directory
from psthreads.web.auth import proof, sessions, sign_in
from psthreads.web.http.audit_origin import client_address
from psthreads.web.pages import forms
from psthreads.web.pages.people import tokens
from psthreads.web.pages.people.groups import can_open
from psthreads.web.pages.people.tokens import Secret
from psthreads.web.services import Services

_MESSAGES: Final = {
    "password": "Password changed. All other browsers are signed out.",
    "token-revoked": "Token revoked.",
    "proven": "You have confirmed that it is you. Go back to the other tab and continue.",
}


def add_to(blueprint: Blueprint, services: Services) -> None:
    """Add the pages below /dashboard/account."""
    directory = services.directory

    def render(problem: str = "", failed_form: str = "", failed_field: str = "", secret: Secret | None = None) -> str:
        member: Member = g.caller.member
        after, tokens_after = forms.argument("after"), forms.argument("tokens")
        page = tokens.newest(directory.tokens(member), tokens_after)
        return render_template(
            "account.html",
            member=member,
            memberships=directory.find_memberships(member, "", after, tokens.PAGE_SIZE),
            can_open=can_open,
            after=after,
            tokens=page,
            tokens_after=tokens_after,
            describe_scope=tokens.describer(directory, [token.token_scope for token in page.items]),
            expires=tokens.CHOICES,
            has_oidc=bool(services.config.oidc_issuer),
            problem=problem,
            failed_form=failed_form,
            failed_field=failed_field,
            form_value=forms.values_of(failed_form),
            secret=secret,
            success=_MESSAGES.get(forms.argument("done"), ""),
        )

    @blueprint.get("/dashboard/account")
    def account() -> str:
        return render()

    def attempt(form: str, action: Callable[[], AnyResponse | str]) -> AnyResponse | str:
        try:
            return action()
        except (BadParameter, Conflict, NotFound, TooManyRequests) as problem:
            headers = {"Retry-After": str(problem.retry_after)} if isinstance(problem, TooManyRequests) else None
            field = problem.name if isinstance(problem, BadParameter) else ""
            return Response(render(problem.message, form, field), problem.status, headers)

    @blueprint.post("/dashboard/account/password")
    def account_password() -> AnyResponse | str:
        return attempt("password", lambda: _change_password(services, g.caller.member))

    @blueprint.post("/dashboard/account/tokens")
    def account_tokens() -> AnyResponse | str:
        # No redirect: the token is shown in this response and nowhere else.
        return attempt("tokens", lambda: render(secret=tokens.create(directory, g.caller.member)))

    @blueprint.post("/dashboard/account/tokens/revoke")
    def account_tokens_revoke() -> AnyResponse | str:
        return attempt("", lambda: _revoke(directory, g.caller.member))


def _change_password(services: Services, member: Member) -> AnyResponse:
    """Replace the password that the form proves, but no later one, and begin a new session for this browser."""
    if (session := sessions.of_cookie()) is None:
        raise NotSignedIn  # It expired just now. Without its stamp, a later password could be overwritten.
    password = forms.text("password", strip=False)
    _prove(services.directory)
    # However recent the last proof: whoever finds an open browser must not take the account over.
    stamp = proof.changes(services.directory).change_password(member, password, stamp=session.stamp)
    session = services.directory.begin_session(member, stamp, "by a new password", address=client_address())
    return sign_in.begin_session(
        services, member, session, url_for("pages.account", done="password"), proven=time.time()
    )


def _revoke(directory: Directory, member: Member) -> AnyResponse | str:
    if not forms.is_confirmed():
        return forms.ask(tokens.ask_revoke(member), ("name",), url_for("pages.account"))
    tokens.revoke(directory, member)
    return redirect(url_for("pages.account", done="token-revoked"), 303)


def _prove(directory: Directory) -> None:
    """Raise BadParameter for a wrong current password, and TooManyRequests after too many."""
    forms.text(proof.FIELD, strip=False)
    try:
        proof.prove(directory)
    except NotSignedIn:
        raise BadParameter(proof.FIELD, proof.WRONG) from None
