"""The rules for the declaration of a process. A message is the end of a sentence that names the process."""

from __future__ import annotations

import re
from string import Formatter
from typing import Final

from lxml import etree

from psthreads.authoring.process import Process, Scope
from psthreads.authoring.returned import is_deferred
from psthreads.domain.access import Role

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
_SEGMENT: Final = re.compile(r"(?:[A-Za-z0-9._~@+-]|\{(?:member|group)\})+\Z")
_METHODS: Final = ("GET", "POST", "PUT", "DELETE")
# The root elements of schemas/thread.xsd.
_ELEMENTS: Final = frozenset(
    {
        *("thread", "threads", "thread-cancel", "logs", "error", "processes", "upload", "uploads", "load-clear"),
        *("loadingzone", "version", "member", "group"),
    }
)
# Routes that do not belong to a process.
_SERVICES: Final = (
    *("/threads", "/processes", "/groups/{group}/threads", "/groups/{group}/processes"),
    "/members/{member}/groups/{group}/loadingzone/clear",
)
_EXACT: Final = ("/members/{member}/groups/{group}/loadingzone",)
_PAGES: Final = ("/api", "/ps", "/schemas", "/static", "/dashboard")


def check(process: Process) -> None:
    """Raise ValueError for a declaration that breaks a rule."""
    _check_function(process)
    _check_route(process)
    _check_title(process)
    _check_options(process)
    if process.wrapper:
        _check_wrapper(process.wrapper)


def _check_function(process: Process) -> None:
    if not _NAME.match(process.name):
        raise ValueError(
            "its name must consist of at most 64 letters, digits, '_' and '-', and start with a letter or a digit"
        )
    if is_deferred(process.function):
        raise ValueError(
            "its function must do the work when it is called: without async, such as by asyncio.run(…) in it, and "
            "without yield"
        )


def _check_route(process: Process) -> None:
    segments = process.route.split("/")
    if not process.route.startswith("/") or not all(map(_SEGMENT.match, segments[1:])):
        raise ValueError(
            f"its route '{process.route}' must be a path such as /members/{{member}}/groups/{{group}}/count, with no "
            "placeholders but {member} and {group}"
        )
    for part in ("{member}", "{group}"):
        if process.route.count(part) > 1:
            raise ValueError(f"its route contains {part} more than once")
    if "{member}" not in process.route:
        raise ValueError("its route must contain {member}, who the work is done for")
    if process.route.endswith((".xml", ".json")):
        raise ValueError("its route must not end in .xml or .json: that is how a request asks for a format")
    if process.route in _EXACT or any(f"{process.route}/".startswith(f"{path}/") for path in (*_SERVICES, *_PAGES)):
        raise ValueError(f"its route '{process.route}' belongs to psthreads itself: choose another one")


def _check_title(process: Process) -> None:
    if type(process.title) is not str:
        raise ValueError("its title must be a text, and not of a class of your own")
    names = {"member": "jjones", **({"group": "acme"} if process.scope is Scope.GROUP else {})}
    samples = names | {
        parameter.name: parameter.kind() if parameter.default is None else parameter.default
        for parameter in process.parameters
    }
    try:
        unknown = {field for _, field, _, _ in Formatter().parse(process.title) if field is not None} - samples.keys()
        placeholders = ", ".join(f"{{{name}}}" for name in samples)
        problem = f"{{{min(unknown)}}} is not one of its placeholders {placeholders}" if unknown else ""
        if not unknown:
            process.title.format(**samples)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        problem = str(error)
    if problem:
        raise ValueError(f"its title '{process.title}' cannot be filled in: {problem}")
    if not process.title.strip():
        raise ValueError("its title is empty: say what a thread of it does, such as 'Counting in {group}'")


def _check_options(process: Process) -> None:
    methods = process.methods
    if not isinstance(methods, tuple) or not methods or not set(methods) <= set(_METHODS):
        raise ValueError(f"its methods must be a tuple of some of {', '.join(_METHODS)}")
    if process.role not in set(Role):
        raise ValueError("its role must be one of psthreads.domain.access.Role")
    limit = process.time_limit
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit < float("inf"):
        raise ValueError("its time limit must be a number of seconds, or 0 for the setting's default")


def _check_wrapper(wrapper: str) -> None:
    try:
        is_name = etree.QName(wrapper).localname == wrapper
    except ValueError:
        is_name = False
    if not is_name or ":" in wrapper:
        raise ValueError(f"its wrapper '{wrapper}' must be an XML name without a colon")
    if wrapper in _ELEMENTS:
        raise ValueError(f"its wrapper '{wrapper}' is the root element of another response: choose another one")
