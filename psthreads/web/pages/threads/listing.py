"""The list of threads: found by everything that one may know of them, page by page."""

from __future__ import annotations

import time
from typing import Final

from flask import Blueprint, Response, g, render_template

from psthreads.authoring.parameter import Parameter
from psthreads.domain import access
from psthreads.threads.search import ThreadSearchResult
from psthreads.web.auth.guard import Guard
from psthreads.web.http.parameters import value_of
from psthreads.web.pages.threads import bulk, filters
from psthreads.web.services import Services

_SIZE: Final = 40
_AFTER: Final = Parameter("after", str, "", description="where to go on, as the page before has given it")
_NOTHING: Final = ThreadSearchResult((), "", 0, 0)


def add_to(blueprint: Blueprint, services: Services, guard: Guard) -> None:  # noqa: ARG001 (as every room is added)
    """Add the list, and what can be done with many threads of it at once."""

    @blueprint.get("/threads", provide_automatic_options=False)
    def threads(**_: str) -> Response:
        asked = filters.read(services.directory, services.registry)
        after = str(value_of(_AFTER))
        found = _NOTHING if asked.problems else services.search.find(asked.wanted, after, _SIZE)
        text = render_template(
            "threads.html",
            asked=asked,
            found=found,
            after=after,
            kinds=filters.KINDS,
            processes=[process.name for process in services.registry],
            now=int(time.time() * 1000),
            may_delete=access.may_delete(g.caller),
            older=asked.address(after=found.after) if found.after else "",
        )
        return Response(text, 400 if asked.problems else 200)

    bulk.add_to(blueprint, services)
