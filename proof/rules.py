"""The rules that hold after every step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from proof.memory_redis import Value
from proof.state import Fate, State
from proof.stores import Content, Record
from psthreads.domain.model import SERVER_WIDE, Status
from psthreads.threads import jobs

GROUP: Final = 5
"""The group of all threads that are not the server's."""


class Violation(Exception):
    """A rule is broken; the text says which, and by what."""


class Rules:
    """The rules for threads with these ids; `groups` has the group of each, and `share` how many it may run."""

    def __init__(self, ids: tuple[str, ...], groups: tuple[int, ...], share: int, restarts: int) -> None:
        self._ids = ids
        self._groups = groups
        self._share = share
        self._restarts = restarts

    def check_step(self, before: Content, after: Content, state: State) -> None:
        """Raise Violation where the step from one content to another, in this state, is one that must not be."""
        for number, (old, new) in enumerate(zip(before.records, after.records, strict=True)):
            fate = state.fates[number]
            if old is None:
                continue
            if new is None:
                if fate.life == "accepted":
                    raise Violation(f"thread {number} has vanished")
                continue
            if Status(old.status).is_final and new.status != old.status:
                raise Violation(f"thread {number} had ended as {old.status}, and is {new.status}")
            if Status(new.status).is_final and not Status(old.status).is_final:
                if fate.is_cancelled and new.status != "cancelled":
                    raise Violation(f"thread {number} was to be cancelled, and ended as {new.status}")
                if new.status == "cancelled" and not fate.is_cancelled:
                    raise Violation(f"thread {number} was cancelled by nobody")
            if new.restarts < old.restarts:
                raise Violation(f"the restarts of thread {number} went down")

    def check_state(self, state: State, content: Content) -> None:
        """Raise Violation where a rule about states does not hold in this one."""
        for number, record in enumerate(content.records):
            fate = state.fates[number]
            is_over = fate.life == "deleted" or (record is not None and Status(record.status).is_final)
            if (record is None) != (fate.life in {"new", "deleted", "expired"}):
                raise Violation(
                    f"thread {number} is {fate.life}, and {'is not there' if record is None else 'is there'}"
                )
            if is_over and not self._is_in(content.values, self._ids[number], "ps:tombstones"):
                raise Violation(f"thread {number} is over, and nothing says when its files may be removed")
            if record is not None:
                self._check_counts(number, record, fate)
                if is_over != (jobs.key(self._ids[number]) in content.expiring):
                    raise Violation(f"thread {number} {'has ended, and is kept for ever' if is_over else 'may vanish'}")
                self._check_record(number, record, content.values)
        slots = content.values.get(_slots(GROUP), frozenset())
        if len(slots) > self._share:
            raise Violation(f"the group has {len(slots)} slots, and may have {self._share}")
        if len(content.values.get(f"{_slots(GROUP)}:changes", frozenset())) > 1:
            raise Violation("two threads that exclude each other may run at once")

    def _check_counts(self, number: int, record: Record, fate: Fate) -> None:
        if fate.runs > 1 + record.restarts:
            restarts = f"with {record.restarts} restarts"
            raise Violation(f"the function of thread {number} was called {fate.runs} times, {restarts}")
        if record.warnings > 2 * fate.runs:  # Each run reports two.
            raise Violation(f"thread {number} counts {record.warnings} warnings, and was run {fate.runs} times")
        if record.restarts > self._restarts:
            raise Violation(f"thread {number} has restarted {record.restarts} times")

    def check_lists(self, state: State, content: Content, page: Callable[[str, int], tuple[int, list[str]]]) -> None:
        """Raise Violation where a list does not show what it should; `page` reads one by the script that ships."""
        kinds: dict[tuple[str, int], set[str]] = {}
        scopes = {SERVER_WIDE, *self._groups}
        for number, thread_id in enumerate(self._ids):
            record = content.records[number]
            if record is None:
                continue
            status = Status(record.status)
            for scope in {SERVER_WIDE, self._groups[number]}:
                for kind in (record.status, "finished" if status.is_final else "active"):
                    kinds.setdefault((kind, scope), set()).add(thread_id)
        for scope in scopes:
            for kind in (*Status, "active", "finished"):
                total, ids = page(str(kind), scope)
                expected = kinds.get((str(kind), scope), set())
                if set(ids) != expected or len(ids) != len(expected):
                    raise Violation(
                        f"the list of {kind} threads of {scope} shows {self._named(ids)}, not {self._named(expected)}"
                    )
                # One whose retention has run out is counted until its list is read.
                if total != len(expected) and not any(fate.life == "expired" for fate in state.fates):
                    raise Violation(f"the list of {kind} threads of {scope} counts {total}, not {len(expected)}")

    def _named(self, ids: Iterable[str]) -> str:
        return ", ".join(sorted(str(self._ids.index(each)) for each in ids)) or "none"

    def _check_record(self, number: int, record: Record, values: Mapping[str, Value]) -> None:
        """Raise Violation where a thread is not listed where its record says it should be."""
        thread_id, group = self._ids[number], self._groups[number]
        is_final = Status(record.status).is_final
        is_admitted = group != SERVER_WIDE and not is_final and not record.waits
        is_queued, is_running = record.status == "initialised" and not record.waits, bool(record.token) and not is_final
        facts = {
            "waits for a slot": (record.waits, self._is_in(values, thread_id, *_waiting(group))),
            "has a slot": (is_admitted, self._is_in(values, thread_id, _slots(group))),
            "has a lease": (is_running, self._is_in(values, thread_id, "ps:leases")),
            "is queued": (is_queued, self._is_in(values, thread_id, "ps:queued")),
            "has an owner": (is_running, bool(record.token) and not is_final),
            "has begun": (is_running, not is_final and record.status != "initialised"),
            "is being cancelled": (record.cancelling and is_running, record.cancelling),
        }
        for words, (expected, actual) in facts.items():
            # What has ended, or waits no more, is skipped where it is still on the list of those that wait.
            if expected != actual and not (words == "waits for a slot" and actual):
                who = "its record" if expected else "a list"
                raise Violation(f"thread {number} is {record.status}: it {words}, says {who} alone")

    @staticmethod
    def _is_in(values: Mapping[str, Value], thread_id: str, *keys: str) -> bool:
        return any(thread_id in values.get(key, ()) for key in keys)


def _slots(group: int) -> str:
    return f"ps:slots:{group}"


def _waiting(group: int) -> tuple[str, str]:
    return f"ps:waiting:{group}", f"ps:waiting:{group}:changes"


def residue(values: Mapping[str, Value], queue: str, taken: str, group: int) -> list[str]:
    """Return the keys that must be empty once all threads have ended and the janitor has looked, and are not."""
    slots, waiting = f"ps:slots:{group}", f"ps:waiting:{group}"
    keys = (
        queue,
        taken,
        "ps:queued",
        "ps:leases",
        "ps:waiting",
        slots,
        f"{slots}:changes",
        waiting,
        f"{waiting}:changes",
    )
    return [key for key in keys if key in values]
