"""Processes that return, print, log and leave work behind in every way that a process may; loaded by real workers."""

from __future__ import annotations

from typing import Any

from psthreads.authoring.context import Context
from psthreads.authoring.registry import process

_ROUTE = "/members/{member}/groups/{group}/output/"


@process(title="Returning a {kind}", route=_ROUTE + "returning")
def returning(context: Context, kind: str) -> Any:
    """Returns a value of a kind."""

    async def later() -> int:
        return 1

    context.message("Worked")
    match kind:
        case "dict":
            return {"words": 2, "<b>": ["é", None], "password": "swordfish"}
        case "coroutine":
            return later()
        case "generator":
            return (number for number in range(3))
        case "bytes":
            return b"zip"
        case "large":
            return ["x" * 70_000]
    return None
