"""A process that takes secrets, and parameters with bounds."""

from __future__ import annotations

from typing import Annotated

from psthreads.authoring.context import Context
from psthreads.authoring.parameter import Bounds
from psthreads.authoring.registry import process


@process(title="Sealed", route="/members/{member}/groups/{group}/sealed")
def sealed(
    context: Context,
    password: Annotated[str, "of the other server"],
    api_key: str = "built-in",
    tries: Annotated[int, Bounds(1, 9), "how often it tries"] = 3,
    label: Annotated[str, Bounds(greatest=20)] = "",
) -> None:
    """Takes secrets."""
    context.message(f"{len(password)} {api_key} {tries} {label}")
