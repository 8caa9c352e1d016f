"""The pages outside the dashboard's two parts: home, sign-in, account, members, groups and the audit log."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response, g, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from psthreads.domain import access
from psthreads.web.auth import oidc, proof, sessions, sign_in
from psthreads.web.auth.guard import Guard
from psthreads.web.http import headers
from psthreads.web.http.origins import SAFE_METHODS
from psthreads.web.pages import audit
from psthreads.web.pages.people import account, groups, members
from psthreads.web.services import Services

WITHOUT_PROOF: Final = frozenset({"pages.sign_in_post", "pages.sign_out"})
"""The endpoints of these pages that change something without a recent proof of the password."""


def make_blueprint(services: Services, guard: Guard, *, has_accounts: bool) -> Blueprint:
    """Return the blueprint of these pages; without accounts only those that sign nobody in and change no access."""
    blueprint = Blueprint("pages", __name__)

    def allow() -> Response | None:
        endpoint = request.endpoint or ""
        {
            "pages.sign_in": guard.anyone,
            "pages.sign_in_post": guard.anyone,
            "pages.oidc": guard.anyone,
            "pages.oidc_callback": guard.anyone,
            "pages.sign_out": guard.member,
            "pages.home": guard.member,
            "pages.groups": guard.member,
            "pages.account": guard.browser,
            "pages.account_password": guard.browser,
            "pages.account_tokens": guard.browser,
            "pages.account_tokens_revoke": guard.browser,
        }.get(endpoint, guard.server)()
        if request.method in SAFE_METHODS or endpoint in WITHOUT_PROOF:
            return None
        return proof.require(services)

    blueprint.before_request(sessions.need_key)
    blueprint.before_request(allow)
    blueprint.after_request(headers.as_page)

    @blueprint.get("/")
    def home() -> AnyResponse:
        if access.may_use_server(g.caller):
            return redirect(url_for("server-pages.overview"))
        return redirect(url_for("pages.groups"))

    groups.add_to(blueprint, services)
    audit.add_to(blueprint, services, guard, has_accounts=has_accounts)
    if has_accounts:
        account.add_to(blueprint, services)
        members.add_to(blueprint, services)
        groups.add_changes_to(blueprint, services)
        sign_in.add_to(blueprint, services)
        oidc.add_to(blueprint, services)
    return blueprint
