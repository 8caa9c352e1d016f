"""The part of the dashboard that a page is in: the whole server's, or one group's. Both have the same pages."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import uuid4

from flask import current_app, g, request, url_for

from psthreads.domain import access
from psthreads.web.http import respond
from psthreads.web.http.routing import here
from psthreads.web.services import Services

SERVER: Final = "server-pages"
GROUP: Final = "group-pages"
_SECTIONS: Final = {
    "overview": "overview",
    "start": "start",
    "zone": "zone_page",
    "groups": "groups",
    "group": "groups",
    "members": "members",
    "member": "members",
    "audit": "audit",
}
"""The section of the navigation by the first word of an endpoint; all other endpoints are about threads."""


def in_group() -> bool:
    """Return whether the request is for a page of a group."""
    return request.blueprint == GROUP


def page(endpoint: str, **values: Any) -> str:
    """Return the address of a page in the same part of the dashboard as the request."""
    if in_group():
        return url_for(f"{GROUP}.{endpoint}", **{**values, "group": g.caller.group.name})
    return url_for(f"{SERVER}.{endpoint}", **values)


def service(blueprint: str, endpoint: str, **values: Any) -> str:
    """Return the address of a service for the same part: `service("streams", "events", thread=…)`."""
    if in_group():
        return url_for(f"group{blueprint and '-'}{blueprint}.{endpoint}", group=g.caller.group.name, **values)
    return url_for(f"server{blueprint and '-'}{blueprint}.{endpoint}", **values)


def section() -> str:
    """Return the section of the navigation that the page is in, empty outside the dashboard."""
    blueprint, _, endpoint = (request.endpoint or "").rpartition(".")
    word = endpoint.partition("_")[0]
    if blueprint in {SERVER, GROUP}:
        return _SECTIONS.get(word, "threads")
    if blueprint == "pages" and "group" in (request.view_args or {}):
        return "members"
    return _SECTIONS.get(word, "") if blueprint == "pages" else ""


def shows_group() -> bool:
    """Return whether the page belongs to a group whose pages the caller may see."""
    return g.caller.group is not None and access.may_use_group(g.caller)


def layout() -> str:
    """Return the template that a page extends: the whole page, or only its main part for the script's refreshes."""
    return "fragment.html" if "HTTP_HX_REQUEST" in request.environ else "base.html"


def now_ms() -> int:
    """Return the server's time in milliseconds since the epoch, which pages show and scripts compare with theirs."""
    return int(time.time() * 1000)


def lacks_workers() -> bool:
    """Return whether no worker is alive, so that nothing that waits begins. It asks Redis every two seconds at most."""
    services: Services = current_app.extensions["psthreads"]
    return services.crew.is_gone()


def suggestions(kind: str) -> str:
    """Return the address that suggests names of `groups` or `members` to administrators, empty for others."""
    return url_for("pages.names", kind=kind) if access.may_use_server(g.caller) else ""


def form_key() -> str:
    """Return a new idempotency key: a form that is sent twice starts one thread."""
    return uuid4().hex


GLOBALS: Final[Mapping[str, Callable[..., Any]]] = {
    "here": here,
    "page": page,
    "form_key": form_key,
    "suggestions": suggestions,
    "now_ms": now_ms,
    "lacks_workers": lacks_workers,
    "share": respond.share,
    "service": service,
    "section": section,
    "shows_group": shows_group,
    "layout": layout,
}
"""The functions that templates call."""
