"""Flask's current objects themselves: each use of its proxies looks them up again, which costs every request time."""

from __future__ import annotations

from typing import cast

from flask import Request, g, request
from flask.ctx import _AppCtxGlobals


def current_request() -> Request:
    """Return the request that is being answered. Raises RuntimeError outside of one."""
    return cast("Request", request._get_current_object())  # type: ignore[attr-defined] # noqa: SLF001 (as Flask's documentation has it)


def current_globals() -> _AppCtxGlobals:
    """Return what `g` stands for. Raises RuntimeError outside of an application."""
    return cast("_AppCtxGlobals", g._get_current_object())  # noqa: SLF001 (as above)
