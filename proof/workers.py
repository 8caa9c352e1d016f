"""What workers and their horses do, and how they die."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from proof.actor import Actor, Move
from proof.lua import MemoryClient
from proof.state import Message, State, Worker
from psthreads.domain.model import Outcome, Ownership, Report, Status
from psthreads.proving.rules import Record, Violation
from psthreads.threads import jobs
from psthreads.threads.executions import successor
from psthreads.threads.records import Beat, Heartbeat
from psthreads.threads.store import ThreadStore

_CALLS: Final = {
    "asked": ("claim",),
    "claimed": ("claim", "beat"),
    "runs": ("beat", "report", "finish", "finish_and_claim", "abandon"),
    "ends": ("finish", "finish_and_claim"),
    "refuses": ("finish",),
}
"""The calls that a worker in a phase may have sent last."""


class Workers(Actor):
    """The workers. Each phase of one has a method that returns what it may do next."""

    def moves(self, state: State, number: int, queue: str, taken: str) -> Iterator[Move]:
        """Return what one worker may do, and what may happen to it."""
        worker, name = state.workers[number], f"worker {number}"
        if worker.phase == "idle":
            yield from self._take(state, number, queue, taken)
            return
        if paid := self._pay(state, "kills"):
            yield Move(f"{name} is killed with its machine", self._set(paid, number))
            if worker.token and (supervised := self._pay(state, "kills", "late")):
                has_begun = {worker.phase, worker.end if worker.phase == "died" else ""} & {"runs", "ends"}
                call = "abandon" if has_begun else "give-back"
                late = (*supervised.late, Message(call, worker.thread, worker.token))
                after = self._set(supervised._replace(late=late), number)
                yield Move(f"{name} is killed, and its supervisor sees that", after)
            for call in _CALLS.get(worker.phase, ()):
                if later := self._pay(state, "kills", "late"):
                    late = (*later.late, Message(call, worker.thread, worker.token))
                    yield Move(
                        f"{name} is killed, and its {call} is on its way", self._set(later._replace(late=late), number)
                    )
        if worker.phase != "died" and (paid := self._pay(state, "crashes")):
            dead = self._set(paid, number, worker._replace(phase="died", end=worker.phase))
            yield Move(f"the horse of {name} dies", dead)
            if worker.phase in {"runs", "ends"} and (later := self._pay(dead, "late")):
                message = Message("finish_and_claim", worker.thread, worker.token)
                after = later._replace(late=(*later.late, message))
                yield Move(f"the horse of {name} dies, and its {message.call} is on its way", after)
        phases: dict[str, Callable[[State, int, Worker, str], Iterator[Move]]] = {
            "took": self._took,
            "asked": self._asked,
            "claimed": self._claimed,
            "runs": self._runs,
            "ends": self._finishes,
            "refuses": self._refuses,
            "died": self._settles,
        }
        yield from phases[worker.phase](state, number, worker, name)

    def late(self, state: State) -> Iterator[Move]:
        """Return the arrival of each call that is on its way."""
        for position, message in enumerate(state.late):
            rest = state._replace(late=(*state.late[:position], *state.late[position + 1 :]))
            send = partial(self._send, message=message)
            if message.call in {"claim", "beat"}:
                after, _ = self._renewing(rest, f"late {message.call}", message, send)
            else:
                after, _ = self._call(rest, ("late", *message), send)
            # What has begun in the step that ends a thread is another thread's.
            speaks_for_heir = message.call in {"finish_and_claim", "abandon"} and self._has_heir(state, message)
            if message.call != "claim" and not speaks_for_heir:
                self._require_silence(state, after, message, f"sent a late {message.call} that changed")
            yield Move(f"the late {message.call} on thread {message.thread} arrives", after, is_benign=True)

    def _has_heir(self, state: State, execution: Worker | Message) -> bool:
        """Return whether the execution that begins in the step which ends this one has a thread."""
        token = successor(execution.token)
        return any(self._owns(state, Worker("claimed", thread, token)) for thread in range(len(self._ids)))

    def _send(self, store: ThreadStore, *, message: Message) -> None:
        thread_id, token = self._ids[message.thread], message.token
        if message.call == "claim":
            store.claim(thread_id, token, "worker")
        elif message.call == "beat":
            store.beat(thread_id, token)
        elif message.call == "report":
            store.report(thread_id, token, Report(1, Status.WARNING, "Late", warnings=1))
        elif message.call == "finish":
            store.finish(thread_id, token, Outcome(Status.COMPLETED, "Late"))
        elif message.call == "finish_and_claim":
            store.finish_and_claim(thread_id, token, Outcome(Status.COMPLETED, "Late"), "worker")
        else:
            store.abandon(thread_id, "Worker restarted", token, not_begun=message.call == "give-back")
            if message.call == "abandon":
                store.give_back_next(token, "Worker restarted")

    def _new_token(self, state: State, thread: int) -> str:
        """Return a name for an execution that nobody has, and no record."""
        record = self._stores[state.redis].records[thread]
        names = {each.token for each in state.workers if each.thread == thread}
        names |= {each.token for each in state.late if each.thread == thread}
        names.add((record and record.token) or "")
        return next(name for number in range(len(names) + 1) if (name := f"{thread}t{number}") not in names)

    def _renewing(
        self, state: State, name: str, worker: Worker | Message, call: Callable[[ThreadStore], Any]
    ) -> tuple[State, Any]:
        """Return what `_call` does, at a time that makes the lease another one than before."""
        thread = worker.thread
        before = self._stores[state.redis].scores[thread]
        for later in range(2):
            after, answer = self._call(state, (name, thread, worker.token), call, later)
            score = self._stores[after.redis].scores[thread]
            if score is None or score != before:
                break
        if score == before or not state.seen[thread]:
            return after, answer
        seen = (*state.seen[:thread], False, *state.seen[thread + 1 :])
        redis, workers, fates, budget, _, late = after
        return State(redis, workers, fates, budget, seen, late), answer

    def _take(self, state: State, number: int, queue: str, taken: str) -> Iterator[Move]:
        entries = self._stores.value(state.redis, queue)
        if not isinstance(entries, tuple):
            return
        thread = self._ids.index(entries[0])
        after = self._raw(state, "take", lambda client: client.redis.run("LMOVE", queue, taken, "LEFT", "RIGHT"))
        words = f"worker {number} takes thread {thread}"
        yield Move(words, self._set(after, number, Worker("took", thread)), is_benign=True)
        if paid := self._pay(after, "lost"):
            yield Move(f"{words}, and never hears of it", paid)

    def _took(self, state: State, number: int, worker: Worker, name: str) -> Iterator[Move]:
        yield from self._claims(state, number, worker._replace(token=self._new_token(state, worker.thread)), name)
        if paid := self._pay(state, "stops"):
            yield self._gives_back(paid, number, worker, name, is_benign=False)

    def _asked(self, state: State, number: int, worker: Worker, name: str) -> Iterator[Move]:
        yield from self._claims(state, number, worker, name)
        if paid := self._pay(state, "stops"):
            yield self._puts_back(paid, number, worker, name, is_benign=False)

    def _claims(self, state: State, number: int, worker: Worker, name: str) -> Iterator[Move]:
        thread, thread_id = worker.thread, self._ids[worker.thread]
        before = self._stores[state.redis].records[thread]
        after, claim = self._renewing(
            state, "claim", worker, lambda store: store.claim(thread_id, worker.token, "worker")
        )
        is_free = before is not None and before.status == "initialised" and not before.waits and before.token is None
        may_run = not state.fates[thread].is_cancelled and (is_free or self._owns(state, worker))
        if claim is not None and not may_run:
            raise Violation(f"{name} claimed thread {thread}, which was {_words(before)}")
        if claim is None and may_run:
            raise Violation(f"{name} was refused thread {thread}, which was {_words(before)}")
        words = f"{name} claims thread {thread}: {'it may' if claim else 'it may not'}"
        yield Move(words, self._set(after, number, worker._replace(phase="claimed") if claim else None), is_benign=True)
        if paid := self._pay(after, "lost"):
            yield Move(f"{words}, and never hears of it", self._set(paid, number, worker._replace(phase="asked")))

    def _claimed(self, state: State, number: int, worker: Worker, name: str) -> Iterator[Move]:
        after = self._fate(state, worker.thread, runs=state.fates[worker.thread].runs + 1)
        words = f"{name} calls the function of thread {worker.thread}"
        yield Move(words, self._set(after, number, worker._replace(phase="runs")), is_benign=True)
        # A horse that is not fresh leaves one that wants a horse of its own to the next, which asks again.
        words = f"the horse of {name} leaves thread {worker.thread} to a new one"
        yield Move(words, self._set(state, number, worker._replace(phase="asked")))
        yield from self._refuses(state, number, worker, name)
        yield from self._beats(state, number, worker, name)
        yield from self._stops(state, number, worker, name, not_begun=True)

    def _refuses(self, state: State, number: int, worker: Worker, name: str) -> Iterator[Move]:
        """Let the worker end a thread whose process it does not know."""
        thread_id, outcome = self._ids[worker.thread], Outcome(Status.FAILED, "This worker knows no such process")
        key = ("refuse", worker.thread, worker.token)
        after, answer = self._call(state, key, lambda store: store.finish(thread_id, worker.token, outcome))
        self._require_silence(state, after, worker, "ended")
        words = f"{name} cannot run thread {worker.thread}, and ends it: {answer or 'refused'}"
        yield Move(words, self._set(after, number), is_benign=True)
        if paid := self._pay(after, "lost"):
            yield Move(f"{words}, and never hears of it", self._set(paid, number, worker._replace(phase="refuses")))

    def _runs(self, state: State, number: int, worker: Worker, name: str) -> Iterator[Move]:
        if not worker.reports or not self._owns(state, worker):
            yield from self._reports(state, number, worker, name)
        for end in (Status.COMPLETED, Status.FAILED):
            for goes_on in (False, True):
                yield from self._finishes(state, number, worker._replace(end=end.value, goes_on=goes_on), name)
        yield from self._beats(state, number, worker, name)
        yield from self._stops(state, number, worker, name, not_begun=False)

    def _reports(self, state: State, number: int, worker: Worker, name: str) -> Iterator[Move]:
        thread_id, report = self._ids[worker.thread], Report(1, Status.WARNING, "Half done", warnings=1)
        key = ("report", worker.thread, worker.token)
        after, answer = self._call(state, key, lambda store: store.report(thread_id, worker.token, report))
        self._require_silence(state, after, worker, "reported on")
        is_owner = answer is not Ownership.DISOWNED
        if is_owner is not self._owns(state, worker):
            raise Violation(f"{name} heard of its report that it was {answer}")
        words = f"{name} reports a warning of thread {worker.thread}: {answer}"
        yield Move(words, self._set(after, number, worker._replace(reports=1) if is_owner else None), is_benign=True)
        if paid := self._pay(after, "lost"):
            yield Move(f"{words}, and never hears of it", paid)

    def _finishes(self, state: State, number: int, worker: Worker, name: str) -> Iterator[Move]:
        if worker.goes_on:
            yield from self._goes_on(state, number, worker, name)
            return
        thread_id, outcome = self._ids[worker.thread], Outcome(Status(worker.end), "The end")
        last = Report(2, Status.WARNING, "Last words", warnings=1)
        key = ("finish", worker.thread, worker.token, worker.end)
        after, answer = self._call(
            state, key, lambda store: store.finish(thread_id, worker.token, outcome, report=last)
        )
        self._require_silence(state, after, worker, "ended")
        words = f"{name} ends thread {worker.thread} as {worker.end}: {answer or 'refused'}"
        yield Move(words, self._set(after, number), is_benign=True)
        if paid := self._pay(after, "lost"):
            yield Move(f"{words}, and never hears of it", self._set(paid, number, worker._replace(phase="ends")))

    def _goes_on(self, state: State, number: int, worker: Worker, name: str) -> Iterator[Move]:
        """End a thread and begin the next one, in one step."""
        thread_id, outcome = self._ids[worker.thread], Outcome(Status(worker.end), "The end")
        last = Report(2, Status.WARNING, "Last words", warnings=1)
        key = ("finish_and_claim", worker.thread, worker.token, worker.end)
        scores = self._stores[state.redis].scores
        for later in range(2):
            after, claim = self._call(
                state,
                key,
                lambda store: store.finish_and_claim(thread_id, worker.token, outcome, "worker", report=last),
                later,
            )
            following = -1 if claim is None else self._ids.index(claim.thread.id)
            if claim is None or self._stores[after.redis].scores[following] != scores[following]:
                break
        if claim is not None and self._stores[after.redis].scores[following] != scores[following]:
            after = after._replace(seen=(*after.seen[:following], False, *after.seen[following + 1 :]))
        if self._is_final(state, worker.thread) or not self._owns(state, worker):
            before = self._stores[state.redis].records[following] if claim is not None else None
            if before is not None and before.token != successor(worker.token):
                raise Violation(f"{name} did not own thread {worker.thread}, and went on with thread {following}")
            if claim is None and any(
                self._owns(state, Worker("claimed", thread, successor(worker.token))) and not fate.is_cancelled
                for thread, fate in enumerate(state.fates)
            ):
                raise Violation(f"{name} was not told again which thread it had gone on with")
        elif claim is not None and state.fates[following].is_cancelled:
            raise Violation(f"{name} claimed thread {following}, which was cancelled")
        words = f"{name} ends thread {worker.thread} as {worker.end}"
        words += f", and goes on with thread {following}" if claim is not None else ", and has no next one"
        heir = Worker("claimed", following, successor(worker.token)) if claim is not None else None
        yield Move(words, self._set(after, number, heir), is_benign=True)
        if paid := self._pay(after, "lost"):
            yield Move(f"{words}, and never hears of it", self._set(paid, number, worker._replace(phase="ends")))

    def _beats(self, state: State, number: int, worker: Worker, name: str) -> Iterator[Move]:
        thread, thread_id = worker.thread, self._ids[worker.thread]
        beat: Heartbeat
        after, beat = self._renewing(state, "beat", worker, lambda store: store.beat(thread_id, worker.token))
        self._require_silence(state, after, worker, "renewed the lease of")
        if (beat.ownership is not Ownership.DISOWNED) is not self._owns(state, worker):
            raise Violation(f"{name} heard of its heartbeat that it was {beat.ownership}")
        self._beats_jointly(state, worker, name, after if beat.ownership is Ownership.OWNED else state)
        scores = self._stores[state.redis].scores[thread], self._stores[after.redis].scores[thread]
        if beat.ownership is Ownership.DISOWNED:
            yield Move(f"{name} learns that thread {thread} is not its own", self._set(after, number), is_benign=True)
        elif scores[0] == scores[1]:
            raise Violation(f"a heartbeat of thread {thread} renewed nothing")
        elif state.seen[thread]:  # To a janitor that has not seen the last one, it makes no difference.
            yield Move(f"{name} renews the lease of thread {thread}", after)

    def _beats_jointly(self, state: State, worker: Worker, name: str, expected: State) -> None:
        """Require that the heartbeat of a supervisor for this worker does as the worker's own, where it is to renew."""
        call = partial(_beat_jointly, beat=Beat("worker", self._ids[worker.thread], worker.token))
        for later in range(2):
            key = ("joint beat", worker.thread, worker.token)
            number, is_renewed = self._stores.call(state.redis, key, call, later)
            if number != state.redis:
                break
        if is_renewed is not (expected is not state) or number != expected.redis:
            raise Violation(f"{name} and its supervisor do not agree on the lease of thread {worker.thread}")

    def _stops(self, state: State, number: int, worker: Worker, name: str, *, not_begun: bool) -> Iterator[Move]:
        if paid := self._pay(state, "stops"):
            thread_id, why = self._ids[worker.thread], "Worker restarted"
            after, answer = self._call(
                paid,
                ("abandon", worker.thread, worker.token, not_begun),
                lambda store: store.abandon(thread_id, why, worker.token, not_begun=not_begun),
            )
            self._require_silence(state, after, worker, "gave up")
            yield Move(
                f"{name} stops, and gives thread {worker.thread} up: {answer or 'refused'}", self._set(after, number)
            )

    def _settles(self, state: State, number: int, worker: Worker, name: str) -> Iterator[Move]:
        """Let the worker settle what its horse, which has died, had come to."""
        thread_id = self._ids[worker.thread]
        if worker.end == "took":
            yield self._gives_back(state, number, worker, name, is_benign=True)
        elif worker.end in {"asked", "claimed", "refuses"}:
            yield self._puts_back(state, number, worker, name, is_benign=True)
        else:
            outcome = Outcome(Status.FAILED, "Killed by signal 9")
            key = ("killed", worker.thread, worker.token)
            after, answer = self._call(state, key, lambda store: store.finish(thread_id, worker.token, outcome))
            self._require_silence(state, after, worker, "ended")
            after, _ = self._call(
                after, ("next", worker.token), lambda store: store.give_back_next(worker.token, "Worker restarted")
            )
            words = f"{name} ends thread {worker.thread} for its horse: {answer or 'refused'}"
            if self._has_heir(after, worker):
                raise Violation(f"{name} has settled its horse, whose next thread has an owner")
            yield Move(words, self._set(after, number), is_benign=True)

    def _puts_back(self, state: State, number: int, worker: Worker, name: str, *, is_benign: bool) -> Move:
        """Return how the worker gives a thread back whose claim may have been carried out or not."""
        thread_id = self._ids[worker.thread]

        def put_back(store: ThreadStore) -> None:
            if not store.abandon(thread_id, "Worker restarted", worker.token, not_begun=True):
                store.recover(thread_id)

        after, _ = self._call(state, ("put back", worker.thread, worker.token), put_back)
        return Move(f"{name} gives thread {worker.thread} back, not begun", self._set(after, number), is_benign)

    def _gives_back(self, state: State, number: int, worker: Worker, name: str, *, is_benign: bool) -> Move:
        after, _ = self._call(state, ("recover", worker.thread), lambda store: store.recover(self._ids[worker.thread]))
        return Move(f"{name} gives thread {worker.thread} back", self._set(after, number), is_benign)


def _beat_jointly(store: ThreadStore, client: MemoryClient, *, beat: Beat) -> bool:
    """Return whether a supervisor's heartbeat renews this lease; the record of the worker is there for that alone."""
    record = jobs.worker_key(beat.worker)
    client.redis.run("HSET", record, "state", "busy")
    (is_renewed,) = store.beat_all([beat], 60)
    client.redis.run("DEL", record, jobs.executions_key(record))
    return is_renewed


def _words(record: Record | None) -> str:
    if record is None:
        return "gone"
    facts = {
        "run by an execution": record.token,
        "waiting for a slot": record.waits,
        "being cancelled": record.cancelling,
    }
    return " and ".join((record.status, *(words for words, is_so in facts.items() if is_so)))
