"""The adversary: everything that may happen next in a state, by the store that ships."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from proof.actor import Move
from proof.clients import Clients
from proof.configuration import BITS, BUDGET, Configuration
from proof.janitor import Janitor
from proof.state import Fate, State, Worker
from proof.stores import Stores
from proof.workers import Workers
from psthreads.domain.config import Config
from psthreads.domain.model import Status
from psthreads.threads import jobs
from psthreads.threads.records import Kind as ListKind


class Adversary:
    """Knows all moves of one configuration. `plant` changes the scripts; see faults.py."""

    def __init__(self, configuration: Configuration, plant: Callable[[str, str], str] | None = None) -> None:
        self._configuration = configuration
        config = Config(group_threads=configuration.share, restarts=configuration.restarts)
        keys = jobs.key_names(config.queue)
        self.queue, self.taken = keys["QUEUE"], keys["TAKEN"]
        self.ids = tuple(f"{number:032x}" for number in range(len(configuration.threads)))
        self.stores = Stores(config, self.ids, plant)
        actor = configuration, self.stores, self.ids
        self._clients, self._janitor, self._workers = Clients(*actor), Janitor(*actor), Workers(*actor)

    def first(self) -> State:
        """Return the state in which nothing has happened."""
        configuration, count = self._configuration, len(self.ids)
        budget = sum(BITS[name] for name in BUDGET if getattr(configuration, name))
        return State(0, (Worker(),) * configuration.workers, (Fate(),) * count, budget, (False,) * count)

    def moves(self, state: State) -> Iterator[Move]:
        """Return every move that is possible. Raises Violation where the answer to one breaks a rule."""
        begun = sum(fate.life != "new" for fate in state.fates)
        waiting = set()
        for number, fate in enumerate(state.fates):
            if fate.life != "new":
                yield from self._clients.moves(state, number)
            elif (kind := self._configuration.threads[number]) not in waiting:  # Those of a kind are alike.
                waiting.add(kind)
                yield self._clients.start(state, number, begun)
        yield from self._janitor.moves(state, self.queue)
        yield from self._workers.late(state)
        for number, worker in enumerate(state.workers):
            if worker not in state.workers[:number]:  # They are alike.
                yield from self._workers.moves(state, number, self.queue, self.taken)

    def page(self, state: State, kind: str, group_id: int) -> tuple[int, list[str]]:
        """Return how many threads a list has, and which, as people would see them."""
        listed: ListKind = Status(kind) if kind in set(Status) else kind  # type: ignore[assignment] # one of two words
        _, page = self.stores.call(state.redis, ("page", kind, group_id), lambda store, _: store.page(listed, group_id))
        return page.total, [thread.id for thread in page.threads]
