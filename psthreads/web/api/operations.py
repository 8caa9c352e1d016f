"""A thread in the form that generic pollers know, that of Azure's long-running operations.

azure-core, @azure/core-lro and what is like them follow `Operation-Location` to this. It is always JSON.
"""

from __future__ import annotations

import json
from typing import Any, Final

from flask import Blueprint, Response, g

from psthreads.domain.model import SERVER_WIDE, Status, Thread, iso
from psthreads.web.api.levels import ServiceLevel
from psthreads.web.auth.guard import Guard
from psthreads.web.current import current_request
from psthreads.web.http import respond
from psthreads.web.http.operation import JSON, DeclaredResponse, Operation, declares
from psthreads.web.http.routing import thread_url
from psthreads.web.services import Services

_STATUSES: Final = {
    Status.INITIALISED: "NotStarted",
    Status.COMPLETED: "Succeeded",
    Status.FAILED: "Failed",
    Status.CANCELLED: "Canceled",
}
_RUNNING: Final = "Running"


def make_blueprint(services: Services, guard: Guard, level: ServiceLevel) -> Blueprint:
    """Return the resource of a level, for everybody who may see a thread's progress there."""
    blueprint = Blueprint(f"{level.name}-operations", __name__)

    def allow() -> None:
        g.suffix = "json"
        level.guard()

    blueprint.before_request(allow)

    @blueprint.get(f"{level.path}/threads/<thread>/operation")
    @declares(
        Operation(
            "Shows a thread as a long-running operation, for generic pollers",
            level.who,
            {200: DeclaredResponse("The operation", (JSON,), "operation")},
        )
    )
    def operation(**path: str) -> Response:
        thread = guard.thread(path["thread"])
        headers = {} if thread.status.is_final else {"Retry-After": str(respond.RETRY_SECONDS)}
        return Response(json.dumps(_describe(services, thread)), headers=headers, mimetype=JSON)

    return blueprint


def location(services: Services, thread: Thread) -> str:
    """Return the absolute address of a thread's operation, below the prefix of the request."""
    return _address(services, thread, "-operations", "operation")


def _describe(services: Services, thread: Thread) -> dict[str, Any]:
    status = _STATUSES.get(thread.status, _RUNNING)
    content: dict[str, Any] = {"id": thread.id, "status": status, "createdDateTime": iso(thread.created)}
    if (percentage := _percentage(thread)) is not None:
        content["percentComplete"] = percentage
    if thread.status is Status.COMPLETED:
        content["resourceLocation"] = _address(services, thread, "", "progress", suffix="json")
    elif thread.status.is_final:
        content["error"] = {"code": status, "message": thread.message or f"The thread is {thread.status}."}
    return content


def _percentage(thread: Thread) -> int | None:
    """Return the percentage of the first unfinished bar; None where a running thread has none."""
    if thread.status is Status.COMPLETED:
        return 100
    counts = [(bar.current, bar.total) for bar in respond.bars(thread) if bar.current < bar.total]
    return 100 * counts[0][0] // counts[0][1] if counts else None


def _address(services: Services, thread: Thread, kind: str, view: str, **values: str) -> str:
    current = current_request()
    blueprint = current.blueprint or ""
    number = blueprint.removeprefix(blueprint.rstrip("0123456789"))
    if current.view_args and "group" in current.view_args and thread.group_id != SERVER_WIDE:
        path = thread_url(f"group{kind}{number}.{view}", thread.id, group=thread.group_name, **values)
    else:
        path = thread_url(f"server{kind}{number}.{view}", thread.id, **values)
    return services.origins.absolute(path)
