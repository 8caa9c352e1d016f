"""The OpenAPI document, from the routes, the registered processes and the views' declarations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from flask import Flask

from psthreads.authoring.parameter import Parameter
from psthreads.web.api.openapi.routes import TAGS, Described, described, tag_of
from psthreads.web.api.openapi.schemas import ERROR_REFERENCE, OAUTH_SCHEMAS, reference, with_references
from psthreads.web.http.operation import BYTES, FORM, JSON, MULTIPART, XML, DeclaredResponse, Operation, Who
from psthreads.web.http.routing import API_PREFIX
from psthreads.web.services import Services

_VERSION: Final = "3.1.0"
_REFUSED: Final = {
    400: "A parameter, a header or the path is wrong; the message names it",
    401: "Not signed in, or the credentials are not accepted",
    403: "Signed in, but not allowed to do this",
    404: "There is nothing of that name that the caller may see",
    413: "The body is too large",
    414: "The address is too long: send the parameters as a form",
    415: "The media type of the body is not supported",
    429: "Too many requests: Retry-After says when to try again",
    503: "Redis does not answer or accepts no writes: Retry-After says when to try again",
}
_TOO_LONG: Final = 414
_OPEN: Final = frozenset({400, 404, _TOO_LONG, 503})
_WITH_BODY: Final = frozenset({413, 415})
_BINARY: Final = {"type": "string", "format": "binary"}
_FIELDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "file": {"type": "array", "items": _BINARY, "description": "the files"},
    "grant_type": {"type": "string", "enum": ["client_credentials"], "description": "the only kind of grant"},
}
_SEGMENT: Final = {"type": "string", "minLength": 1, "pattern": "^[^/]+$"}
_PATH: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "group": ("the group's name or id, with or without a leading ~", _SEGMENT),
    "member": ("the member's id or username, with or without a leading ~", _SEGMENT),
    "thread": ("the thread's id", {"type": "string", "pattern": "^[0-9a-f]{32}$"}),
}
_SIGNED_IN: Final[list[dict[str, list[str]]]] = [{"bearer": []}, {"oauth2": []}, {"basic": []}, {"session": []}]
_OUTSIDE: Final[Mapping[str, Any]] = {
    "application": {
        "type": "apiKey",
        "in": "cookie",
        "name": "session",
        "description": "Whatever the application takes that this is a part of.",
    }
}
_DESCRIPTION: Final = """Runs long work in the background, and lets people see it, follow it and stop it.

The services answer in JSON; with `Accept: application/xml` they answer in XML, whose schema is /schemas/thread.xsd.
They also answer at the root and below /ps/service and /ps/api, and there in XML by default. HEAD is possible wherever
GET is, except to start a thread."""


def document(app: Flask, services: Services, schemas: Mapping[str, Any], root: str = "") -> dict[str, Any]:
    """Return the document, with these JSON schemas of the answers, for a server below the path `root`."""
    paths: dict[str, dict[str, Any]] = {}
    has_accounts = getattr(app, "host", None) is None
    for item in described(app, services):
        operation = paths.setdefault(item.path, {})[item.method.lower()] = _operation_object(item)
        if operation["security"] and not has_accounts:
            operation["security"] = [{name: []} for name in _OUTSIDE]
    return {
        "openapi": _VERSION,
        "info": {
            "title": "psthreads",
            "version": "0.1.0",
            "description": _DESCRIPTION,
            "contact": {"name": "The administrators of this server"},
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": root + API_PREFIX}],
        "tags": [{"name": tag, "description": title} for tag, title in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": {**with_references(schemas), **OAUTH_SCHEMAS},
            "securitySchemes": _security_schemes(app.config["SESSION_COOKIE_NAME"], root) if has_accounts else _OUTSIDE,
        },
    }


def refusals(item: Described) -> dict[int, str]:
    """Return the statuses of refusals that the operation does not declare itself."""
    operation, has_body = item.operation, item.method != "GET"
    return {
        status: meaning
        for status, meaning in _REFUSED.items()
        if status not in operation.answers
        and (status in _OPEN or operation.who is not Who.EVERYBODY or status in _WITH_BODY)
        and (status not in _WITH_BODY or has_body)
    }


def _security_schemes(cookie: str, root: str) -> dict[str, Any]:
    scopes = {
        "read": "look",
        "act": "start, cancel and upload",
        "group:acme": "do so in this group only; any number of groups can be named",
    }
    return {
        "bearer": {"type": "http", "scheme": "bearer", "description": "A personal token, or an OAuth client's."},
        "oauth2": {
            "type": "oauth2",
            "description": "A client's access token, which is sent as a Bearer token.",
            "flows": {"clientCredentials": {"tokenUrl": f"{root}{API_PREFIX}/oauth/token", "scopes": scopes}},
        },
        "basic": {"type": "http", "scheme": "basic", "description": "A username and a password."},
        "session": {"type": "apiKey", "in": "cookie", "name": cookie, "description": "A browser that is signed in."},
    }


def _operation_object(item: Described) -> dict[str, Any]:
    operation = item.operation
    content: dict[str, Any] = {
        "summary": operation.summary,
        "description": f"For {operation.who.value}.",
        "operationId": f"{item.method.lower()}-{re.sub(r'[^A-Za-z0-9]+', '-', item.path).strip('-')}",
        "tags": [tag_of(item)],
        "security": [] if operation.who is Who.EVERYBODY else _SIGNED_IN,
        "parameters": list(_parameters(item)),
        "responses": {str(status): _response(answer) for status, answer in _answers(item).items()},
    }
    if body := _body(item):
        content["requestBody"] = body
    return content


def _answers(item: Described) -> dict[int, DeclaredResponse]:
    refused = {
        # Whatever reads the request's first line refuses a long one before it has looked for the format.
        status: DeclaredResponse(meaning, () if status == _TOO_LONG else (JSON,), ERROR_REFERENCE)
        for status, meaning in refusals(item).items()
    }
    return dict(sorted({**item.operation.answers, **refused}.items()))


def _response(answer: DeclaredResponse) -> dict[str, Any]:
    content = {}
    for media in answer.media:
        if media == JSON or media.endswith("+json"):
            content[media] = {"schema": reference(answer.schema)} if answer.schema else {"schema": {"type": "object"}}
        elif media != XML or not answer.schema:  # A generated client would have to tell both forms apart.
            is_text = media == XML or media.startswith("text/")
            content[media] = {"schema": {"type": "string"} if is_text else _BINARY}
    return {"description": answer.meaning} | ({"content": content} if content else {})


def _parameters(item: Described) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)\}", item.path):
        meaning, schema = _PATH.get(name, ("the file's name", _SEGMENT))
        yield {"name": name, "in": "path", "required": True, "description": meaning, "schema": dict(schema)}
    if not _form_media(item):
        for parameter in item.operation.parameters:
            yield {
                "name": parameter.wire,
                "in": "query",
                "required": parameter.default is None,
                "description": parameter.description,
                "schema": _schema(parameter),
            }
    for header in item.operation.headers:
        yield {"name": header.name, "in": "header", "description": header.description, "schema": _schema(header)}


def _form_media(item: Described) -> str:
    """Return the media type of the form that has the parameters; empty where the query has them."""
    if item.method == "POST" and MULTIPART in item.operation.body and FORM not in item.operation.body:
        return MULTIPART
    return FORM if item.method == "POST" and (item.operation.parameters or item.operation.fields) else ""


def _body(item: Described) -> dict[str, Any]:
    if media := _form_media(item):
        schema = _form(item.operation)
        return {"required": bool(schema.get("required")), "content": {media: {"schema": schema}}}
    if BYTES in item.operation.body:
        return {"required": True, "content": {BYTES: {"schema": _BINARY}}}
    return {}


def _form(operation: Operation) -> dict[str, Any]:
    properties: dict[str, Any] = {
        parameter.wire: {**_schema(parameter), "description": parameter.description}
        for parameter in operation.parameters
    }
    properties |= {name: _FIELDS.get(name, {"type": "string"}) for name in operation.fields}
    required = [parameter.wire for parameter in operation.parameters if parameter.default is None]
    required += [name for name in operation.required if name not in required]
    return {"type": "object", "properties": properties} | ({"required": required} if required else {})


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
