"""A process that does nothing, so that all that is measured is what a thread costs by itself."""

from __future__ import annotations

from psthreads.authoring.context import Context
from psthreads.authoring.registry import process


@process(title="Nothing", route="/members/{member}/groups/{group}/bench/nothing")
def nothing(context: Context) -> None:
    """Do nothing, and say nothing."""
