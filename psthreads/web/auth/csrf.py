"""The corners of Flask-Login and Flask-WTF that have no types, kept in one place."""

from __future__ import annotations

from typing import Any, cast

from flask import Flask
from flask_login import LoginManager, UserMixin, login_user
from flask_wtf.csrf import CSRFError, CSRFProtect, generate_csrf

from psthreads.domain.access import Member
from psthreads.domain.errors import NotAllowed
from psthreads.identity.credentials import Session


class SignedIn(UserMixin):  # type: ignore[misc] # the library has no types
    """A member, as Flask-Login wants one; the id in the cookie carries the member's stamp and the session's key."""

    def __init__(self, member: Member, session: Session) -> None:
        self.member = member
        self._session = session

    def get_id(self) -> str:
        """What the session cookie holds."""
        return f"{self.member.id}:{self._session.stamp}:{self._session.key}"


def install(app: Flask) -> None:
    """Set up sessions and the protection from forged requests; guard.py decides where it applies."""
    app.config.update(
        WTF_CSRF_METHODS={"POST", "PUT", "PATCH", "DELETE"},
        WTF_CSRF_FIELD_NAME="csrf_token",
        WTF_CSRF_HEADERS=["X-CSRFToken"],
        WTF_CSRF_SSL_STRICT=True,
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session
    )
    manager = LoginManager()
    # No init_app, here and below: it adds work to every request, for cookies that are not used and for checks
    # that the guard makes where they belong.
    cast("Any", app).login_manager = manager
    # Who a cookie stands for is decided by the guard, in the same round trip as everything else.
    manager.user_loader(lambda _: None)
    app.extensions["csrf-protect"] = CSRFProtect()
    app.jinja_env.globals["csrf_token"] = generate_csrf


def sign_in(member: Member, session: Session) -> None:
    """Write the member's session into the cookie."""
    login_user(SignedIn(member, session))


def protect_from_forgery(app: Flask) -> None:
    """Raise NotAllowed unless the request carries the session's own token."""
    try:
        cast("Any", app.extensions["csrf-protect"]).protect()
    except CSRFError as error:
        raise NotAllowed(f"{error.description} Load the page again and repeat what you did.") from None
