"""The waiting threads of a member who leaves a group, or the server.

Whether a thread may begin is asked again when it begins: lua/begin.lua. These functions only end sooner what would be
refused then.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from psthreads.audit.entries import Origin
from psthreads.domain.errors import ThreadNotFound
from psthreads.domain.model import SERVER_WIDE, Status, Thread
from psthreads.threads.engine import Engine
from psthreads.threads.search import ThreadQuery, ThreadSearch

MOST: Final = 1_000
"""The number of threads that are counted and cancelled at once; more are refused when they would begin."""


def waiting_threads(search: ThreadSearch, member_id: int, group_id: int = SERVER_WIDE) -> tuple[Thread, ...]:
    """Return the member's threads that have not begun, of one group or of all; at most 1,000."""
    return search.find(ThreadQuery(Status.INITIALISED, group_id, member_id), size=MOST).threads


def cancel_waiting(
    engine: Engine, search: ThreadSearch, by: Origin, member_id: int, group_id: int = SERVER_WIDE
) -> int:
    """Cancel the member's waiting threads, and return their number."""
    threads = waiting_threads(search, member_id, group_id)
    for thread in threads:
        with suppress(ThreadNotFound):
            engine.cancel(thread, by=by)
    return len(threads)
