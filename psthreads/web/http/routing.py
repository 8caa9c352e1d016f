"""Routes: the path below which a proxy shows this server, the format at the end of a service's path, and a cache.

Clients poll, so most requests have the path of an earlier one. Werkzeug's matching of the path and its check of the
host are a good part of the cost of a progress request; both are cached.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol

from flask import Blueprint, Flask, Request, Response, current_app, g, request
from flask.typing import ResponseReturnValue
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import Map, MapAdapter, Rule
from werkzeug.wsgi import get_host

from psthreads.web.current import current_request
from psthreads.web.http import unknown_parameters
from psthreads.web.http.bodies import BoundedRequest
from psthreads.web.http.unknown_parameters import UnknownParameters
from psthreads.web.telemetry.request_observer import ENDPOINT

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

API_PREFIX: Final = "/api/v1"
"""The prefix of the API for programs that its OpenAPI document has made: there everything answers that is no page, in
JSON where the client does not ask for XML."""

_CACHED: Final = 2_048
_PREFIX_HEADER: Final = "HTTP_X_FORWARDED_PREFIX"
_PREFIX: Final = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_NO_THREAD: Final = "0" * 32
_SESSION: Final = re.compile(r";jsessionid=[^/;]*", re.IGNORECASE)


class Outer(Protocol):
    """The application that this one is a part of."""

    def sign_in_page(self) -> str:
        """Return the address of its page to sign in at, which leads back; empty where it has none."""


class _Rule(Rule):
    """A route that compiles what makes its address when that is first needed: a quarter of an application's start."""

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:  # noqa: FBT001, FBT002 (as Werkzeug has it)
        compiler = super()._compile_builder
        builders: list[Callable[..., tuple[str, str]]] = []

        def build(rule: Rule, **values: Any) -> tuple[str, str]:
            if not builders:
                builders.append(compiler(append_unknown))
            return builders[0](rule, **values)

        return build


class Application(Flask):
    """Flask with a cache of routes, and with bounds on bodies."""

    url_rule_class = _Rule
    request_class = BoundedRequest
    unknown_parameters: UnknownParameters | None = None
    host: Outer | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._routes: dict[tuple[str, str], tuple[Any, Any]] = {}
        self._paths: dict[tuple[object, ...], str] = {}
        self._checks: dict[str | None, tuple[Callable[[], ResponseReturnValue | None], ...]] = {}

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, as it is: none here is a coroutine, and Flask would look at each in every request."""
        return func

    def preprocess_request(self) -> ResponseReturnValue | None:
        """Run what the application and the blueprint have to run before the view, which is looked up once for each.

        Keeps a path's .xml or .json out of the views' arguments, and notes the route for the monitors.
        """
        current = current_request()
        current.environ[ENDPOINT] = current.endpoint or ""
        if current.view_args and "suffix" in current.view_args:
            g.suffix = current.view_args.pop("suffix")
        name = current.blueprint
        checks = self._checks.get(name)
        if checks is None:
            functions: Any = self.before_request_funcs  # None is a coroutine.
            names = (None, *reversed(current.blueprints))
            checks = self._checks[name] = tuple(each for key in names for each in functions.get(key, ()))
        for check in checks:
            if (answer := check()) is not None:
                return answer
        return None

    def dispatch_request(self) -> ResponseReturnValue:
        """Answer the request, once its guard has let it in and its parameters are ones that the route may get."""
        environ = request.environ
        if not (environ.get("QUERY_STRING") or environ.get("CONTENT_TYPE")):
            return super().dispatch_request()  # Most requests have no parameters.
        ignored = self.unknown_parameters.check() if self.unknown_parameters else []
        answer = super().dispatch_request()
        ignored += g.get("ignored_fields", [])
        if ignored and isinstance(answer, Response):
            answer.headers[unknown_parameters.HEADER] = unknown_parameters.header(ignored)
        return answer

    def thread_url(self, endpoint: str, thread_id: str, **values: Any) -> str:
        """Return the path of a thread's route, as `url_for` does. For a group it is made once, and kept."""
        key = endpoint, request.root_path, *values.items()
        path = self._paths.get(key)
        if path is None:
            if len(self._paths) >= _CACHED:
                self._paths.clear()
            path = self._paths[key] = self.url_for(endpoint, thread=_NO_THREAD, **values)
        return path.replace(_NO_THREAD, thread_id)

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Return the request's URL adapter, as Flask does, but without matching of hosts."""
        if request is None:
            return super().create_url_adapter(None)
        environ = request.environ
        server = environ["SERVER_NAME"], environ["SERVER_PORT"]
        host = request.host = _host(environ["wsgi.url_scheme"], environ.get("HTTP_HOST"), *server)
        return _Adapter(self._routes, self.url_map, host.lower(), request)


def here(*, query: bool = True) -> str:
    """Return the address of this request on its server: its whole path, with its query or without."""
    return request.root_path + (request.full_path.rstrip("?") if query else request.path)


def thread_url(endpoint: str, thread_id: str, **values: str) -> str:
    """Return the path of a route of a thread, below the prefix of the request, as Flask's `url_for` does."""
    application: Application = current_app._get_current_object()  # type: ignore[attr-defined] # noqa: SLF001 (as Flask's documentation has it)
    return application.thread_url(endpoint, thread_id, **values)


def add_service(
    blueprint: Blueprint,
    rule: str,
    view: Callable[..., Response],
    methods: Collection[str],
    endpoint: str | None = None,
) -> None:
    """Add a route that also answers with .xml or .json at the end of its path, and then in that format."""
    for suffix in ("", ".<any(xml, json):suffix>"):
        blueprint.add_url_rule(rule + suffix, endpoint, view, methods=methods)


class PathParameters:
    """WSGI middleware that removes the session id that a Java client, such as PageSeeder's, may add to a path.

    Nothing uses the id, `;jsessionid=…`.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, as in PEP 3333."""
        if ";" in environ["PATH_INFO"]:
            environ["PATH_INFO"] = _SESSION.sub("", environ["PATH_INFO"])
        return self._application(environ, start_response)


class Proxies(ProxyFix):
    """WSGI middleware that trusts the X-Forwarded headers for as many entries as there are proxies that add one.

    X-Forwarded-Prefix is the path below which a proxy shows this server, and which it takes off.
    """

    def __init__(self, application: WSGIApplication, count: int) -> None:
        super().__init__(application, x_for=count, x_proto=count, x_host=count, x_prefix=count)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, as in PEP 3333."""
        if (prefixes := environ.get(_PREFIX_HEADER)) is not None:
            # Every address of a page begins with it, and one that begins with // leads to another server.
            environ[_PREFIX_HEADER] = ",".join(
                prefix if _PREFIX.fullmatch(prefix := each.strip().rstrip("/")) else "" for each in prefixes.split(",")
            )
        return super().__call__(environ, start_response)


class _Adapter(MapAdapter):
    def __init__(
        self, routes: dict[tuple[str, str], tuple[Any, Any]], url_map: Map, host: str, request: Request
    ) -> None:
        super().__init__(
            url_map,
            host,
            request.root_path or "/",
            url_map.default_subdomain,
            request.scheme,
            request.path,
            request.method,
            request.query_string.decode("latin-1"),
        )
        self._routes = routes

    def match(self, *arguments: Any, **options: Any) -> Any:
        """Return the rule and the arguments of the path. Raises what Werkzeug's own method raises."""
        if arguments or options != {"return_rule": True}:
            return super().match(*arguments, **options)
        key = self.default_method, self.path_info
        match = self._routes.get(key)
        if match is None:
            match = super().match(return_rule=True)
            if len(self._routes) >= _CACHED:
                self._routes.clear()
            self._routes[key] = match
        rule, values = match
        return rule, dict(values)


@lru_cache(maxsize=64)
def _host(scheme: str, header: str | None, name: str, port: str) -> str:
    environ = {"wsgi.url_scheme": scheme, "SERVER_NAME": name, "SERVER_PORT": port}
    return get_host(environ if header is None else {**environ, "HTTP_HOST": header})
