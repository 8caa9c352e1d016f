"""The two levels of the thread services: the whole server, for administrators, and one group, for contributors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint

from psthreads.web.auth.guard import Guard
from psthreads.web.http.operation import Who


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """The server or a group: the beginning of its blueprints' names and of its paths, its callers, and its guard."""

    name: str
    path: str
    who: Who
    guard: Callable[[], None]

    def make_blueprint(self, kind: str = "") -> Blueprint:
        """Return a guarded blueprint for services of this level, such as `group-streams`."""
        blueprint = Blueprint(f"{self.name}-{kind}" if kind else self.name, __name__)
        blueprint.before_request(self.guard)
        return blueprint


def service_levels(guard: Guard) -> tuple[ServiceLevel, ServiceLevel]:
    """Return both levels."""
    return (
        ServiceLevel("server", "", Who.SERVER, guard.server),
        ServiceLevel("group", "/groups/<group>", Who.GROUP, guard.group),
    )
