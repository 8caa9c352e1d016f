"""What all who act have in common: calls of the store, and what they make of a state."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final

from proof.configuration import BITS, Configuration
from proof.lua import MemoryClient
from proof.state import Message, State, Worker
from proof.stores import Stores
from psthreads.proving.rules import Violation
from psthreads.threads.store import ThreadStore

Call = Callable[[ThreadStore], Any]
_IDLE: Final = Worker()


@dataclass(frozen=True, slots=True)
class Move:
    """One step: a sentence, the state after it, and whether a system in which nothing goes wrong makes it by itself."""

    words: str
    state: State
    is_benign: bool = False


def _at(state: State, number: int) -> State:
    """Return the state with another content of Redis."""
    redis, workers, fates, budget, seen, late = state
    return state if redis == number else State(number, workers, fates, budget, seen, late)


class Actor:
    """Somebody who acts on the threads with these ids, in the contents of Redis that `stores` keeps."""

    def __init__(self, configuration: Configuration, stores: Stores, ids: tuple[str, ...]) -> None:
        self._configuration = configuration
        self._stores = stores
        self._ids = ids

    def _call(self, state: State, name: Hashable, call: Call, later: int = 0) -> tuple[State, Any]:
        """Return the state after a call of the store that has this name, and the answer."""
        number, answer = self._stores.call(state.redis, name, lambda store, _: call(store), later)
        return _at(state, number), answer

    def _raw(self, state: State, name: Hashable, call: Callable[[MemoryClient], Any]) -> State:
        """Return the state after commands that are no script."""
        number, _ = self._stores.call(state.redis, name, lambda _, client: call(client))
        return _at(state, number)

    @staticmethod
    def _pay(state: State, *names: str) -> State | None:
        """Return the state after this has gone wrong, None where it may not any more."""
        cost = BITS[names[0]] if len(names) == 1 else sum([BITS[name] for name in names])
        if state.budget & cost != cost:
            return None
        redis, workers, fates, budget, seen, late = state
        return State(redis, workers, fates, budget & ~cost, seen, late)

    @staticmethod
    def _set(state: State, number: int, worker: Worker | None = None) -> State:
        """Return the state with this worker in the place of the last one; without a worker, with an idle one."""
        redis, workers, fates, budget, seen, late = state
        workers = (*workers[:number], worker or _IDLE, *workers[number + 1 :])
        return State(redis, workers, fates, budget, seen, late)

    @staticmethod
    def _fate(state: State, number: int, **changes: Any) -> State:
        fate = state.fates[number]._replace(**changes)
        return state._replace(fates=(*state.fates[:number], fate, *state.fates[number + 1 :]))

    def _is_final(self, state: State, thread: int) -> bool:
        return self._stores[state.redis].is_over[thread]

    def _owns(self, state: State, worker: Worker | Message) -> bool:
        content, thread = self._stores[state.redis], worker.thread
        record = content.records[thread]
        return record is not None and record.token == worker.token and not content.is_over[thread]

    def _require_silence(self, before: State, after: State, worker: Worker | Message, deed: str) -> None:
        """Raise Violation where an execution that does not own its thread has changed anything."""
        if before.redis != after.redis and not self._owns(before, worker):
            raise Violation(f"an execution that did not own thread {worker.thread} {deed} it")
