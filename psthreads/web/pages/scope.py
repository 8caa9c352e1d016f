"""Which part of the dashboard a page is in: the whole server's, or one group's. The two have the same pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import uuid4

from flask import g, request, url_for

from psthreads.domain import access
from psthreads.web.http import respond

SERVER: Final = "server-pages"
GROUP: Final = "group-pages"
_ROOMS: Final = {
    "overview": "overview",
    "start": "start",
    "zone": "zone_page",
    "groups": "groups",
    "group": "groups",
    "members": "members",
    "member": "members",
    "audit": "audit",
}
"""By the first word of an endpoint, the section of the navigation that it is in; else it is about threads."""


def in_group() -> bool:
    """Whether the request is for a page of a group."""
    return request.blueprint == GROUP


def page(endpoint: str, **values: Any) -> str:
    """The address of a page of the dashboard, in the part that the request is in; for templates, too."""
    if in_group():
        return url_for(f"{GROUP}.{endpoint}", **{**values, "group": g.caller.group.name})
    return url_for(f"{SERVER}.{endpoint}", **values)


def service(blueprint: str, endpoint: str, **values: Any) -> str:
    """The address of a service for the same part: `service("streams", "events", thread=…)`; for templates, too."""
    if in_group():
        return url_for(f"group{blueprint and '-'}{blueprint}.{endpoint}", group=g.caller.group.name, **values)
    return url_for(f"server{blueprint and '-'}{blueprint}.{endpoint}", **values)


def room() -> str:
    """The section of the navigation that the page is in, empty outside of the dashboard; for templates."""
    blueprint, _, endpoint = (request.endpoint or "").rpartition(".")
    word = endpoint.partition("_")[0]
    if blueprint in {SERVER, GROUP}:
        return _ROOMS.get(word, "threads")
    if blueprint == "pages" and "group" in (request.view_args or {}):
        return "members"
    return _ROOMS.get(word, "") if blueprint == "pages" else ""


def group_here() -> bool:
    """Whether the page is one of a group's, and whoever asks may see that group's pages; for templates."""
    return g.caller.group is not None and access.may_use_group(g.caller)


def layout() -> str:
    """The template that a page extends: all around its main part, or nothing for the script that refreshes parts."""
    return "fragment.html" if "HTTP_HX_REQUEST" in request.environ else "base.html"


def form_key() -> str:
    """A new key for a form that starts something, so that sent twice it starts one thread."""
    return uuid4().hex


GLOBALS: Final[Mapping[str, Callable[..., Any]]] = {
    "page": page,
    "form_key": form_key,
    "share": respond.share,
    "service": service,
    "room": room,
    "group_here": group_here,
    "layout": layout,
}
"""What templates call."""
