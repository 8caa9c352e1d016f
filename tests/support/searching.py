"""Threads in any status, and lists of those that a search returns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from redis import Redis

from psthreads.domain.model import Outcome, Status
from psthreads.threads.records import NewThread
from psthreads.threads.search import ThreadQuery, ThreadSearch, ThreadSearchResult
from psthreads.threads.store import ThreadStore
from tests.support.threads import new_thread


def made(redis: Redis, store: ThreadStore, *, end: Status | None = None, message: str = "done", **more: Any) -> str:
    base = {name: more.pop(name) for name in ("group", "name") if name in more}
    new: NewThread = replace(new_thread(redis, **base), **more)
    store.create(new)
    if end is not None:
        assert store.claim(new.id, "t", "w")
        store.finish(new.id, "t", Outcome(end, message))
    return new.id


def ids(result: ThreadSearchResult) -> list[str]:
    return [thread.id for thread in result.threads]


def every(search: ThreadSearch, query: ThreadQuery, **more: int) -> list[str]:
    """All pages, one after the other."""
    seen, after = [], ""
    while True:
        result = search.find(query, after, **more)
        seen += ids(result)
        if not (after := result.after):
            return seen
