"""Finding the route of a request, quicker for paths that are asked for again and again.

Clients poll, so most requests have the path of an earlier one. Werkzeug's matching of a path, and the check of the
request's host, are a good part of what a progress request costs; both are remembered by what they are made of.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from flask import Flask, Request
from werkzeug.routing import Map, MapAdapter
from werkzeug.wsgi import get_host

_REMEMBERED: Final = 2_048


class Application(Flask):
    """Flask with a memory for paths."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._routes: dict[tuple[str, str], tuple[Any, Any]] = {}

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """What finds routes and builds addresses for this request, as Flask's own; without matching of hosts."""
        if request is None:
            return super().create_url_adapter(None)
        environ = request.environ
        server = environ["SERVER_NAME"], environ["SERVER_PORT"]
        host = request.host = _host(environ["wsgi.url_scheme"], environ.get("HTTP_HOST"), *server)
        return _Adapter(self._routes, self.url_map, host.lower(), request)


class _Adapter(MapAdapter):
    def __init__(
        self, known: dict[tuple[str, str], tuple[Any, Any]], url_map: Map, host: str, request: Request
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
        self._known = known

    def match(self, *arguments: Any, **options: Any) -> Any:
        """The rule and the arguments of the path; raises what Werkzeug's own raises."""
        if arguments or options != {"return_rule": True}:
            return super().match(*arguments, **options)
        key = self.default_method, self.path_info
        found = self._known.get(key)
        if found is None:
            found = super().match(return_rule=True)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = found
        rule, values = found
        return rule, dict(values)


@lru_cache(maxsize=64)
def _host(scheme: str, header: str | None, name: str, port: str) -> str:
    given = {"wsgi.url_scheme": scheme, "SERVER_NAME": name, "SERVER_PORT": port}
    return get_host(given if header is None else {**given, "HTTP_HOST": header})
