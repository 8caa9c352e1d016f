"""Health checks: whether this web process answers, and whether new threads would run."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response

from psthreads.domain.errors import Unavailable
from psthreads.domain.model import Status
from psthreads.web.auth.guard import Guard
from psthreads.web.http.operation import DeclaredResponse, Operation, Who, declares
from psthreads.web.services import Services

_TEXT: Final = DeclaredResponse("One line", ("text/plain",))


def make_blueprint(services: Services, guard: Guard) -> Blueprint:
    """Return two routes for a supervisor or a load balancer, open to everybody."""
    blueprint = Blueprint("health", __name__)
    blueprint.before_request(guard.anyone)

    @blueprint.get("/healthz")
    @declares(Operation("Whether this web process answers", Who.EVERYBODY, {200: _TEXT}))
    def healthz() -> Response:
        return Response("ok\n", mimetype="text/plain")

    @blueprint.get("/readyz")
    @declares(Operation("Whether new threads would run", Who.EVERYBODY, {200: _TEXT}))
    def readyz() -> Response:
        waiting, workers = services.store.count(Status.INITIALISED), services.engine.workers()
        if waiting and not workers:
            raise Unavailable("Threads wait and no worker is alive: start `psthreads worker`.")
        return Response(f"ok, {waiting} waiting, {workers} workers\n", mimetype="text/plain")

    return blueprint
