"""The rules about threads that nothing may break, as far as Redis shows."""

from __future__ import annotations

import json
from typing import Any, cast

from redis import Redis

from psthreads.domain.model import Status, Thread
from psthreads.threads.store import ThreadStore
from tests.support.threads import ACME

_FINAL = [status for status in Status if status.is_final]
_RUNNING = [status for status in Status if status.is_running]

# From each status, those that may follow.
TRANSITIONS = {
    # A running thread goes back to `initialised` only when it is queued again after a lost worker.
    Status.INITIALISED: {Status.INPROGRESS, *_FINAL},
    **{status: {Status.INITIALISED, *_RUNNING, *_FINAL} for status in _RUNNING},
    **{status: set() for status in _FINAL},
}


class ThreadRules:
    """Check what must hold of all threads in a Redis, however they got there.

    Whoever changes them adds those that somebody cancelled, and those that were deleted.
    """

    def __init__(self, redis: Redis, store: ThreadStore) -> None:
        self.redis = redis
        self.store = store
        self.seen: dict[str, Thread] = {}
        self.cancelled: set[str] = set()
        self.deleted: set[str] = set()

    def hold(self) -> None:
        """Fail where a rule is broken, now or by what has changed since the last look."""
        store = self.store
        places = self._places()
        assert places.keys() <= set(self.ids()), "a thread that is gone is listed"
        assert not self.deleted & set(self.ids()), "a deleted thread came back"
        assert not {each for each in self.deleted if self.redis.exists(f"ps:log:{each}", f"ps:log:{each}:tail")}
        for thread_id in self.ids():
            now, then = store.fetch(thread_id), self.seen.get(thread_id)
            if then is not None and then.status.is_final:
                assert now == then, "a final thread changed"
            elif then is not None and now.status is not then.status:
                # Several changes may lie between two looks, but none leads out of a final status.
                assert now.status in TRANSITIONS[then.status]
            if thread_id in self.cancelled and now.status.is_final:
                assert now.status is Status.CANCELLED, "a thread that was to be cancelled ended otherwise"
                assert now.message == "Cancelled by somebody"
            assert places.get(thread_id, set()) == self._expected_places(now)
            page = store.log(thread_id, 1, 5_000)
            numbers = [event.seq for event in page.events]
            missing = range(51, 50 + page.dropped)  # the gap's last number stands for the whole gap
            assert numbers == [number for number in range(1, page.total + 1) if number not in missing]
            self.seen[thread_id] = now
        self._turns_are_kept()

    def _turns_are_kept(self) -> None:
        """A group has no more threads on the way than it may, and none waits that need not."""
        live = {each: meta for each in self.ids() if (meta := self.meta(each))["status"] not in _FINAL}
        of_group = {each: meta for each, meta in live.items() if meta["groupid"] == ACME.id}
        admitted = {each for each, meta in of_group.items() if not meta.get("waits")}
        changing = {each for each in admitted if of_group[each].get("exclusive")}
        slots = f"ps:slots:{ACME.id}"
        assert {each.decode() for each in cast("set[bytes]", self.redis.smembers(slots))} == admitted
        assert {each.decode() for each in cast("set[bytes]", self.redis.smembers(f"{slots}:changes"))} == changing
        assert len(admitted) <= 2
        assert len(changing) <= 1
        if len(admitted) < 2:
            waiting = [meta for each, meta in of_group.items() if each not in admitted]
            assert not [meta for meta in waiting if not meta.get("exclusive") or not changing]
        assert not any(meta.get("waits") for meta in live.values() if meta["groupid"] != ACME.id)

    def meta(self, thread_id: str) -> dict[str, Any]:
        return dict(json.loads(cast("bytes", self.redis.hget(f"rq:job:{thread_id}", "meta"))))

    def ids(self) -> list[str]:
        return [key.removeprefix("rq:job:") for key in self._keys("rq:job:*")]

    def _keys(self, pattern: str) -> list[str]:
        return [key.decode() for key in cast("list[bytes]", self.redis.keys(pattern))]

    def _places(self) -> dict[str, set[str]]:
        """For each thread the listings that it stands in."""
        found: dict[str, set[str]] = {}
        for key in self._keys("ps:threads:*"):
            for thread_id in cast("list[bytes]", self.redis.zrange(key, 0, -1)):
                found.setdefault(thread_id.decode(), set()).add(key)
        return found

    def _expected_places(self, thread: Thread) -> set[str]:
        scopes = ["server"] if thread.group_id == -1 else ["server", str(thread.group_id)]
        kind = "finished" if thread.status.is_final else "active"
        others = {f"ps:threads:member:{thread.member_id}:{kind}", f"ps:threads:process:{thread.process}:{kind}"}
        kinds = (thread.status,) if thread.status.is_final else (kind, thread.status)
        return {f"ps:threads:{scope}:{name}" for scope in scopes for name in kinds} | others
