"""Health checks: whether this web process answers, and whether new threads would run."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response

from psthreads.database.connection import FULL, NEARLY_FULL, memory
from psthreads.domain.errors import StoreFull, Unavailable
from psthreads.domain.model import Status
from psthreads.telemetry import logs
from psthreads.web.auth.guard import Guard
from psthreads.web.http.operation import DeclaredResponse, Operation, Who, declares
from psthreads.web.http.routing import API_PREFIX
from psthreads.web.services import Services

_TEXT: Final = DeclaredResponse("One line", ("text/plain",))


def make_blueprint(services: Services, guard: Guard) -> Blueprint:
    """Return two routes for a supervisor or a load balancer, open to everybody."""
    blueprint = Blueprint("health", __name__)
    blueprint.before_request(guard.anyone)

    @blueprint.get("/healthz")
    @blueprint.get(f"{API_PREFIX}/healthz")
    @declares(Operation("Whether this web process answers", Who.EVERYBODY, {200: _TEXT}))
    def healthz() -> Response:
        return Response("ok\n", mimetype="text/plain")

    @blueprint.get("/readyz")
    @blueprint.get(f"{API_PREFIX}/readyz")
    @declares(Operation("Whether new threads would run", Who.EVERYBODY, {200: _TEXT}))
    def readyz() -> Response:
        services.installation.require()
        waiting, workers = services.store.count(Status.INITIALISED), services.engine.workers()
        if not workers and (refusal := services.installation.refusal):
            raise Unavailable(refusal)
        if waiting and not workers:
            raise Unavailable("Threads wait and no worker is alive: start `psthreads worker`.")
        used = memory(services.redis)
        if used.percentage >= FULL:
            raise StoreFull(f"Redis is {used}. Delete threads that nobody needs any more, or raise its maxmemory.")
        note = f", Redis is {used}" if used.percentage >= NEARLY_FULL else ""
        state = f"ok, {waiting} waiting, {workers} workers{note}, psthreads {logs.release()}\n"
        return Response(state, mimetype="text/plain")

    return blueprint
