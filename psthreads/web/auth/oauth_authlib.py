"""An OAuth 2.0 server; the one module for Authlib's server, which has no types."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, OAuth2Payload, OAuth2Request
from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidGrantError, InvalidRequestError
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from flask import Response, request

_METHODS: Final = ["client_secret_basic", "client_secret_post"]
# No commas in these sentences: the parser of PageSeeder's Java client ends a value there.
_REFUSED: Final = "The client id and secret are not accepted: check them and send them by HTTP Basic or in the form."
_IN_QUERY: Final = (
    "Send {} by HTTP Basic or in the form that is the request's body: a query ends up in logs. "
    "Whatever was secret there should be replaced."
)
_FIELDS: Final = frozenset({"grant_type", "client_id", "client_secret", "scope", "token", "token_type_hint"})


@dataclass(frozen=True, slots=True)
class Hooks:
    """The service's decisions. A client is whatever `authenticate` returns.

    `authenticate` takes the form, and returns None for wrong credentials. `narrow` takes a client and the requested
    scope, and returns the granted one; None where the request is for too much. `grant` takes a client, a new token and
    the granted scope. `give_back` revokes a client's token; it returns False for another client's.
    """

    authenticate: Callable[[dict[str, str]], Any]
    new_token: Callable[[], str]
    narrow: Callable[[Any, str], str | None]
    grant: Callable[[Any, str, str], None]
    give_back: Callable[[Any, str], bool]


class OAuthServer(AuthorizationServer):  # type: ignore[misc] # the library has no types
    """The endpoints for tokens: RFC 6749 (client credentials) and RFC 7009, for the current request."""

    def __init__(self, hooks: Hooks, expires: int) -> None:
        super().__init__(query_client=lambda _: None, save_token=self._save)
        self.hooks = hooks
        generator = BearerTokenGenerator(lambda **_: hooks.new_token(), None, lambda _client, _grant: expires)
        self.register_token_generator("default", generator)
        self.register_grant(_ByClient)
        self.register_endpoint(_Revocation)

    def token(self) -> Response:
        """Answer a request for an access token."""
        response: Response = self._refusal() or self.create_token_response()
        return response

    def revocation(self) -> Response:
        """Answer a request to revoke an access token."""
        response: Response = self._refusal() or self.create_endpoint_response(_Revocation.ENDPOINT_NAME)
        return response

    def _refusal(self) -> Response | None:
        """Return the answer to a request with parameters in its query, as RFC 6749 has it in section 2.3.1."""
        names = sorted(_FIELDS & set(request.args))
        if not names:
            return None
        error = InvalidRequestError(description=_IN_QUERY.format(" and ".join(names)))
        response: Response = self.handle_error_response(_Request(), error)
        return response

    def create_oauth2_request(self, _request: Any) -> OAuth2Request:
        """Return the current request in Authlib's form."""
        return _Request()

    def authenticate_client(self, request: Any, _methods: Any, _endpoint: str = "token") -> ClientMixin:
        """Return the request's client. Raises InvalidClientError, with the same words for every reason."""
        client = self.hooks.authenticate(request.payload.fields)
        if client is None:
            raise InvalidClientError(status_code=401, description=_REFUSED)
        return _AuthlibClient(client, self.hooks)

    def handle_response(self, status_code: int, payload: Any, headers: Any) -> Response:
        """Return the answer, with the headers that RFC 6749 wants."""
        # Without a blank after a colon: the parser of PageSeeder's Java client takes none.
        text = json.dumps(payload, separators=(",", ":")) if isinstance(payload, dict) else payload
        response: Response = super().handle_response(status_code, text, headers)
        response.headers["Cache-Control"] = "no-store"
        if status_code == 401:  # noqa: PLR2004 (HTTP's number)
            response.headers["WWW-Authenticate"] = 'Basic realm="psthreads", charset="UTF-8"'
        return response

    def _save(self, token: dict[str, Any], request: Any) -> None:
        self.hooks.grant(request.client.client, token["access_token"], token.get("scope", ""))


class _Payload(OAuth2Payload):  # type: ignore[misc]
    """The form only: a query ends up in logs."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = request.form.to_dict()

    @property
    def data(self) -> dict[str, str]:
        return self.fields

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        return defaultdict(list, request.form.to_dict(flat=False))


class _Request(OAuth2Request):  # type: ignore[misc]
    def __init__(self) -> None:
        # Authlib refuses plain HTTP, but TLS may end at a proxy that does not say so.
        super().__init__("POST", request.url.replace("http://", "https://", 1), headers=request.headers)
        self.payload = _Payload()

    @property
    def form(self) -> dict[str, str]:
        return self.payload.fields


class _AuthlibClient(ClientMixin):  # type: ignore[misc]
    def __init__(self, client: Any, hooks: Hooks) -> None:
        self.client = client
        self._hooks = hooks

    def check_grant_type(self, grant_type: str) -> bool:
        return bool(grant_type == ClientCredentialsGrant.GRANT_TYPE)

    def get_allowed_scope(self, scope: str | None) -> str | None:
        return self._hooks.narrow(self.client, scope or "")


class _ByClient(ClientCredentialsGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = _METHODS

    def validate_token_request(self) -> None:
        if any(len(values) > 1 for values in self.request.payload.datalist.values()):
            raise InvalidRequestError(description="A parameter is given more than once.")
        super().validate_token_request()


class _Revocation(RevocationEndpoint):  # type: ignore[misc]
    CLIENT_AUTH_METHODS = _METHODS

    def query_token(self, token_string: str, _hint: str | None) -> _AccessToken:
        return _AccessToken(token_string)

    def revoke_token(self, token: _AccessToken, request: Any) -> None:
        # One step checks whose it is and revokes it.
        if not self.server.hooks.give_back(request.client.client, token.plain):
            raise InvalidGrantError(description="The token is not one of this client.")


@dataclass(frozen=True, slots=True)
class _AccessToken:
    plain: str

    def check_client(self, _client: Any) -> bool:
        return True
