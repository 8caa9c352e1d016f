"""The states that the search visits: what Redis holds, what each worker believes, and what may still go wrong."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from proof.stores import Content


class Worker(NamedTuple):
    """The beliefs of a worker and its horse.

    `phase` is `idle`; `took` (an id from the queue); `asked` (to claim it, and heard nothing); `claimed` (it has heard
    that it may, and the function has not been called); `runs`; `ends` (it has asked to end it as `end`, and heard
    nothing); or `died` (the horse; the worker has to settle that; `end` says how far the horse had come).
    """

    phase: str = "idle"
    thread: int = -1
    token: str = ""
    reports: int = 0
    end: str = ""


class Message(NamedTuple):
    """A call of a worker that has died since, and that Redis has not seen yet."""

    call: str
    thread: int
    token: str


class Fate(NamedTuple):
    """The fate of a thread so far: `life` is `new`, `accepted`, `deleted` or `expired`; `runs` counts its calls."""

    life: str = "new"
    is_cancelled: bool = False
    runs: int = 0


class State(NamedTuple):
    """One state. `redis` is the number of a content; `budget` is how often each thing that may go wrong still may.

    `seen` are the scores of leases as the janitor saw them last.
    """

    redis: int
    workers: tuple[Worker, ...]
    fates: tuple[Fate, ...]
    budget: tuple[int, ...]
    seen: tuple[float | None, ...]
    late: tuple[Message, ...] = ()


def canonical(state: State, content: Content) -> Hashable:
    """Return what this state has in common with all that behave as it does.

    Executions are told apart by whether they own their thread; workers are alike.
    """
    owners = tuple(record.token if record is not None else None for record in content.records)
    seen = tuple(
        (score is None, last is None, score == last) for score, last in zip(content.scores, state.seen, strict=True)
    )
    held = {(worker.thread, worker.token) for worker in state.workers}
    is_held = tuple(owner is not None and (thread, owner) in held for thread, owner in enumerate(owners))
    workers = sorted(
        (each.phase, each.thread, each.thread >= 0 and each.token == owners[each.thread], each.reports, each.end)
        for each in state.workers
    )
    late = sorted((each.call, each.thread, each.token == owners[each.thread]) for each in state.late)
    return (content.alike, is_held, seen, tuple(workers), tuple(late), state.budget, state.fates)
