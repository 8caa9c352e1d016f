"""Signing in at an outside OpenID Connect provider: who that says they are must be a member here already."""

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
from psthreads.web.auth.sign_in import go_on, own_path
from psthreads.web.http import audit_origin
from psthreads.web.services import Services

_FOLLOWING: Final = "following"


def add_to(blueprint: Blueprint, services: Services) -> None:
    """Add the way to the provider and the way back; without the setting, both are absent to whoever asks."""
    config = services.config
    provider = (
        Provider(config.oidc_issuer, config.oidc_client_id, config.oidc_client_secret) if config.oidc_issuer else None
    )

    def known() -> Provider:
        if provider is None:
            raise NotFound("Signing in by an outside provider is not set up here: see PSTHREADS_OIDC_ISSUER.")
        return provider

    @blueprint.get("/sign-in/oidc", provide_automatic_options=False)
    def outside() -> AnyResponse:
        left = known().leave(url_for("pages.outside_return", _external=True))
        session[_FOLLOWING] = own_path(request.args.get("next", ""))
        return left

    @blueprint.get("/sign-in/oidc/callback", provide_automatic_options=False)
    def outside_return() -> AnyResponse | tuple[str, int]:
        following = own_path(str(session.get(_FOLLOWING, "")))
        try:
            member, signed = _member(services.directory, known().claims(), config.oidc_username_claim)
        except NotSignedIn as error:
            return _refused(error, following)
        except MemberNotFound:
            return _refused(NotSignedIn(_NOBODY), following)
        return go_on(services, member, signed, following)

    def _member(directory: Directory, claims: Mapping[str, Any], claim: str) -> tuple[Member, Session]:
        username = claims.get(claim)
        if not isinstance(username, str) or not username:
            raise NotSignedIn(f"The provider does not say who you are: its claim '{claim}' is missing.")
        host, address = urlsplit(config.oidc_issuer).netloc, audit_origin.address()
        member, signed = directory.vouched(username, host, address=address)
        if config.oidc_admin_claim and member.admin != (admin := is_admin(claims, config.oidc_admin_claim)):
            # It is the provider that says so, whoever the member is.
            member = directory.by(Origin(f"provider:{host}", address=address)).set_admin(member, admin=admin)
        return member, signed


_NOBODY: Final = (
    "The provider knows you, but you are no member here or your account is locked: ask an administrator of this server."
)


def is_admin(claims: Mapping[str, Any], setting: str) -> bool:
    """Whether the claims make an administrator: one claim is true or, as `claim=value`, is that or has it."""
    name, equals, value = setting.partition("=")
    found = claims.get(name)
    if not equals:
        return found is True
    return value in found if isinstance(found, list) else found == value


def _refused(problem: PsthreadsError, following: str) -> tuple[str, int]:
    return render_template("sign-in.html", following=following, problem=problem.message, outside=True), 401
