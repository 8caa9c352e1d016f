"""What people and programs do by way of the API, and what time does to what they have started."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from proof.actor import Actor, Move
from proof.rules import GROUP
from proof.state import State
from psthreads.audit.entries import Origin
from psthreads.domain.errors import Conflict
from psthreads.domain.model import SERVER_WIDE
from psthreads.proving.rules import Violation
from psthreads.threads import jobs
from psthreads.threads.records import NewThread
from psthreads.threads.store import ThreadStore

_ANN: Final = Origin("ann", 1)


class Clients(Actor):
    """Somebody starts, starts again, cancels and deletes; and retention runs out."""

    def start(self, state: State, number: int, begun: int) -> Move:
        """Return the start of this thread, which is accepted a little later than the `begun` ones before."""
        after, _ = self._call(state, ("start", number), lambda store: self._create(store, number, number), later=begun)
        return Move(f"thread {number} is accepted", self._fate(after, number, life="accepted"), is_benign=True)

    def moves(self, state: State, number: int) -> Iterator[Move]:
        """Return what may happen to a thread that was accepted."""
        yield from self._repeats(state, number)
        yield from self._cancels(state, number)
        yield from self._deletes(state, number)
        yield from self._expiries(state, number)

    def _create(self, store: ThreadStore, number: int, id_number: int, key: str | None = None) -> str:
        kind = self._configuration.threads[number]
        new = NewThread(
            id=f"{id_number:032x}",
            name="Work",
            process="work",
            username="ann",
            member_id=1,
            by=_ANN,
            group_id=SERVER_WIDE if kind.server_wide else GROUP,
            group_name="" if kind.server_wide else "acme",
            restartable=kind.restartable,
            exclusive=kind.exclusive,
            fields={"data": "{}"},
        )
        return store.create(new, key=f"key {number}" if key is None else key, fingerprint="the same")

    def _repeats(self, state: State, number: int) -> Iterator[Move]:
        if paid := self._pay(state, "repeats"):
            after, answer = self._call(
                paid, ("repeat", number), lambda store: self._create(store, number, number + 100)
            )
            if answer != self._ids[number] or after.redis != state.redis:
                raise Violation(f"a repeat of the start of thread {number} started another one")
            yield Move(f"the start of thread {number} is sent again", after)
            if self._stores[state.redis].records[number] is not None:
                after, _ = self._call(
                    paid, ("again", number), lambda store: self._create(store, number, number, key="")
                )
                if after.redis != state.redis:
                    raise Violation(f"the start of thread {number} reached Redis twice, and counted twice")

    def _cancels(self, state: State, number: int) -> Iterator[Move]:
        if self._stores[state.redis].records[number] is None:
            return
        for budget, force in (("cancels", False), ("forces", True)):
            if paid := self._pay(state, budget):
                cancel = partial(self._cancel, number=number, force=force)
                after, _ = self._call(paid, (budget, number), cancel)
                if not self._is_final(state, number):
                    after = self._fate(after, number, is_cancelled=True)
                elif after.redis != state.redis:
                    raise Violation(f"thread {number} had ended, and a cancel changed it")
                yield Move(f"somebody cancels thread {number}{' by force' if force else ''}", after)

    def _cancel(self, store: ThreadStore, *, number: int, force: bool) -> None:
        store.cancel(self._ids[number], _ANN, force=force)

    def _deletes(self, state: State, number: int) -> Iterator[Move]:
        paid = self._pay(state, "deletes")
        if paid is None or self._stores[state.redis].records[number] is None:
            return
        after, answer = self._call(paid, ("delete", number), lambda store: store.delete(self._ids[number], _ANN))
        if isinstance(answer, Conflict) is self._is_final(state, number):
            raise Violation(f"thread {number} was deleted before it had ended, or could not be deleted after that")
        if not isinstance(answer, Conflict):
            yield Move(f"somebody deletes thread {number}", self._fate(after, number, life="deleted"))

    def _expiries(self, state: State, number: int) -> Iterator[Move]:
        key = jobs.key(self._ids[number])
        if self._stores.contents.is_expiring(self._stores[state.redis].text, key) and (
            paid := self._pay(state, "expiries")
        ):
            after = self._raw(paid, ("expiry", number), lambda client: client.redis.run("DEL", key))
            yield Move(f"the retention of thread {number} runs out", self._fate(after, number, life="expired"))
