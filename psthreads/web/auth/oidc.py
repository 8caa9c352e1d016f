"""Signing in with an OpenID Connect provider: whoever it names must already be a member here."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from psthreads.audit.entries import Origin
from psthreads.domain.errors import MemberNotFound, NotFound, NotSignedIn, PsthreadsError
from psthreads.identity.credentials import Identity
from psthreads.web.auth import refusals, sessions
from psthreads.web.auth.sign_in import begin_session, own_path
from psthreads.web.http.audit_origin import client_address
from psthreads.web.services import Services

if TYPE_CHECKING:
    from psthreads.web.auth.oidc_authlib import Provider

_FOLLOWING: Final = "following"
_PROVING: Final = "proving"
_LONGEST_SUBJECT: Final = 255  # OpenID Connect Core, section 2
_LEEWAY: Final = 60  # seconds by which the provider's clock may differ
_OLD: Final = (
    "The provider did not have you sign in again, or does not say when you did: its claim 'auth_time' must be there."
)
_NOBODY: Final = (
    "The provider knows you, but you are no member here or your account is locked: ask an administrator of this server."
)


def add_to(blueprint: Blueprint, services: Services) -> None:
    """Add the route to the provider and the one back. Without the setting both answer 404."""
    config = services.config
    provider: Provider | None = None
    if config.oidc_issuer:
        # A seventh of what a web process imports, and few need it.
        from psthreads.web.auth.oidc_authlib import Provider  # noqa: PLC0415

        provider = Provider(config.oidc_issuer, config.oidc_client_id, config.oidc_client_secret)

    def need_provider() -> Provider:
        if provider is None:
            raise NotFound("Signing in by an outside provider is not set up here: see PSTHREADS_OIDC_ISSUER.")
        return provider

    @blueprint.get("/sign-in/oidc")
    def oidc() -> AnyResponse:
        callback, proves = services.origins.absolute(url_for("pages.oidc_callback")), "prove" in request.args
        redirection = need_provider().redirect(callback, signs_in_again=proves)
        session[_PROVING] = int(time.time()) if proves else 0
        session[_FOLLOWING] = own_path(request.args.get("next", ""))
        return redirection

    @blueprint.get("/sign-in/oidc/callback")
    def oidc_callback() -> AnyResponse | tuple[str, int]:
        following = own_path(str(session.get(_FOLLOWING, "")))
        try:
            return _sign_in(services, need_provider().claims(), following)
        except NotSignedIn as error:
            return _refused(error, following)
        except MemberNotFound:
            return _refused(NotSignedIn(_NOBODY), following)


def _sign_in(services: Services, claims: Mapping[str, Any], following: str) -> AnyResponse:
    """Begin the session of the member whom the claims name; or note in the member's own that they prove who it is.

    Raises NotSignedIn and MemberNotFound.
    """
    config, current, began = services.config, sessions.of_cookie(), int(session.pop(_PROVING, 0))
    proven = _time_of_sign_in(claims, began)
    username = claims.get(config.oidc_username_claim)
    if not isinstance(username, str) or not username:
        raise NotSignedIn(
            f"The provider does not say who you are: its claim '{config.oidc_username_claim}' is missing."
        )
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT:
        raise NotSignedIn("The provider does not say who you are: its claim 'sub' is missing or too long.")
    identity, address = Identity(config.oidc_issuer, subject), client_address()
    member, signed_in = services.directory.sign_in_from(identity, username, address=address)
    if config.oidc_admin_claim and member.admin != (admin := is_admin(claims, config.oidc_admin_claim)):
        # The audit names the provider, not the member: the provider decides it.
        origin = Origin(f"provider:{identity.host}", address=address)
        member = services.directory.by(origin).set_admin(member, admin=admin)
    if began and current is not None and current.member_id == member.id:
        # The page that asked for the proof has a form, and its token against forgery is this session's.
        sessions.prove()
        return redirect(url_for("pages.account", done="proven"), 303)
    return begin_session(services, member, signed_in, following, proven=proven)


def _time_of_sign_in(claims: Mapping[str, Any], asked: int) -> float:
    """Return when the user signed in at the provider, 0 where it does not say.

    Raises NotSignedIn where that was not after the time `asked`, if the provider was asked for it anew then.
    """
    claim = claims.get("auth_time")
    signed_in = float(claim) if isinstance(claim, int | float) else 0.0
    if asked and signed_in < asked - _LEEWAY:
        raise NotSignedIn(_OLD)
    return min(signed_in, time.time())


def is_admin(claims: Mapping[str, Any], setting: str) -> bool:
    """Return whether the claims make an administrator.

    The setting is the name of a claim that must be true or, as `claim=value`, be that value or contain it.
    """
    name, equals, expected = setting.partition("=")
    value = claims.get(name)
    if not equals:
        return value is True
    return expected in value if isinstance(value, list) else value == expected


def _refused(problem: PsthreadsError, following: str) -> tuple[str, int]:
    refusals.note(problem, "refused.identity")
    return render_template("sign-in.html", following=following, problem=problem.message, outside=True), 401
