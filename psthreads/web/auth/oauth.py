"""OAuth 2.0 for programs: a client exchanges its id and secret for an access token, and revokes one."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from flask import Blueprint, Response, g, request

from psthreads.authoring.parameter import Parameter
from psthreads.domain.access import TokenScope
from psthreads.domain.errors import GroupNotFound, NotSignedIn
from psthreads.identity.oauth_clients import OAuthClient, new_access_token
from psthreads.web.auth import refusals
from psthreads.web.auth.guard import Guard
from psthreads.web.auth.oauth_authlib import Hooks, OAuthServer
from psthreads.web.http.operation import FORM, JSON, DeclaredResponse, Operation, Who, declares
from psthreads.web.http.routing import API_PREFIX
from psthreads.web.services import Services

_GROUP: Final = "group:"
_WRONG: Final = "The client id or the secret is wrong."
_MOST_GROUPS: Final = 100
_SCOPE: Final = Parameter("scope", str, "", description="read, act and group:<name>, to narrow the client's scope")
_TOKEN: Final = Parameter("token", str, None, description="the access token to end")
_REFUSALS: Final = {
    400: DeclaredResponse("The request is not valid or not supported; `error` says why", (JSON,), "oauth-error"),
    401: DeclaredResponse("The client id or the secret is wrong", (JSON,), "oauth-error"),
    429: DeclaredResponse(
        "Too many wrong secrets from this address: Retry-After says when to try again", (JSON,), "oauth-error"
    ),
}


def make_blueprint(services: Services, guard: Guard) -> Blueprint:
    """Return the two routes."""
    blueprint = Blueprint("oauth", __name__)

    def allow() -> None:
        guard.anyone()
        g.suffix = "json"  # the only format of RFC 6749

    blueprint.before_request(allow)

    policy = _Policy(services)
    hooks = Hooks(policy.authenticate, new_access_token, policy.narrow, policy.grant, services.directory.clients.revoke)
    server = OAuthServer(hooks, services.config.oauth_expires)

    @blueprint.post("/ps/oauth/token")
    @blueprint.post(f"{API_PREFIX}/oauth/token")
    @declares(
        Operation(
            "Gives an OAuth client an access token",
            Who.EVERYBODY,
            {200: DeclaredResponse("The token, which is sent as a Bearer token", (JSON,), "oauth-token"), **_REFUSALS},
            (_SCOPE,),
            body=(FORM,),
            fields=("grant_type", "client_id", "client_secret"),
            required=("grant_type",),
        )
    )
    def token() -> Response:
        return server.token()

    @blueprint.post("/ps/oauth/revoke")
    @blueprint.post(f"{API_PREFIX}/oauth/revoke")
    @declares(
        Operation(
            "Revokes an access token of an OAuth client",
            Who.EVERYBODY,
            {200: DeclaredResponse("The token is revoked", (JSON,), "oauth-revoked"), **_REFUSALS},
            (_TOKEN,),
            body=(FORM,),
            fields=("token_type_hint", "client_id", "client_secret"),
        )
    )
    def revoke() -> Response:
        return server.revocation()

    return blueprint


class _Policy:
    """The answers to Authlib's questions; `Hooks` gives their contract."""

    def __init__(self, services: Services) -> None:
        self._directory = services.directory
        self._throttles = services.throttles
        self._expires = services.config.oauth_expires

    def authenticate(self, form: dict[str, str]) -> OAuthClient | None:
        credentials = _credentials(form)
        if credentials is None:
            return None
        client = self._directory.clients.find(credentials[0])
        if client is None or not client.has_secret(credentials[1]):
            refusals.note(NotSignedIn(_WRONG), "refused.client")
            self._throttles.count_wrong(request.remote_addr or "", " ".join(credentials))
            return None
        return client

    def narrow(self, client: OAuthClient, scope: str) -> str | None:
        return None if self._token_scope(client, scope) is None else " ".join(scope.split())

    def grant(self, client: OAuthClient, token: str, scope: str) -> None:
        self._directory.clients.grant(client, token, self._token_scope(client, scope), self._expires)

    def _token_scope(self, client: OAuthClient, scope: str) -> TokenScope | None:
        """Return the client's scope, narrowed by the request's; None where that is invalid or wider."""
        words, whole = set(scope.split()), client.token_scope or TokenScope()
        kinds = words & {"read", "act"}
        names = {word.removeprefix(_GROUP) for word in words if word.startswith(_GROUP)}
        if len(kinds) + len(names) < len(words) or len(names) > _MOST_GROUPS:
            return None
        try:
            groups = frozenset(self._directory.find_group(name).id for name in names) if names else whole.groups
        except GroupNotFound:
            return None
        narrowed = TokenScope("read" in kinds if kinds else whole.read, "act" in kinds if kinds else whole.act, groups)
        return narrowed if narrowed.within(whole) else None


def _credentials(form: dict[str, str]) -> tuple[str, str] | None:
    """Return the client's id and secret, by HTTP Basic or in the form; None where there are none, or both."""
    basic = request.authorization
    secret = form.get("client_secret")
    if basic is None:
        return (form.get("client_id", ""), secret) if secret is not None else None
    if basic.type != "basic" or basic.username is None or secret is not None:
        return None
    # RFC 6749, section 2.3.1: both were encoded as for a form.
    return unquote(basic.username), unquote(basic.password or "")
