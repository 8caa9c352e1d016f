"""Starting threads without HTTP, for tests of the layers below it."""

from __future__ import annotations

from uuid import uuid4

from redis import Redis

from psthreads.audit.entries import Origin
from psthreads.authoring.parameter import Value
from psthreads.domain.access import Group, Member
from psthreads.domain.model import Thread
from psthreads.threads import jobs
from psthreads.threads.engine import Engine
from psthreads.threads.records import NewThread
from psthreads.threads.store import ThreadStore
from tests.support.waiting import wait_for

JONES = Member(1, "jjones")
BY = Origin("jjones", None, "192.0.2.7")  # no member of a directory, which these tests do without
ACME = Group(7, "acme")


def new_thread(
    redis: Redis,
    *,
    group: Group | None = ACME,
    restartable: bool = False,
    exclusive: bool = False,
    name: str = "A thread",
) -> NewThread:
    thread_id = uuid4().hex
    fields = jobs.fields(process="count", values={}, title=name, queue="psthreads")
    return NewThread(
        id=thread_id,
        name=name,
        process="count",
        username=JONES.username,
        member_id=JONES.id,
        by=BY,
        group_id=group.id if group else -1,
        group_name=group.name if group else "",
        restartable=restartable,
        exclusive=exclusive,
        fields=fields,
    )


def start(engine: Engine, name: str, group: Group | None = ACME, key: str = "", **values: Value) -> Thread:
    process = engine.registry.find(name)
    assert process is not None
    read = process.read({name.replace("_", "-"): str(value) for name, value in values.items()})
    return engine.start(process, read, member=JONES, by=BY, group=group, key=key)


def ended(store: ThreadStore, thread: Thread, seconds: float = 30.0) -> Thread:
    def look() -> Thread | None:
        now = store.fetch(thread.id)
        return now if now.status.is_final else None

    found = wait_for(look, seconds)
    assert found is not None
    return found
