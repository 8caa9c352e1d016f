"""The schemas of the answers, open to everybody."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from flask import Blueprint, Response, send_file
from lxml import etree

from psthreads.authoring.registry import Registry
from psthreads.web.auth.guard import Guard
from psthreads.web.http import respond
from psthreads.web.http.operation import XML, DeclaredResponse, Operation, Who, declares
from psthreads.web.http.routing import API_PREFIX

_SAME: Final = DeclaredResponse("Nothing has changed")
_WRAPPERS: Final = "  <!-- Those of the installed plug-ins follow. -->\n"


def make_blueprint(home: Path, guard: Guard, registry: Registry) -> Blueprint:
    """Return the XSD, with the wrapper elements of these processes, and the JSON schema."""
    blueprint = Blueprint("schemas", __name__)
    blueprint.before_request(guard.anyone)
    schema = _with_wrappers((home / "schemas" / "thread.xsd").read_text(), registry)

    @blueprint.get("/schemas/thread.xsd")
    @blueprint.get(f"{API_PREFIX}/schemas/thread.xsd")
    @declares(Operation("The schema of the answers in XML", Who.EVERYBODY, {200: DeclaredResponse("An XSD", (XML,))}))
    def xsd() -> Response:
        return Response(schema, content_type=respond.XML)

    json = DeclaredResponse("A JSON schema", ("application/schema+json",))

    @blueprint.get("/schemas/thread.schema.json")
    @blueprint.get(f"{API_PREFIX}/schemas/thread.schema.json")
    @declares(Operation("The schema of the answers in JSON", Who.EVERYBODY, {200: json, 304: _SAME}))
    def json_schema() -> Response:
        return send_file(home / "schemas" / "thread.schema.json", mimetype="application/schema+json")

    return blueprint


def _with_wrappers(schema: str, registry: Registry) -> str:
    """Add an element for each wrapper that the schema lacks: an XSD cannot allow any name."""
    wrappers = sorted({process.wrapper for process in registry if process.wrapper})
    existing = {element.get("name") for element in etree.fromstring(schema.encode()).iterchildren("{*}element")}
    elements = (f'  <xs:element name="{name}" type="wrapper"/>\n' for name in wrappers if name not in existing)
    return schema.replace(_WRAPPERS, _WRAPPERS + "".join(elements))
