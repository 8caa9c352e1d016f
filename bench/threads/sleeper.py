"""A process that does nothing for long, so that all that Redis has to do is to hear that it lives."""

from __future__ import annotations

import time

from psthreads.authoring.context import Context
from psthreads.authoring.registry import process


@process(title="Sleeping", route="/members/{member}/groups/{group}/bench/sleep")
def sleep(context: Context, seconds: float) -> None:
    """Sleeps, and says nothing."""
    context.log("asleep")
    time.sleep(seconds)
