"""The files that threads leave behind, for the members of their group."""

from __future__ import annotations

import mimetypes
import os

from flask import Blueprint, Response, g, send_file

from psthreads.web.guard import Guard
from psthreads.web.services import Services


def make_blueprint(services: Services, guard: Guard) -> Blueprint:
    """The route to a group's results, where PageSeeder has it."""
    blueprint = Blueprint("files", __name__)
    blueprint.before_request(guard.group)

    @blueprint.get("/ps/member-resource/<group>/<filename>", provide_automatic_options=False)
    def member_resource(filename: str, **_: str) -> Response:
        file = services.documents.results(g.sight.group.id).open(filename)
        status = os.fstat(file.fileno())
        kind = mimetypes.guess_type(filename)[0] or "application/octet-stream"
        response = send_file(
            file,
            mimetype=kind,
            as_attachment=True,
            download_name=filename,
            etag=f"{status.st_ino:x}-{status.st_mtime_ns:x}",
            last_modified=status.st_mtime,
        )
        response.content_length = status.st_size
        response.headers["Cache-Control"] = "private, no-cache"
        return response

    return blueprint
