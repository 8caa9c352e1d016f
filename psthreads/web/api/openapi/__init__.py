"""The OpenAPI document of what answers below /api/v1, and the page that shows it. Both are open to everybody."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, current_app, render_template, request
from markupsafe import Markup

from psthreads.web.api.openapi.document import document, refusals
from psthreads.web.api.openapi.routes import TAGS, described, tag_of
from psthreads.web.auth.guard import Guard
from psthreads.web.http import headers
from psthreads.web.http.operation import JSON, DeclaredResponse, Operation, Who, declares
from psthreads.web.http.routing import API_PREFIX
from psthreads.web.services import Services

_PREFIXES: Final = 8  # paths below which proxies show this server


def make_blueprint(services: Services, home: Path, guard: Guard) -> Blueprint:
    """Return the route of the document, and that of its page: they say nothing that the docs do not."""
    blueprint = Blueprint("openapi", __name__)
    blueprint.before_request(guard.anyone)
    schemas = json.loads((home / "schemas" / "thread.schema.json").read_text())["$defs"]

    @lru_cache(maxsize=_PREFIXES)
    def text(root: str) -> str:
        return json.dumps(document(current_app, services, schemas, root), indent=1)

    @blueprint.get("/openapi.json")
    @blueprint.get(f"{API_PREFIX}/openapi.json")
    @declares(Operation("This document", Who.EVERYBODY, {200: DeclaredResponse("An OpenAPI document", (JSON,))}))
    def openapi() -> Response:
        return Response(text(request.root_path), mimetype=JSON)

    @lru_cache(maxsize=_PREFIXES)
    def reference(_root: str) -> Markup:
        # The same for everybody: made once, it costs a stranger's request nothing.
        items = described(current_app, services)
        groups = {tag: [item for item in items if tag_of(item) == tag] for tag in TAGS}
        return Markup(render_template("_api.html", groups=groups, refused=refusals, name=TAGS, Who=Who))  # noqa: S704 # nosec B704 (the template escapes)

    @blueprint.get("/api")
    def api() -> Response:
        guard.visitor()
        return headers.as_page(Response(render_template("api.html", reference=reference(request.root_path))))

    return blueprint
