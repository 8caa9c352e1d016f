"""The OpenAPI document, from the URL map, the registered processes and the views' declarations; and its page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from flask import Blueprint, Flask, Response, current_app, render_template
from werkzeug.routing import Rule

from psthreads.authoring.parameter import Parameter
from psthreads.web.api import starts
from psthreads.web.auth.guard import Guard
from psthreads.web.http import headers
from psthreads.web.http.operation import (
    BYTES,
    FORM,
    JSON,
    MULTIPART,
    XML,
    DeclaredResponse,
    Operation,
    Who,
    declared,
    declares,
    service,
)
from psthreads.web.services import Services

_VERSION: Final = "3.1.0"
_OMITTED: Final = frozenset({"HEAD", "OPTIONS"})
_REFUSED: Final = {
    400: "A parameter, a header or the path is wrong; the message names it",
    401: "Not signed in, or the credentials are not accepted",
    403: "Signed in, but not allowed to do this",
    404: "There is nothing of that name that the caller may see",
    413: "The body is too large",
    415: "The media type of the body is not supported",
    429: "Too many requests: Retry-After says when to try again",
    503: "Redis does not answer or accepts no writes: Retry-After says when to try again",
}
_OPEN: Final = frozenset({400, 404, 503})
_WITH_BODY: Final = frozenset({413, 415})
_SEGMENT: Final = {"type": "string", "minLength": 1, "pattern": "^[^/]+$"}
_PATH: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "group": ("the group's name or id", _SEGMENT),
    "member": ("the member's id or username, with or without a leading ~", _SEGMENT),
    "thread": ("the thread's id", {"type": "string", "pattern": "^[0-9a-f]{32}$"}),
    "suffix": ("the format of the answer, in place of Accept", {"enum": ["xml", "json"]}),
}
_NAMES: Final = {
    "service": "Services",
    "process": "Starting threads",
    "file": "Files and streams",
    "open": "Open",
}


@dataclass(frozen=True, slots=True)
class Described:
    """One method of one path, with the prefixes that the path may have."""

    method: str
    path: str
    rule: Rule
    operation: Operation
    prefixes: tuple[str, ...]


def make_blueprint(services: Services, home: Path, guard: Guard) -> Blueprint:
    """Return the document and its page, open to everybody: they say nothing that the docs do not."""
    blueprint = Blueprint("openapi", __name__)
    blueprint.before_request(guard.anyone)
    schemas = json.loads((home / "schemas" / "thread.schema.json").read_text())["$defs"]

    @cache
    def text() -> str:
        return json.dumps(document(current_app, services, schemas), indent=1)

    @blueprint.get("/openapi.json")
    @declares(Operation("This document", Who.EVERYBODY, {200: DeclaredResponse("An OpenAPI document", (JSON,))}))
    def openapi() -> Response:
        return Response(text(), mimetype=JSON)

    @cache
    def page() -> str:
        # The same for everybody, since nobody is signed in here: made once, it costs a stranger's request nothing.
        items = [item for item in described(current_app, services) if "suffix" not in item.rule.arguments]
        return render_template("api.html", groups=_grouped(items), refused=refusals, name=_NAMES, Who=Who)

    @blueprint.get("/api")
    def api() -> Response:
        return headers.as_page(Response(page()))

    return blueprint


def described(app: Flask, services: Services) -> list[Described]:
    """Return every declared method and path of the app, sorted."""
    items: dict[tuple[str, str], Described] = {}
    for rule in app.url_map.iter_rules():
        prefix = _prefix(app, rule, services.config.prefixes)
        path = re.sub(r"<(?:[^<>:]*:)?(\w+)>", r"{\1}", rule.rule.removeprefix(prefix))
        for method in sorted((rule.methods or set()) - _OMITTED):
            key = method, path
            if key in items:
                items[key] = replace(items[key], prefixes=(*items[key].prefixes, prefix))
            elif operation := _operation(app, services, rule):
                items[key] = Described(method, path, rule, operation, (prefix,))
    return sorted(items.values(), key=lambda item: (item.path, item.method))


def document(app: Flask, services: Services, schemas: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document, with these JSON schemas of the answers."""
    paths: dict[str, dict[str, Any]] = {}
    for item in described(app, services):
        path = paths.setdefault(item.path, {"servers": [{"url": prefix or "/"} for prefix in item.prefixes]})
        path[item.method.lower()] = _operation_object(item)
    return {
        "openapi": _VERSION,
        "info": {
            "title": "psthreads",
            "version": "0.1.0",
            "description": "Runs long work in the background, and lets people see it, follow it and stop it. "
            "HEAD is possible wherever GET is, except to start a thread. "
            "The schema of the answers in XML is /schemas/thread.xsd.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _with_references(schemas),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
                "session": {"type": "apiKey", "in": "cookie", "name": app.config["SESSION_COOKIE_NAME"]},
            },
        },
    }


def refusals(operation: Operation) -> dict[int, str]:
    """Return the statuses of refusals that the operation does not declare itself."""
    has_body = bool(operation.body)
    return {
        status: meaning
        for status, meaning in _REFUSED.items()
        if status not in operation.answers
        and (status in _OPEN or operation.who is not Who.EVERYBODY or (status == 413 and has_body))  # noqa: PLR2004
        and (status not in _WITH_BODY or has_body)
    }


def _prefix(app: Flask, rule: Rule, prefixes: tuple[str, ...]) -> str:
    """Return the rule's prefix: create_app numbers the blueprints of each prefix by a suffix of their names."""
    blueprint = rule.endpoint.rpartition(".")[0]
    match = re.search(r"\d+\Z", blueprint)
    return prefixes[int(match[0]) - 1] if match and blueprint in app.blueprints else ""


def _operation(app: Flask, services: Services, rule: Rule) -> Operation | None:
    blueprint, _, name = rule.endpoint.rpartition(".")
    if blueprint.rstrip("0123456789") == "starts":
        process = services.registry.find(name)
        return starts.declaration(process) if process is not None else None
    return declared(app.view_functions[rule.endpoint])


def _operation_object(item: Described) -> dict[str, Any]:
    operation = item.operation
    content: dict[str, Any] = {
        "summary": operation.summary,
        "description": f"For {operation.who.value}.",
        "operationId": f"{item.method.lower()}-{re.sub(r'[^A-Za-z0-9]+', '-', item.path).strip('-')}",
        "tags": [_tag(item)],
        "parameters": list(_parameters(item)),
        "responses": {str(status): _response(answer) for status, answer in _answers(item).items()},
    }
    if operation.who is not Who.EVERYBODY:
        content["security"] = [{"bearer": []}, {"basic": []}, {"session": []}]
    if operation.body:
        content["requestBody"] = {"content": {media: {"schema": _form(operation, media)} for media in operation.body}}
    return content


def _answers(item: Described) -> dict[int, DeclaredResponse]:
    refused = {status: service(meaning, "error") for status, meaning in refusals(item.operation).items()}
    return dict(sorted({**item.operation.answers, **refused}.items()))


def _response(answer: DeclaredResponse) -> dict[str, Any]:
    content: dict[str, Any] = {media: {} for media in answer.media}
    if JSON in content and answer.schema:
        content[JSON] = {"schema": {"$ref": f"#/components/schemas/{answer.schema}"}}
    return {"description": answer.meaning} | ({"content": content} if content else {})


def _parameters(item: Described) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)\}", item.path):
        meaning, schema = _PATH.get(name, ("the file's name", _SEGMENT))
        yield {"name": name, "in": "path", "required": True, "description": meaning, "schema": dict(schema)}
    has_form = bool({FORM, MULTIPART} & set(item.operation.body))
    for parameter in item.operation.parameters:
        required = parameter.default is None
        note = " (must be given, here or in the form)" if required and has_form else ""
        yield {
            "name": parameter.wire,
            "in": "query",
            "required": required and not has_form,
            "description": (parameter.description + note).strip(),
            "schema": _schema(parameter),
        }
    for header in item.operation.headers:
        yield {"name": header.name, "in": "header", "description": header.description, "schema": _schema(header)}


def _schema(parameter: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": parameter.type}
    bounds = parameter.bounds.least, parameter.greatest
    names = ("minLength", "maxLength") if parameter.type == "string" else ("minimum", "maximum")
    schema |= {name: bound for name, bound in zip(names, bounds, strict=True) if bound is not None}
    if parameter.choices:
        schema = {"type": "string", "enum": list(parameter.choices)}
    if parameter.default not in {None, ""}:
        schema["default"] = parameter.default
    return schema


def _form(operation: Operation, media: str) -> dict[str, Any]:
    if not operation.fields and media not in {FORM, MULTIPART}:
        return {}
    fields: dict[str, Any] = {parameter.wire: _schema(parameter) for parameter in operation.parameters}
    fields |= {name: {"type": "string"} for name in operation.fields if name not in fields}
    if "file" in fields:
        fields["file"] = {"type": "array", "items": {"type": "string", "contentMediaType": BYTES}}
    return {"type": "object", "properties": fields}


def _with_references(schemas: Mapping[str, Any]) -> Any:
    """Return the schemas with their references in OpenAPI's place."""
    return json.loads(json.dumps(schemas).replace('"#/$defs/', '"#/components/schemas/'))


def _tag(item: Described) -> str:
    if item.rule.endpoint.startswith("starts"):
        return "process"
    media = {kind for answer in item.operation.answers.values() for kind in answer.media}
    if XML in media and JSON in media:
        return "service"
    return "open" if item.operation.who is Who.EVERYBODY else "file"


def _grouped(items: list[Described]) -> dict[str, list[Described]]:
    groups = {tag: [item for item in items if _tag(item) == tag] for tag in _NAMES}
    return {tag: group for tag, group in groups.items() if group}
