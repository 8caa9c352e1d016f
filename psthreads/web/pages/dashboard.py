"""The dashboard: the pages of the whole server for administrators, and the same pages of a group for contributors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flask import Blueprint, request

from psthreads.web.auth import sessions
from psthreads.web.auth.guard import Guard
from psthreads.web.http import headers
from psthreads.web.pages import overview, zone
from psthreads.web.pages.scope import GROUP, SERVER
from psthreads.web.pages.threads import failures, listing, log, start, thread
from psthreads.web.services import Services

_SECTIONS: Final = (overview, listing, failures, thread, log, start)


def make_blueprints(services: Services, guard: Guard) -> Iterator[tuple[Blueprint, str]]:
    """Yield the two parts of the dashboard, each with its URL prefix."""

    def allow_in_group() -> None:
        if request.endpoint == zone.UPLOAD:
            zone.guard_upload(services, guard)
        else:
            guard.group()

    for name, path, allow in (
        (SERVER, "/dashboard", guard.server),
        (GROUP, "/dashboard/groups/<group>", allow_in_group),
    ):
        blueprint = Blueprint(name, __name__)
        blueprint.before_request(sessions.need_key)
        blueprint.before_request(allow)
        blueprint.after_request(headers.as_page)
        for section in _SECTIONS:
            section.add_to(blueprint, services, guard)
        if name == GROUP:
            zone.add_to(blueprint, services, guard)
        yield blueprint, path
