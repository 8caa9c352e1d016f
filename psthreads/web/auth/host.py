"""Signing in by the application that psthreads is a part of: nothing here knows a password, a token or a session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from flask import Flask, Request, request

from psthreads.domain.errors import NotSignedIn
from psthreads.identity.credentials import Credential, Vouched
from psthreads.identity.users import User, Users
from psthreads.web.auth.guard import CredentialReader
from psthreads.web.http.routing import here

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


@dataclass(frozen=True, slots=True)
class Host:
    """The application around psthreads. `prefix` is the path below which psthreads is there.

    `identify` returns who sends the current request of that application, None for nobody. `sign_in` is the path of its
    page to sign in at, empty where it has none.
    """

    app: Flask
    prefix: str
    identify: Callable[[], User | None]
    sign_in: str = ""

    @property
    def home(self) -> str:
        """The address of the application's own first page, for the current request."""
        return f"{request.root_path.removesuffix(self.prefix)}/"

    def sign_in_page(self) -> str:
        """Return the address of the application's page to sign in at, which leads back; empty where it has none."""
        following = here() if request.method in {"GET", "HEAD"} else f"{request.root_path}/"
        page = self.sign_in if "://" in self.sign_in else self.home.rstrip("/") + self.sign_in
        return f"{page}{'&' if '?' in page else '?'}{urlencode({'next': following})}" if self.sign_in else ""

    def user(self, environ: WSGIEnvironment) -> User | None:
        """Return who sends this request. Raises what `identify` raises, and TypeError for another value."""
        script_name = environ["SCRIPT_NAME"].removesuffix(self.prefix)
        # The body is for psthreads: what the application looks at is the head of the request.
        head = {
            **{name: value for name, value in environ.items() if not name.startswith(("werkzeug.", "flask."))},
            "SCRIPT_NAME": script_name,
            "PATH_INFO": self.prefix + environ["PATH_INFO"],
            "CONTENT_LENGTH": "0",
            "wsgi.input": BytesIO(),
        }
        with self.app.request_context(head):
            user: Any = self.identify()
        if user is not None and not isinstance(user, User):
            raise TypeError(f"identify must return a psthreads.User or None, but returned {type(user).__name__}")
        return user


class HostCredentials(CredentialReader):
    """Asks the application who sends a request, and keeps the directory as the application says."""

    def __init__(self, host: Host, users: Users) -> None:
        self._host = host
        self._users = users

    def read(self, current: Request) -> Credential:
        """Return the member whom the application has signed in. Raises NotSignedIn, and what `identify` raises."""
        return self._ask(current.environ)

    def renewal(self, current: Request) -> Callable[[], Credential]:
        """Return a function that asks the application again, by the same head of a request."""
        environ = dict(current.environ)
        return lambda: self._ask(environ)

    def _ask(self, environ: WSGIEnvironment) -> Vouched:
        user = self._host.user(environ)
        if user is None:
            raise NotSignedIn("Sign in first, at the application that this is a part of.")
        self._users.note(user)
        # No page of another site can make a browser send a Bearer token; all else may come by itself.
        is_bearer = environ.get("HTTP_AUTHORIZATION", "")[:7].lower() == "bearer "
        return Vouched(user.member, is_ambient=not is_bearer)
