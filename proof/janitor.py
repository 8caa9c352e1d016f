"""What the janitor does, on what it sees now or saw a while ago."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from proof.actor import Actor, Move
from proof.rules import GROUP
from proof.state import State
from psthreads.proving.rules import Violation
from psthreads.threads.leases import LeaseEntry
from psthreads.threads.store import ThreadStore

_LONG: Final = 1e9  # seconds, longer than any lease
_MOST_ENTRIES: Final = 2  # of a thread in the queue


class Janitor(Actor):
    """One janitor: another one that leads after it has seen what it has seen."""

    def moves(self, state: State, queue: str) -> Iterator[Move]:
        """Return what it may do: with what it sees now, and with what it saw a while ago."""
        after, survey = self._call(state, "survey", lambda store: store.survey())
        if after.redis != state.redis:
            yield Move("the janitor looks, and tidies up the lists of those that wait", after, is_benign=True)
        leases = {entry.thread_id: float(entry.renewed) for entry in survey.leases}
        unclaimed = {*survey.taken, *survey.stranded}
        for number, fate in enumerate(state.fates):
            if fate.life != "new":
                thread_id = self._ids[number]
                yield from self._recovers(state, number, queue, is_seen=thread_id in unclaimed)
                yield from self._sees(state, number, leases.get(thread_id))
                yield from self._declares_lost(state, number)
        yield from self._unblocks(state, is_seen=str(GROUP) in survey.blocked)

    def _unblocks(self, state: State, *, is_seen: bool) -> Iterator[Move]:
        after, _ = self._call(state, "unblock", lambda store: store.unblock(str(GROUP)))
        if after.redis != state.redis:
            yield Move("the janitor looks after the slots of the group", after, is_benign=is_seen)

    def _recovers(self, state: State, number: int, queue: str, *, is_seen: bool) -> Iterator[Move]:
        thread_id, entries = self._ids[number], self._stores.value(state.redis, queue) or ()
        paid = state if is_seen else self._pay(state, "stale")
        if paid and tuple(entries).count(thread_id) < _MOST_ENTRIES:
            after, _ = self._call(paid, ("recover", number), lambda store: store.recover(thread_id))
            if after.redis != state.redis:
                yield Move(f"the janitor queues thread {number} again", after, is_benign=is_seen)

    def _sees(self, state: State, number: int, score: float | None) -> Iterator[Move]:
        if score is not None and not state.seen[number]:
            seen = (*state.seen[:number], True, *state.seen[number + 1 :])
            redis, workers, fates, budget, _, late = state
            after = State(redis, workers, fates, budget, seen, late)
            yield Move(f"the janitor sees the lease of thread {number}", after, is_benign=True)

    def _declares_lost(self, state: State, number: int) -> Iterator[Move]:
        score = self._stores[state.redis].scores[number]
        # Somebody may come late with any score that the lease had before, or without a lease now.
        after, verdict = self._call(
            state, ("lost", number, "old"), lambda store: self._declare(store, number, 1, _LONG)
        )
        if verdict or after.redis != state.redis:
            raise Violation(f"the janitor gave thread {number} up, whose lease had been renewed")
        if score is None or not state.seen[number]:
            return
        # While its execution lives it renews the lease, unless the lease lapses.
        is_held = any(worker.thread == number and self._owns(state, worker) for worker in state.workers)
        paid = self._pay(state, "lapses") if is_held else state
        if paid is None:
            return
        _, verdict = self._call(paid, ("early", number, score), lambda store: self._declare(store, number, score, 0))
        if verdict:
            raise Violation(f"the janitor gave thread {number} up as soon as it saw its lease")
        after, verdict = self._call(
            paid, ("lost", number, score), lambda store: self._declare(store, number, score, _LONG)
        )
        if after.redis != state.redis:
            words = f"the janitor saw no renewal of the lease of thread {number}: {verdict or 'nothing'}"
            yield Move(words, after, is_benign=not is_held)

    def _declare(self, store: ThreadStore, number: int, score: float, unchanged: float) -> str:
        return store.declare_lost(LeaseEntry(self._ids[number], b"%d" % score), unchanged)
