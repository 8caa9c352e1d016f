"""psthreads as a part of another Flask application: its pages and services below a prefix, its threads from Python."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, current_app, has_request_context, request

from psthreads.authoring.parameter import Value
from psthreads.domain.config import Config
from psthreads.domain.errors import NotSignedIn
from psthreads.domain.model import Event, Level, LogPage, Thread
from psthreads.identity.users import User
from psthreads.service.service import Service
from psthreads.telemetry import trace_context
from psthreads.web.app import assemble
from psthreads.web.auth.host import Host
from psthreads.web.http.routing import Application
from psthreads.web.services import Services

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_KEY: Final = "psthreads"
_MISSING: Final = "This application has no psthreads: call init_app(app) of your Psthreads first"


class Psthreads:
    """The extension. Below `url_prefix` your application shows the dashboard and the services of psthreads.

    `identify` takes nothing and returns who sends the current request of your application: a User, or None for nobody.
    It is called in a context of your application, with the head of the request: `session`, `current_user` of
    Flask-Login and `request.headers` are there. Your functions of `before_request` do not run for these requests, what
    you write into the session there is not kept, and nobody signs in in any other way.

    `sign_in` is the path of your page to sign in at, such as `/login`. Whoever is nobody is led there, with the address
    to come back to in the parameter `next`; without one they get a page with the status 401.

    The settings are those of the environment, which the workers read too, unless `config` has them.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        identify: Callable[[], User | None],
        url_prefix: str = "/jobs",
        sign_in: str = "",
        config: Config | None = None,
    ) -> None:
        if not url_prefix.startswith("/") or url_prefix.endswith("/"):
            raise ValueError(f"url_prefix is '{url_prefix}', but must be a path such as /jobs, without a / at its end")
        self._identify = identify
        self._prefix = url_prefix
        self._sign_in = sign_in
        self._config = config
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Make psthreads a part of the application. Nothing is sent to Redis before the first request or call.

        Raises ConfigError for a wrong setting or processes that cannot be loaded, and ValueError where the application
        has one already.
        """
        if _KEY in app.extensions:
            raise ValueError(f"The application '{app.name}' has a Psthreads already")
        services = Services.make(self._config or Config.from_env(), program=app.name)
        host = Host(app, self._prefix, self._identify, self._sign_in)
        app.extensions[_KEY] = mounted = _Mounted(host, services, assemble(services, host))
        dispatch = app.full_dispatch_request

        def full_dispatch_request(*arguments: Any) -> Any:
            answer = mounted.answer(request.environ)
            return dispatch(*arguments) if answer is None else answer

        # Here all middleware of the application has seen the request, whether it was added before or after this, and
        # none of its functions for requests, answers and errors.
        app.full_dispatch_request = full_dispatch_request  # type: ignore[method-assign] # as one adds middleware to wsgi_app

    @property
    def service(self) -> Service:
        """The service of the current application, for whatever has no method here."""
        return self._mounted.services.service

    def start(
        self,
        process: str,
        /,
        *,
        member: str | User | None = None,
        group: str = "",
        key: str = "",
        **parameters: Value,
    ) -> Thread:
        """Start a thread, as `Service.start` does: for the user of the current request where no member is named.

        Raises NotSignedIn where nobody is named and `identify` returns nobody.
        """
        user = self._user()
        if member is None or (user is not None and member == user.member):
            member = user
        if member is None:
            raise NotSignedIn("Nobody is signed in: say for whom the thread is, with member=….")
        header = request.headers.get("Traceparent", "") if has_request_context() else ""
        return self.service.start(
            process,
            member=member,
            group=group,
            key=key,
            traceparent=trace_context.read(header),
            **parameters,
        )

    def progress(self, thread_id: str) -> Thread:
        """Return the thread as it is now, as `Service.progress` does."""
        return self.service.progress(thread_id)

    def wait(self, thread_id: str, seconds: float) -> Thread:
        """Return the thread once it has ended or the time is up, as `Service.wait` does."""
        return self.service.wait(thread_id, seconds)

    def log(self, thread_id: str, first: int = 1, size: int = 200, level: Level | None = None) -> LogPage:
        """Return a page of the log, as `Service.log` does."""
        return self.service.log(thread_id, first, size, level)

    def follow(self, thread_id: str, first: int = 1) -> Iterator[Event]:
        """Yield the lines of the log until the thread has ended, as `Service.follow` does."""
        return self.service.follow(thread_id, first)

    def cancel(self, thread_id: str, *, member: str = "", force: bool = False, reason: str = "") -> Thread:
        """Cancel the thread, as `Service.cancel` does: for the user of the current request where no member is named."""
        if not member:
            if (user := self._user()) is None:
                raise NotSignedIn("Nobody is signed in: say who cancels, with member=….")
            self.service.users.note(user)
            member = user.member
        return self.service.cancel(thread_id, member=member, force=force, reason=reason)

    def url(self, thread: Thread | None = None) -> str:
        """Return the path of a thread's page, or of the first page; in a request, below its SCRIPT_NAME."""
        root = f"{request.root_path if has_request_context() else ''}{self._prefix}"
        paths = self._mounted.application.url_map.bind("", script_name=root)
        if thread is None:
            return paths.build("pages.home")
        if thread.group_name:
            return paths.build("group-pages.thread", {"group": thread.group_name, "thread": thread.id})
        return paths.build("server-pages.thread", {"thread": thread.id})

    def _user(self) -> User | None:
        return self._identify() if has_request_context() else None

    @property
    def _mounted(self) -> _Mounted:
        mounted = current_app.extensions.get(_KEY)
        if not isinstance(mounted, _Mounted):
            raise RuntimeError(_MISSING)  # noqa: TRY004 (no argument has a wrong type)
        return mounted


@dataclass(slots=True)
class _Mounted:
    """psthreads in one application."""

    host: Host
    services: Services
    application: Application
    _process: int = 0

    def answer(self, environ: WSGIEnvironment) -> WSGIApplication | None:
        """Return what answers the request below the prefix; None for all others."""
        path, prefix = environ.get("PATH_INFO", ""), self.host.prefix
        if path != prefix and not path.startswith(f"{prefix}/"):
            return None
        if self._process != os.getpid():
            # After a fork, since a Python thread does not come along.
            self._process = os.getpid()
            self.services.request_counts.start()
        below = {
            **{name: value for name, value in environ.items() if not name.startswith(("werkzeug.request", "flask."))},
            "SCRIPT_NAME": environ.get("SCRIPT_NAME", "") + prefix,
            "PATH_INFO": path.removeprefix(prefix),
        }

        def respond(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            return self.application(below, start_response)

        return respond
