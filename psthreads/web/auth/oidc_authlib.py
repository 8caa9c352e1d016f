"""An OpenID Connect provider; the one module for Authlib's client, which has no types."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final, cast

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.flask_client import FlaskIntegration, FlaskOAuth2App
from flask import Response, session
from joserfc.errors import JoseError
from requests import RequestException

from psthreads.domain.errors import NotSignedIn, Unavailable

_NAME: Final = "oidc"
_STATE: Final = f"_state_{_NAME}_"
_SECONDS: Final = 10.0
_FRESH: Final = 3600.0  # seconds until the provider's settings and keys are read again: a key that it withdrew is gone
_LEEWAY: Final = 60  # seconds by which the clocks may differ
# Signatures by a key that only the provider has. Its metadata may narrow this list, not extend it.
_ALGORITHMS: Final = frozenset({f"{kind}{size}" for kind in ("RS", "PS", "ES") for size in (256, 384, 512)} | {"EdDSA"})
_AWAY: Final = "The provider for signing in does not answer as it should: try again in a few seconds."
_REFUSED: Final = "The provider's answer is not accepted: begin to sign in again."


class Provider:
    """An OpenID Connect provider, by its discovery document: authorization code flow with PKCE, state and nonce."""

    def __init__(self, issuer: str, client_id: str, client_secret: str) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._client: Any = None
        self._read = float("-inf")

    def redirect(self, callback: str, *, signs_in_again: bool = False) -> Response:
        """Return the redirect to the provider, which then leads to the URL `callback`. Raises Unavailable.

        With `signs_in_again` the provider asks for the sign-in anew, and its claims have the time of it: `auth_time`.
        """
        for key in [key for key in session if key.startswith(_STATE)]:
            del session[key]  # Only the last of several attempts counts; the cookie has room for no more.
        options = {"prompt": "login", "max_age": 0} if signs_in_again else {}
        return cast("Response", self._app().authorize_redirect(callback, **options))

    def claims(self) -> Mapping[str, Any]:
        """Return the provider's claims about the user that it sent back with this request.

        Raises NotSignedIn where a check of the answer fails, and Unavailable.
        """
        app = self._app()
        options = {
            "iss": {"essential": True, "value": self._issuer},
            "aud": {"essential": True, "value": self._client_id},
            "nonce": {"essential": True},
        }
        try:
            token = app.authorize_access_token(claims_options=options, leeway=_LEEWAY)
        except RequestException as error:
            raise Unavailable(_AWAY) from error
        except (AuthlibBaseError, JoseError, ValueError, KeyError, TypeError) as error:
            raise NotSignedIn(_REFUSED) from error
        # Without an ID token nothing was verified.
        if not (claims := token.get("userinfo")):
            raise NotSignedIn(_REFUSED)
        return cast("Mapping[str, Any]", claims)

    def _app(self) -> Any:
        if self._client is None or time.monotonic() > self._read + _FRESH:
            app = FlaskOAuth2App(
                FlaskIntegration(_NAME),
                name=_NAME,
                client_id=self._client_id,
                client_secret=self._client_secret or None,
                server_metadata_url=f"{self._issuer.rstrip('/')}/.well-known/openid-configuration",
                client_kwargs={
                    "scope": "openid profile",
                    "code_challenge_method": "S256",
                    "default_timeout": _SECONDS,
                    **({} if self._client_secret else {"token_endpoint_auth_method": "none"}),
                },
            )
            try:
                metadata = app.load_server_metadata()
            except (RequestException, ValueError) as error:
                raise Unavailable(_AWAY) from error
            algorithms = set(metadata.get("id_token_signing_alg_values_supported") or ("RS256",)) & _ALGORITHMS
            if metadata.get("issuer") != self._issuer or not algorithms:
                raise Unavailable(_AWAY)
            metadata["id_token_signing_alg_values_supported"] = sorted(algorithms)
            self._client, self._read = app, time.monotonic()
        return self._client
