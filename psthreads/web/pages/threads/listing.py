"""The list of threads, with its filters, page by page."""

from __future__ import annotations

import time
from typing import Final

from flask import Blueprint, Response, g, render_template

from psthreads.domain import access
from psthreads.threads.search import ThreadSearchResult
from psthreads.web.auth.guard import Guard
from psthreads.web.pages import forms
from psthreads.web.pages.threads import bulk, filters
from psthreads.web.services import Services

_PAGE_SIZE: Final = 40
_NO_RESULT: Final = ThreadSearchResult((), "", 0, 0)


def add_to(blueprint: Blueprint, services: Services, guard: Guard) -> None:  # noqa: ARG001 (called like every section's)
    """Add the list, and the actions on many of its threads."""

    @blueprint.get("/threads")
    def threads(**_: str) -> Response:
        chosen = filters.read(services.directory, services.registry)
        after = forms.argument("after")
        result = _NO_RESULT if chosen.problems else services.search.find(chosen.query, after, _PAGE_SIZE)
        page = render_template(
            "threads.html",
            filters=chosen,
            result=result,
            after=after,
            kinds=filters.KINDS,
            processes=[process.name for process in services.registry],
            now=int(time.time() * 1000),
            may_delete=access.may_delete(g.caller),
            older=chosen.url(after=result.after) if result.after else "",
        )
        return Response(page, 400 if chosen.problems else 200)

    bulk.add_to(blueprint, services)
