"""The rules of psthreads.proving after every step, and those that need the history of the threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from proof.configuration import Configuration
from proof.contents import Content, Contents
from proof.state import Fate, State
from psthreads.domain.model import SERVER_WIDE, Status
from psthreads.proving import rules
from psthreads.proving.rules import Record, Violation
from psthreads.threads import jobs

GROUP: Final = 5
"""The group of all threads that are not the server's."""


class Rules:
    """The rules for the threads of a configuration; `groups` has the group of each, and `share` how many it may run."""

    def __init__(
        self, contents: Contents, ids: tuple[str, ...], groups: tuple[int, ...], configuration: Configuration
    ) -> None:
        self._contents = contents
        self._ids = ids
        self._groups = groups
        self._share = configuration.share
        self._restarts = [configuration.restarts * kind.restartable for kind in configuration.threads]

    def check_step(self, before: Content, after: Content, state: State) -> None:
        """Raise Violation where the step from one content to another, in this state, is one that must not be."""
        for number, (old, new) in enumerate(zip(before.records, after.records, strict=True)):
            if new is not old:
                fate, name = state.fates[number], f"thread {number}"
                rules.check_change(name, old, new)
                if old is not None and new is None and fate.life == "accepted":
                    raise Violation(f"{name} has vanished")
                if old is not None and new is not None:
                    self._check_end(name, old, new, fate)

    @staticmethod
    def _check_end(name: str, old: Record, new: Record, fate: Fate) -> None:
        if old.status.is_final and new != old:
            raise Violation(f"{name} had ended, and its record was changed after that")
        if new.status.is_final and not old.status.is_final:
            if fate.is_cancelled and new.status is not Status.CANCELLED:
                raise Violation(f"{name} was to be cancelled, and ended as {new.status}")
            if new.status is Status.CANCELLED and not fate.is_cancelled:
                raise Violation(f"{name} was cancelled by nobody")

    def check_state(self, state: State, content: Content) -> None:
        """Raise Violation where a rule about states does not hold in this one."""
        for number, (record, fate) in enumerate(zip(content.records, state.fates, strict=True)):
            name = f"thread {number}"
            if (record is None) != (fate.life != "accepted"):
                raise Violation(f"{name} is {fate.life}, and {'is not there' if record is None else 'is there'}")
            if fate.life == "deleted":
                rules.check_tombstone(name, self._ids[number], self._contents.values(content.text))
            if record is not None:
                self._check_counts(number, record, fate)

    def check_content(self, content: Content) -> None:
        """Raise Violation where a rule that needs nothing but a content of Redis does not hold in this one."""
        values = self._contents.values(content.text)
        for number, record in enumerate(content.records):
            if record is None:
                continue
            name, thread_id = f"thread {number}", self._ids[number]
            if record.status.is_final:
                rules.check_tombstone(name, thread_id, values)
            is_expiring = self._contents.is_expiring(content.text, jobs.key(thread_id))
            rules.check_retention(name, record, expires=is_expiring)
            if record.restarts > self._restarts[number]:
                raise Violation(f"{name} has restarted {record.restarts} times, and may {self._restarts[number]} times")
            rules.check_place(name, thread_id, record, values)
            rules.check_listings(name, thread_id, record, values)
        slots = rules.slots_key(GROUP)
        rules.check_share(len(values.get(slots, ())), self._share, "slots")
        rules.check_share(len(values.get(f"{slots}:changes", ())), 1, "slots of threads that change documents")

    def _check_counts(self, number: int, record: Record, fate: Fate) -> None:
        if fate.runs > 1 + record.restarts:
            restarts = f"with {record.restarts} restarts"
            raise Violation(f"the function of thread {number} was called {fate.runs} times, {restarts}")
        if record.warnings > 2 * fate.runs:  # Each run reports two.
            raise Violation(f"thread {number} counts {record.warnings} warnings, and was run {fate.runs} times")

    def check_lists(self, state: State, content: Content, page: Callable[[str, int], tuple[int, list[str]]]) -> None:
        """Raise Violation where a list does not show what it should; `page` reads one by the script that ships."""
        kinds: dict[tuple[str, int], set[str]] = {}
        scopes = {SERVER_WIDE, *self._groups}
        for number, thread_id in enumerate(self._ids):
            record = content.records[number]
            if record is None:
                continue
            for scope in {SERVER_WIDE, self._groups[number]}:
                for kind in (record.status, "finished" if record.status.is_final else "active"):
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


def residue(queue: str, taken: str) -> tuple[str, ...]:
    """Return the keys that must be empty once all threads have ended and the janitor has looked."""
    slots, waiting = rules.slots_key(GROUP), rules.waiting_keys(GROUP)
    return (queue, taken, rules.QUEUED, rules.LEASES, "ps:waiting", slots, f"{slots}:changes", *waiting)
