"""Signing in with an OpenID Connect provider: whoever it names must already be a member here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from flask import Blueprint, render_template, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from psthreads.audit.entries import Origin
from psthreads.domain.access import Member
from psthreads.domain.errors import MemberNotFound, NotFound, NotSignedIn, PsthreadsError
from psthreads.identity.credentials import Session
from psthreads.identity.directory import Directory
from psthreads.web.auth.oidc_authlib import Provider
from psthreads.web.auth.sign_in import begin_session, own_path
from psthreads.web.http.audit_origin import client_address
from psthreads.web.services import Services

_FOLLOWING: Final = "following"
_NOBODY: Final = (
    "The provider knows you, but you are no member here or your account is locked: ask an administrator of this server."
)


def add_to(blueprint: Blueprint, services: Services) -> None:
    """Add the route to the provider and the one back. Without the setting both answer 404."""
    config = services.config
    provider = (
        Provider(config.oidc_issuer, config.oidc_client_id, config.oidc_client_secret) if config.oidc_issuer else None
    )

    def need_provider() -> Provider:
        if provider is None:
            raise NotFound("Signing in by an outside provider is not set up here: see PSTHREADS_OIDC_ISSUER.")
        return provider

    @blueprint.get("/sign-in/oidc")
    def oidc() -> AnyResponse:
        redirection = need_provider().redirect(services.origins.absolute(url_for("pages.oidc_callback")))
        session[_FOLLOWING] = own_path(request.args.get("next", ""))
        return redirection

    @blueprint.get("/sign-in/oidc/callback")
    def oidc_callback() -> AnyResponse | tuple[str, int]:
        following = own_path(str(session.get(_FOLLOWING, "")))
        try:
            member, signed_in = _sign_in(services.directory, need_provider().claims(), config.oidc_username_claim)
        except NotSignedIn as error:
            return _refused(error, following)
        except MemberNotFound:
            return _refused(NotSignedIn(_NOBODY), following)
        return begin_session(services, member, signed_in, following)

    def _sign_in(directory: Directory, claims: Mapping[str, Any], claim: str) -> tuple[Member, Session]:
        username = claims.get(claim)
        if not isinstance(username, str) or not username:
            raise NotSignedIn(f"The provider does not say who you are: its claim '{claim}' is missing.")
        host, address = urlsplit(config.oidc_issuer).netloc, client_address()
        member, signed_in = directory.sign_in_from(host, username, address=address)
        if config.oidc_admin_claim and member.admin != (admin := is_admin(claims, config.oidc_admin_claim)):
            # The audit names the provider, not the member: the provider decides it.
            member = directory.by(Origin(f"provider:{host}", address=address)).set_admin(member, admin=admin)
        return member, signed_in


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
    return render_template("sign-in.html", following=following, problem=problem.message, outside=True), 401
