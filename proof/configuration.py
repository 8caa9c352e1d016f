"""What a search begins with, and how often what may go wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Kind:
    """The kind of a thread."""

    restartable: bool = False
    exclusive: bool = False
    server_wide: bool = False


@dataclass(frozen=True, slots=True)
class Configuration:
    """The threads, the workers, the group's share of them, and the budget of what may go wrong."""

    name: str
    threads: tuple[Kind, ...]
    workers: int = 2
    share: int = 1
    restarts: int = 1
    kills: int = 0
    """Workers that die together with their horse, at any moment."""
    crashes: int = 0
    """Horses that die, whose worker then settles that."""
    stops: int = 0
    """Workers that are told to stop, and give their thread back."""
    lapses: int = 0
    """Leases that run out while their worker lives and knows nothing of it."""
    lost: int = 0
    """Answers that are lost: the call has its effect, and nobody hears of it."""
    late: int = 0
    """Calls of workers that are killed, or of their supervisors, which reach Redis later."""
    stale: int = 0
    """Acts of a janitor on what it saw a while ago."""
    cancels: int = 0
    forces: int = 0
    deletes: int = 0
    expiries: int = 0
    """Threads whose retention runs out."""
    repeats: int = 0
    """Starts that are sent again with the same idempotency key."""


BUDGET: Final = (
    *("kills", "crashes", "stops", "lapses", "lost", "late", "stale"),
    *("cancels", "forces", "deletes", "expiries", "repeats"),
)
"""The fields of a configuration that a move may use up."""

BITS: Final = {name: 1 << position for position, name in enumerate(BUDGET)}
"""The bit that stands for each of these."""
