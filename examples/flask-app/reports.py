"""The work of the application, which the workers do."""

from __future__ import annotations

import time
from typing import Annotated

from psthreads import Bounds, Context, process


@process(title="Report of {pages} pages for {group}", route="/members/{member}/groups/{group}/report", restartable=True)
def report(context: Context, pages: Annotated[int, Bounds(1, 10_000)] = 3) -> str:
    """Write a report, a page at a time."""
    with context.bar("progress", total=pages) as bar:
        for number in bar.iter(range(1, pages + 1)):
            context.log(f"Page {number}")
            time.sleep(0.1)
    return f"{pages} pages"
