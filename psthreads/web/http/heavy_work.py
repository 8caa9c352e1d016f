"""Work of requests that reads many files: off the event loop, and one at a time for each member."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from psthreads.domain.errors import TooManyRequests
from psthreads.system.thread_pool import Pool, off_the_loop

T = TypeVar("T")

_MOST_WAITING: Final = 16  # requests of a member
_LONGEST_WAIT: Final = 30.0  # seconds
_RETRY_AFTER: Final = 5


@dataclass(slots=True)
class _Turn:
    requests: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class HeavyWork:
    """One member's turns in this web process. The requests of a member wait for each other, and for nobody else."""

    def __init__(self) -> None:
        self._turns: dict[int, _Turn] = {}

    def do(self, member_id: int, work: Callable[[], T], pool: Pool, seconds: float | None = None) -> T:
        """Do the work in the pool, when it is the member's turn.

        Raises TooManyRequests where too many wait, and TimeoutError for work that takes longer than so many seconds.
        """
        turn = self._turns.setdefault(member_id, _Turn())
        if turn.requests > _MOST_WAITING:
            raise _too_many()
        turn.requests += 1
        try:
            if not turn.lock.acquire(timeout=_LONGEST_WAIT):
                raise _too_many()
            try:
                return off_the_loop(work, pool, seconds)
            finally:
                turn.lock.release()
        finally:
            turn.requests -= 1
            if not turn.requests:
                self._turns.pop(member_id, None)


def _too_many() -> TooManyRequests:
    return TooManyRequests(
        "Your earlier requests that read many files are not done: wait for them, and send one after the other.",
        _RETRY_AFTER,
    )
