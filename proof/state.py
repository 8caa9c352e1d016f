"""The states that the search visits: what Redis holds, what each worker believes, and what may still go wrong."""

from __future__ import annotations

import hashlib
import marshal
from typing import NamedTuple

from proof.contents import Content
from psthreads.threads.executions import successor


class Worker(NamedTuple):
    """The beliefs of a worker and its horse.

    `phase` is `idle`; `took` (an id from the queue); `asked` (to claim it, and heard nothing); `claimed` (it has heard
    that it may, and the function has not been called); `runs`; `ends` (it has asked to end it as `end`, and heard
    nothing; with `goes_on`, also to begin the next one); `refuses` (the same, of one that it cannot run); or `died`
    (the horse; the worker has to settle that, and `end` says how far the horse had come).
    """

    phase: str = "idle"
    thread: int = -1
    token: str = ""
    reports: int = 0
    end: str = ""
    goes_on: bool = False


class Message(NamedTuple):
    """A call of an execution that Redis has not seen yet; whoever sent it has died, or has asked again."""

    call: str
    thread: int
    token: str


class Fate(NamedTuple):
    """The fate of a thread so far: `life` is `new`, `accepted`, `deleted` or `expired`; `runs` counts its calls."""

    life: str = "new"
    is_cancelled: bool = False
    runs: int = 0


class State(NamedTuple):
    """One state. `redis` is the number of a content; `seen` says of each lease whether the janitor saw it as it is now.

    `budget` has a bit for each thing that may still go wrong; how often is no matter of what may happen next.
    """

    redis: int
    workers: tuple[Worker, ...]
    fates: tuple[Fate, ...]
    budget: int
    seen: tuple[bool, ...]
    late: tuple[Message, ...] = ()


def digest(state: State, content: Content) -> bytes:
    """Return 16 bytes that stand for all that behave as this state does, whatever may still go wrong.

    Executions are told apart by whether they own their thread, and by who else speaks for them; workers are alike. Of a
    thread that has ended, it counts how it did, and how often it may be called without breaking a rule.
    """
    owners = tuple([record.token if record is not None else None for record in content.records])
    seen = tuple([is_seen and score is not None for is_seen, score in zip(state.seen, content.scores, strict=True)])
    executions: dict[tuple[int, str], list[tuple[str, int, str, bool]]] = {}
    idle = 0
    for worker in state.workers:
        if worker.thread < 0:
            idle += 1
        else:
            beliefs = executions.setdefault((worker.thread, worker.token), [])
            # Of one that has lost its thread, it does not matter whether it has reported before: it may again.
            is_owner = worker.token == owners[worker.thread] and not content.is_over[worker.thread]
            beliefs.append((worker.phase, worker.reports if is_owner else 0, worker.end, worker.goes_on))
    is_held = tuple([owner is not None and (thread, owner) in executions for thread, owner in enumerate(owners)])
    for message in state.late:
        executions.setdefault((message.thread, message.token), []).append((message.call, -1, "", False))
    groups = sorted(
        [
            (thread, token == owners[thread], token == "", _index(owners, successor(token)), sorted(beliefs))
            for (thread, token), beliefs in executions.items()
        ]
    )
    fates = tuple(
        [
            (fate.life,)
            if record is None
            else (fate.life, 1 + record.restarts - fate.runs)
            if is_over
            else (fate.life, fate.is_cancelled, fate.runs)
            for fate, record, is_over in zip(state.fates, content.records, content.is_over, strict=True)
        ]
    )
    key = (content.alike, is_held, seen, idle, groups, fates)
    return hashlib.blake2b(marshal.dumps(key, 2), digest_size=16).digest()


def _index(owners: tuple[str | None, ...], token: str) -> int:
    """Return which thread this execution has, -1 for none."""
    return owners.index(token) if token in owners else -1
