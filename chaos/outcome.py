"""The questions of a storm to the store: who may start threads, and what became of those that were accepted."""

from __future__ import annotations

import time
from collections.abc import Mapping

from redis import Redis

from chaos.clients import Clients
from psthreads.audit.entries import SETUP
from psthreads.domain.access import Group, Role
from psthreads.domain.errors import ThreadNotFound
from psthreads.domain.model import Thread
from psthreads.identity.directory import Directory
from psthreads.threads.store import ThreadStore
from psthreads.worker.horse.performance import persistently


def admit(redis: Redis, *, admin: bool = False) -> tuple[str, Group]:
    """Add the storm's member and group; return a token of the one, and the other."""
    directory = Directory(redis).by(SETUP)
    member, group = directory.add_member("storm", "a password for a storm", admin=admin), directory.add_group("storm")
    directory.set_membership(member, group, Role.MANAGER)
    return directory.create_token(member, "storm"), group


def as_stored(store: ThreadStore, clients: Clients) -> dict[str, Thread | None]:
    """Return every accepted thread from the store, None for one that is missing; without those that were deleted."""
    threads: dict[str, Thread | None] = {}
    for thread_id in list(clients.seen.kinds):
        try:
            threads[thread_id] = persistently(lambda: store.fetch(thread_id))  # noqa: B023 (called at once)
        except ThreadNotFound:
            if thread_id not in clients.seen.deleted:
                threads[thread_id] = None
    return threads


def wait_for_the_last(store: ThreadStore, clients: Clients, seconds: float) -> None:
    """Wait until every accepted thread has ended, or until none has for so long."""
    left, since = -1, time.monotonic()
    while time.monotonic() - since < seconds:
        threads = as_stored(store, clients).values()
        now = sum(1 for thread in threads if thread is not None and not thread.status.is_final)
        if not now:
            return
        if now != left:
            left, since = now, time.monotonic()
        time.sleep(0.5)


def show(figures: Mapping[str, float]) -> None:
    """Print a line for each figure."""
    width = max(map(len, figures))
    for figure, value in figures.items():
        print(f"  {figure:<{width}}  {value:g}")
