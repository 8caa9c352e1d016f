"""The schemas of the answers, open to everybody."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, send_file

from psthreads.web.guard import Guard


def make_blueprint(home: Path, guard: Guard) -> Blueprint:
    """The XSD, and the schema of the same answers in JSON."""
    blueprint = Blueprint("schemas", __name__)
    blueprint.before_request(guard.anyone)

    @blueprint.get("/schemas/thread.xsd", provide_automatic_options=False)
    def xsd() -> Response:
        return send_file(home / "schemas" / "thread.xsd", mimetype="application/xml")

    @blueprint.get("/schemas/thread.schema.json", provide_automatic_options=False)
    def json_schema() -> Response:
        return send_file(home / "schemas" / "thread.schema.json", mimetype="application/schema+json")

    return blueprint
