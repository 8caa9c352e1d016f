"""Session cookies: signed, and made only for requests that have or need one."""

from __future__ import annotations

import secrets
from typing import Final

from flask import Flask, Request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from redis import Redis

from psthreads.connection import translated

_SHARED_KEY: Final = "ps:secret-key"


class Sessions(SecureCookieSessionInterface):
    """Flask's own sessions, with a secret key that all web processes share through Redis if none is set."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """The session that the request's cookie holds."""
        if "HTTP_COOKIE" not in request.environ:
            return self.session_class()  # Most requests carry a token: there is nothing to unsign.
        self.need_key(app)
        return super().open_session(app, request)

    def need_key(self, app: Flask) -> None:
        """Make sure that there is a key to sign with; raises Unavailable when Redis does not give one."""
        if not app.secret_key:
            with translated(self._redis):
                self._redis.set(_SHARED_KEY, secrets.token_hex(32), nx=True)
                app.secret_key = self._redis.get(_SHARED_KEY)
