"""A small OpenID Connect provider, run as a process of its own: `python oidc_provider.py PORT PARENT`.

It signs in whoever comes as the member that it was told about last, and can be told to do one thing wrong.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sys
import time
from base64 import b64decode, urlsafe_b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from psthreads.system import parent_death as lifeline

CLIENT_ID = "psthreads-test"
CLIENT_SECRET = "of-the-test-only-0123456789"
FAULTS = (
    *("signature", "nonce", "no-nonce", "issuer", "audience", "expired", "none", "symmetric", "no-id-token", "error"),
    *("not-json", "no-keys", "party"),
)


class Provider:
    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.key = RSAKey.generate_key(2048, {"kid": "first"}, private=True)
        self.stranger = RSAKey.generate_key(2048, {"kid": "first"}, private=True)
        self.claims: dict[str, Any] = {}
        self.fault = ""
        self.codes: dict[str, dict[str, str]] = {}

    def settings(self) -> dict[str, Any]:
        return {
            "issuer": f"{self.issuer}/other" if self.fault == "settings" else self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            "code_challenge_methods_supported": ["S256"],
        }

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser is sent to, with a code."""
        assert asked["client_id"] == CLIENT_ID
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, form: dict[str, str], authorization: str) -> dict[str, Any] | None:
        """The answer to a code that is used for the first time, by whom it was made for."""
        given = b64decode(authorization.removeprefix("Basic ")).decode()
        asked = self.codes.pop(form.get("code", ""), None)
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = urlsafe_b64encode(verifier).decode().rstrip("=")
        if (
            asked is None
            or self.fault == "error"
            or given != f"{CLIENT_ID}:{CLIENT_SECRET}"
            or challenge != asked["code_challenge"]
            or form.get("redirect_uri") != asked["redirect_uri"]
        ):
            return None
        answer = {"access_token": secrets.token_urlsafe(16), "token_type": "Bearer", "expires_in": 60}
        return answer if self.fault == "no-id-token" else answer | {"id_token": self._id_token(asked["nonce"])}

    def _id_token(self, nonce: str) -> str:
        now = int(time.time()) - (3600 if self.fault == "expired" else 0)
        claims: dict[str, Any] = {
            "iss": "http://127.0.0.1:1" if self.fault == "issuer" else self.issuer,
            "sub": "0815",
            "aud": "somebody-else" if self.fault == "audience" else CLIENT_ID,
            "iat": now,
            "exp": now + 60,
            "nonce": "another" if self.fault == "nonce" else nonce,
            **self.claims,
        }
        if self.fault == "no-nonce":
            del claims["nonce"]
        if self.fault == "party":
            claims["azp"] = "somebody-else"
        if self.fault == "none":
            parts = ({"alg": "none", "typ": "JWT"}, claims)
            return ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."
        if self.fault == "symmetric":  # With the public key, which everybody knows, as the secret.
            public = OctKey.import_key(json.dumps(self.key.as_dict(private=False)))
            return jwt.encode({"alg": "HS256", "kid": "first"}, claims, public, algorithms=["HS256"])
        key = self.stranger if self.fault == "signature" else self.key
        return jwt.encode({"alg": "RS256", "kid": "first"}, claims, key)


class Handler(BaseHTTPRequestHandler):
    provider: Provider

    def do_GET(self) -> None:
        path, query = self._asked()
        if path == "/.well-known/openid-configuration":
            self._answer(self.provider.settings())
        elif path == "/keys":
            keys = [] if self.provider.fault == "no-keys" else [self.provider.key.as_dict(private=False)]
            self._answer({"keys": keys})
        elif path == "/authorize":
            self.send_response(302)
            self.send_header("Location", self.provider.authorize(query))
            self.end_headers()
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        path, _ = self._asked()
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if path == "/told":
            told = json.loads(body)
            self.provider.claims, self.provider.fault = told["claims"], told["fault"]
            self._answer({})
        elif path == "/token":
            form = {name: values[0] for name, values in parse_qs(body).items()}
            found = self.provider.token(form, self.headers.get("Authorization", ""))
            if self.provider.fault == "not-json":
                self._answer("<html>")
            else:
                self._answer(found or {"error": "invalid_grant"}, 200 if found else 400)
        else:
            self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass

    def _asked(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        return parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()}

    def _answer(self, content: object, status: int = 200) -> None:
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    lifeline.die_with_parent(int(sys.argv[2]))
    Handler.provider = Provider(f"http://127.0.0.1:{sys.argv[1]}")
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
