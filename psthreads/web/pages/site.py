"""The pages outside the dashboard's two parts: home, sign-in, account, members, groups and the audit log."""

from __future__ import annotations

from flask import Blueprint, g, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from psthreads.domain import access
from psthreads.web.auth import oidc, sessions, sign_in
from psthreads.web.auth.guard import Guard
from psthreads.web.http import headers
from psthreads.web.pages import audit
from psthreads.web.pages.people import account, groups, members
from psthreads.web.services import Services


def make_blueprint(services: Services, guard: Guard) -> Blueprint:
    """Return the blueprint of these pages."""
    blueprint = Blueprint("pages", __name__)

    def allow() -> None:
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
        }.get(request.endpoint or "", guard.server)()

    blueprint.before_request(sessions.need_key)
    blueprint.before_request(allow)
    blueprint.after_request(headers.as_page)

    @blueprint.get("/")
    def home() -> AnyResponse:
        if access.may_use_server(g.caller):
            return redirect(url_for("server-pages.overview"))
        return redirect(url_for("pages.groups"))

    account.add_to(blueprint, services)
    members.add_to(blueprint, services)
    groups.add_to(blueprint, services)
    audit.add_to(blueprint, services, guard)
    sign_in.add_to(blueprint, services)
    oidc.add_to(blueprint, services)
    return blueprint
