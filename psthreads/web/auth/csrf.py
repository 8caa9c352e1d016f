"""Protection from cross-site request forgery (CSRF); the one module for Flask-WTF, which has no types."""

from __future__ import annotations

from typing import Any, cast

from flask import Flask, current_app
from flask_wtf.csrf import CSRFError, CSRFProtect, generate_csrf

from psthreads.domain.errors import Forgery


def install(app: Flask) -> None:
    """Set up the tokens of forms. The guard decides which requests need one."""
    app.config.update(
        WTF_CSRF_METHODS={"POST", "PUT", "PATCH", "DELETE"},
        WTF_CSRF_FIELD_NAME="csrf_token",
        WTF_CSRF_HEADERS=["X-CSRFToken"],
        WTF_CSRF_SSL_STRICT=True,
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session
    )
    # Not init_app: it would check every request, before the guard knows whether a session makes it.
    app.extensions["csrf-protect"] = CSRFProtect()
    app.jinja_env.globals["csrf_token"] = generate_csrf


def check_token() -> None:
    """Raise Forgery unless the request carries the session's token."""
    try:
        cast("Any", current_app.extensions["csrf-protect"]).protect()
    except CSRFError as error:
        raise Forgery(f"{error.description} Load the page again and repeat what you did.") from None
