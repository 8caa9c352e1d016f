"""Session cookies: signed, made only for requests that have or need one, and of use for a limited time."""

from __future__ import annotations

import secrets
import time
from ipaddress import ip_address
from typing import Final

from flask import Flask, Request, current_app, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from redis import Redis

from psthreads.database.connection import translated
from psthreads.identity.credentials import Session

_SHARED_KEY: Final = "ps:secret-key"
_SINCE: Final = "since"
_SEEN: Final = "seen"
_AT_MOST_EVERY: Final = 60.0  # seconds between two cookies that say that the session is in use


class Sessions(SecureCookieSessionInterface):
    """Flask's own sessions, with a secret key that all web processes share through Redis if none is set.

    A signed-in session ends `idle` seconds after its last request and `life` seconds after the sign-in.
    """

    def __init__(self, redis: Redis, idle: float, life: float) -> None:
        self.idle = idle
        self.life = life
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

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002 (as Flask calls it)
        """Whether browsers may send the cookie by TLS only: everywhere but on the machine itself.

        Behind a proxy that ends TLS and does not say so, the request looks plain; its host is not this machine.
        """
        return request.is_secure or not _is_this_machine(request.host)


def need_key() -> None:
    """Make sure that this request can be answered with a form, which needs a token that was signed."""
    if isinstance(current_app.session_interface, Sessions):
        current_app.session_interface.need_key(current_app._get_current_object())  # type: ignore[attr-defined] # noqa: SLF001 (as Flask's documentation has it)


def begin() -> None:
    """Begin a session that is signed in: nothing of what was before is kept, so that nobody else can know it."""
    session.clear()
    session[_SINCE] = session[_SEEN] = int(time.time())


def forget() -> None:
    """Forget all that the cookie holds."""
    session.clear()


def of_cookie() -> Session | None:
    """The session that the request's cookie holds, if it is one that is signed in and has not run out."""
    if (known := session.get("_user_id")) is None:
        return None
    limits = current_app.session_interface
    since, seen, now = session.get(_SINCE), session.get(_SEEN), time.time()
    parts = str(known).split(":")
    if not isinstance(limits, Sessions) or not isinstance(since, int) or not isinstance(seen, int) or len(parts) != 3:  # noqa: PLR2004 (id, stamp, key)
        return None  # A cookie of an earlier version.
    if now > seen + limits.idle or now > since + limits.life:
        session.clear()
        return None
    if now > seen + min(_AT_MOST_EVERY, limits.idle / 10) and not _is_by_itself():
        session[_SEEN] = int(now)
    member_id, stamp, key = parts
    return Session(int(member_id), stamp, key, since + limits.life)


def _is_by_itself() -> bool:
    """Whether an open page makes this request by itself: nobody need be there."""
    environ = request.environ
    return "HTTP_HX_REQUEST" in environ or "text/event-stream" in environ.get("HTTP_ACCEPT", "")


def _is_this_machine(host: str) -> bool:
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    if name == "localhost":
        return True
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
