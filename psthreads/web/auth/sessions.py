"""Browser sessions: signed cookies, sent only where one is needed, that expire; the one module for Flask-Login."""

from __future__ import annotations

import secrets
import time
from ipaddress import ip_address
from typing import Any, Final, cast

from flask import Flask, Request, Response, current_app, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask_login import LoginManager, UserMixin, login_user
from redis import Redis

from psthreads.database.connection import translate_errors
from psthreads.domain.access import Member
from psthreads.domain.config import Config
from psthreads.identity.credentials import Session

_SHARED_KEY: Final = "ps:secret-key"
_SINCE: Final = "since"
_SEEN: Final = "seen"
_PROVEN: Final = "proven"
_RENEWAL: Final = 60.0  # seconds, at least, between two cookies that record that the session is in use


class Sessions(SecureCookieSessionInterface):
    """Flask's own sessions, with a secret key that all web processes share through Redis if none is set.

    A session expires `idle` seconds after its last request and `life` seconds after the sign-in, as the settings say.
    """

    def __init__(self, redis: Redis, config: Config) -> None:
        self.idle = config.session_idle
        self.life = config.session_life
        self._is_public_by_tls = bool(config.origins) and config.origins[0].startswith("https:")
        self._redis = redis

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session of the request's cookie."""
        if "HTTP_COOKIE" not in request.environ:
            return self.session_class()  # Most requests carry a token: there is no signature to check.
        self.need_key(app)
        return super().open_session(app, request)

    def need_key(self, app: Flask) -> None:
        """Set the key that signs cookies, if it is not set. Raises Unavailable when Redis does not answer."""
        if not app.secret_key:
            with translate_errors():
                if (key := self._redis.get(_SHARED_KEY)) is None:
                    self._redis.set(_SHARED_KEY, secrets.token_hex(32), nx=True)
                    key = self._redis.get(_SHARED_KEY)
                app.secret_key = key

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Write the session's cookie where there is one to write."""
        if session or session.modified or session.accessed:  # Else Flask looks up all that a cookie has, and leaves it.
            super().save_session(app, session, response)

    def get_cookie_name(self, app: Flask) -> str:
        """Return the cookie's name. Over TLS no other host of the same domain can set one with this prefix."""
        name = super().get_cookie_name(app)
        return f"__Host-{name}" if self.get_cookie_secure(app) else name

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002 (as Flask calls it)
        """Return whether browsers may send the cookie through TLS only: everywhere but on the machine itself.

        Behind a proxy that ends TLS and does not say so, the request looks plain; its host is not this machine, or the
        server's own address in the settings begins with https.
        """
        if request.is_secure or not _is_this_machine(request.host):
            return True
        return self._is_public_by_tls


class SignedIn(UserMixin):  # type: ignore[misc] # the library has no types
    """A member, as Flask-Login wants one; the id in the cookie carries the member's stamp and the session's key."""

    def __init__(self, member: Member, session: Session) -> None:
        self.member = member
        self._session = session

    def get_id(self) -> str:
        """Return what the cookie holds."""
        return f"{self.member.id}:{self._session.stamp}:{self._session.key}"


def install(app: Flask, sessions: Sessions) -> None:
    """Make these the app's sessions."""
    app.session_interface = sessions
    app.config.update(SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Lax")
    manager = LoginManager()
    # Not init_app: it would add work to every request, for cookies that are not used.
    cast("Any", app).login_manager = manager
    # The guard identifies the member of a cookie, in the same round trip as everything else.
    manager.user_loader(lambda _: None)


def need_key() -> None:
    """Set the key that signs cookies and the tokens of forms, if it is not set. Raises Unavailable."""
    if isinstance(current_app.session_interface, Sessions):
        current_app.session_interface.need_key(current_app._get_current_object())  # type: ignore[attr-defined] # noqa: SLF001 (as Flask's documentation has it)


def begin(member: Member, signed_in: Session, proven: float) -> None:
    """Write the member's session into the cookie, in place of all that it holds.

    `proven` is when the member proved who they are, in seconds since the epoch; 0 where nobody knows.
    """
    # What the cookie held before may be known to somebody else.
    session.clear()
    session[_SINCE] = session[_SEEN] = int(time.time())
    session[_PROVEN] = int(proven)
    login_user(SignedIn(member, signed_in))


def has_cookie() -> bool:
    """Return whether the request came with a session of ours, also one that has ended."""
    return bool(session.get("_user_id")) or session.modified


def prove() -> None:
    """Note in the cookie that the session's member has just proven who they are."""
    session[_PROVEN] = int(time.time())


def proof_age() -> float:
    """Return how many seconds ago the session's member last proved who they are."""
    proven = session.get(_PROVEN)
    return time.time() - proven if isinstance(proven, int) else float("inf")


def forget() -> None:
    """Remove all that the cookie holds."""
    session.clear()


def of_cookie() -> Session | None:
    """Return the session of the request's cookie; None where nobody is signed in, and once it has expired."""
    if (user_id := session.get("_user_id")) is None:
        return None
    limits = current_app.session_interface
    since, seen, now = session.get(_SINCE), session.get(_SEEN), time.time()
    parts = str(user_id).split(":")
    if not isinstance(limits, Sessions) or not isinstance(since, int) or not isinstance(seen, int) or len(parts) != 3:  # noqa: PLR2004 (id, stamp, key)
        return None  # A cookie of an earlier version.
    if now > seen + limits.idle or now > since + limits.life:
        session.clear()
        return None
    if now > seen + min(_RENEWAL, limits.idle / 10) and not _is_automatic():
        session[_SEEN] = int(now)
    member_id, stamp, key = parts
    return Session(int(member_id), stamp, key, since + limits.life)


def _is_automatic() -> bool:
    """Return whether an open page makes this request by itself, perhaps with nobody in front of it."""
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
