"""The OpenAPI document, made of the URL map, the registered processes and what each view declares; and its page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
    FORM,
    JSON,
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
_LEFT_OUT: Final = frozenset({"HEAD", "OPTIONS"})  # the first comes with every GET, the second with every page
_REFUSED: Final = {
    400: "A parameter, a header or the path is wrong; the message names it",
    401: "Not signed in, or the credentials are not accepted",
    403: "Signed in, but not allowed to do this",
    404: "There is nothing of that name here, for whoever asks",
    413: "The body is too large",
    415: "The body is not of a media type that is read here",
    429: "Too many requests: Retry-After says when to come again",
    503: "Redis is away or takes no writes: Retry-After says when to come again",
}
_OPEN: Final = frozenset({400, 404, 503})
_WITH_BODY: Final = frozenset({413, 415})
_SEGMENT: Final = {"type": "string", "minLength": 1, "pattern": "^[^/]+$"}
_PATH: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "group": ("the group's name or id", _SEGMENT),
    "member": ("the member's id or username, with or without a leading ~", _SEGMENT),
    "thread": ("the thread's id", {"type": "string", "pattern": "^[0-9a-f]{32}$"}),
    "suffix": ("the format of the answer, whatever Accept says", {"enum": ["xml", "json"]}),
}
_NAMES: Final = {
    "service": "Services",
    "process": "Starting threads",
    "file": "Files and streams",
    "open": "Open",
}


@dataclass(frozen=True, slots=True)
class Described:
    """One method of one path, with the prefixes that it answers below."""

    method: str
    path: str
    rule: Rule
    operation: Operation
    prefixes: tuple[str, ...]


def make_blueprint(services: Services, home: Path, guard: Guard) -> Blueprint:
    """The document and its page, open to everybody: they say nothing that the README does not."""
    blueprint = Blueprint("openapi", __name__)
    blueprint.before_request(guard.anyone)
    schemas = json.loads((home / "schemas" / "thread.schema.json").read_text())["$defs"]

    @cache
    def text() -> str:
        return json.dumps(document(current_app, services, schemas), indent=1)

    @cache
    def groups() -> dict[str, list[Described]]:
        return _grouped([one for one in described(current_app, services) if "suffix" not in one.rule.arguments])

    @blueprint.get("/openapi.json")
    @declares(Operation("This document", Who.EVERYBODY, {200: DeclaredResponse("An OpenAPI document", (JSON,))}))
    def openapi() -> Response:
        return Response(text(), mimetype=JSON)

    @blueprint.get("/api")
    def api() -> Response:
        page = render_template("api.html", groups=groups(), refused=refusals, name=_NAMES, Who=Who)
        return headers.as_page(Response(page))

    return blueprint


def described(app: Flask, services: Services) -> list[Described]:
    """Every route and method of the app of which something is declared, in the order of the URL map."""
    found: dict[tuple[str, str], Described] = {}
    for rule in app.url_map.iter_rules():
        prefix = _prefix(app, rule, services.config.prefixes)
        path = re.sub(r"<(?:[^<>:]*:)?(\w+)>", r"{\1}", rule.rule.removeprefix(prefix))
        for method in sorted((rule.methods or set()) - _LEFT_OUT):
            known = found.get((method, path))
            operation = _operation(app, services, rule)
            if known is not None:
                known = Described(method, path, known.rule, known.operation, (*known.prefixes, prefix))
            elif operation is not None:
                known = Described(method, path, rule, operation, (prefix,))
            if known is not None:
                found[method, path] = known
    return sorted(found.values(), key=lambda one: (one.path, one.method))


def document(app: Flask, services: Services, schemas: Mapping[str, Any]) -> dict[str, Any]:
    """The document, with these JSON schemas of the answers."""
    paths: dict[str, dict[str, Any]] = {}
    for one in described(app, services):
        item = paths.setdefault(one.path, {"servers": [{"url": prefix or "/"} for prefix in one.prefixes]})
        item[one.method.lower()] = _written(one)
    return {
        "openapi": _VERSION,
        "info": {
            "title": "psthreads",
            "version": "0.1.0",
            "description": "Runs long work in the background, and lets people see it, follow it and stop it. "
            "HEAD is possible wherever GET is, but for a start. The XML of the answers is in /schemas/thread.xsd.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _moved(schemas),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
                "session": {"type": "apiKey", "in": "cookie", "name": app.config["SESSION_COOKIE_NAME"]},
            },
        },
    }


def refusals(operation: Operation) -> dict[int, str]:
    """The statuses besides the declared ones with which a request may be refused."""
    has_body = bool(operation.body)
    return {
        status: meaning
        for status, meaning in _REFUSED.items()
        if status not in operation.answers
        and (status in _OPEN or operation.who is not Who.EVERYBODY or (status == 413 and has_body))  # noqa: PLR2004
        and (status not in _WITH_BODY or has_body)
    }


def _prefix(app: Flask, rule: Rule, prefixes: tuple[str, ...]) -> str:
    """The prefix that the rule is registered below: the number at the end of its blueprint's name says which."""
    blueprint = rule.endpoint.rpartition(".")[0]
    number = re.search(r"\d*\Z", blueprint)
    at = int(number[0]) if number is not None and number[0] else 0
    return prefixes[at - 1] if at and blueprint in app.blueprints else ""


def _operation(app: Flask, services: Services, rule: Rule) -> Operation | None:
    blueprint, _, name = rule.endpoint.rpartition(".")
    if blueprint.rstrip("0123456789") == "starts":
        process = services.registry.find(name)
        return starts.declaration(process) if process is not None else None
    return declared(app.view_functions[rule.endpoint])


def _written(one: Described) -> dict[str, Any]:
    operation = one.operation
    found: dict[str, Any] = {
        "summary": operation.summary,
        "description": f"For {operation.who.value}.",
        "operationId": f"{one.method.lower()}-{re.sub(r'[^A-Za-z0-9]+', '-', one.path).strip('-')}",
        "tags": [_tag(one)],
        "parameters": list(_parameters(one)),
        "responses": {str(status): _response(answer) for status, answer in _answers(one).items()},
    }
    if operation.who is not Who.EVERYBODY:
        found["security"] = [{"bearer": []}, {"basic": []}, {"session": []}]
    if operation.body:
        found["requestBody"] = {"content": {media: {"schema": _form(operation, media)} for media in operation.body}}
    return found


def _answers(one: Described) -> dict[int, DeclaredResponse]:
    refused = {status: service(meaning, "error") for status, meaning in refusals(one.operation).items()}
    return dict(sorted({**one.operation.answers, **refused}.items()))


def _response(answer: DeclaredResponse) -> dict[str, Any]:
    found: dict[str, Any] = {"description": answer.meaning}
    content: dict[str, Any] = {media: {} for media in answer.media}
    if JSON in content and answer.schema:
        content[JSON] = {"schema": {"$ref": f"#/components/schemas/{answer.schema}"}}
    return found | ({"content": content} if content else {})


def _parameters(one: Described) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)\}", one.path):
        meaning, schema = _PATH.get(name, ("the file's name", _SEGMENT))
        yield {"name": name, "in": "path", "required": True, "description": meaning, "schema": dict(schema)}
    either = bool({FORM, "multipart/form-data"} & set(one.operation.body))
    for parameter in one.operation.parameters:
        required = parameter.default is None
        told = parameter.description + (" (must be given, here or in the form)" if required and either else "")
        yield {
            "name": parameter.wire,
            "in": "query",
            "required": required and not either,
            "description": told.strip(),
            "schema": _schema(parameter),
        }
    for header in one.operation.headers:
        yield {"name": header.name, "in": "header", "description": header.description, "schema": _schema(header)}


def _schema(parameter: Parameter) -> dict[str, Any]:
    found: dict[str, Any] = {"type": parameter.type}
    least, greatest = parameter.bounds.least, parameter.greatest
    names = ("minLength", "maxLength") if parameter.type == "string" else ("minimum", "maximum")
    found |= {name: bound for name, bound in zip(names, (least, greatest), strict=True) if bound is not None}
    if parameter.choices:
        found = {"type": "string", "enum": list(parameter.choices)}
    if parameter.default not in {None, ""}:
        found["default"] = parameter.default
    return found


def _form(operation: Operation, media: str) -> dict[str, Any]:
    if not operation.fields and media not in {FORM, "multipart/form-data"}:
        return {}
    fields: dict[str, Any] = {one.wire: _schema(one) for one in operation.parameters}
    fields |= {name: {"type": "string"} for name in operation.fields if name not in fields}
    if "file" in fields:
        fields["file"] = {"type": "array", "items": {"type": "string", "contentMediaType": "application/octet-stream"}}
    schema: dict[str, Any] = {"type": "object", "properties": fields}
    return schema


def _moved(schemas: Mapping[str, Any]) -> Any:
    """The schemas with their references where OpenAPI has them."""
    return json.loads(json.dumps(schemas).replace('"#/$defs/', '"#/components/schemas/'))


def _tag(one: Described) -> str:
    if one.rule.endpoint.startswith("starts"):
        return "process"
    media = {kind for answer in one.operation.answers.values() for kind in answer.media}
    if XML in media and JSON in media:
        return "service"
    return "open" if one.operation.who is Who.EVERYBODY else "file"


def _grouped(listed: list[Described]) -> dict[str, list[Described]]:
    return {tag: found for tag in _NAMES if (found := [one for one in listed if _tag(one) == tag])}
