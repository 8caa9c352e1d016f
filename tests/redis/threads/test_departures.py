"""Members who are gone act no more: the right to a thread is asked again when it begins."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from redis import Redis

from psthreads.audit.entries import SETUP, Origin
from psthreads.domain.access import Role
from psthreads.domain.config import Config
from psthreads.domain.model import Status
from psthreads.identity.administration import Administration
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.command_line import operate
from tests.support.desk import MEMBER, Desk, desk
from tests.support.people import People

__all__ = ["desk"]


def start(engine: Engine, people: People, member: str, by: str = "", process: str = "count") -> str:
    known = engine.registry.find(process)
    assert known is not None
    starter = people.members[by or member]
    group = people.acme if process == "count" else None
    origin = Origin(starter.username, starter.id)
    return engine.start(known, known.read({}), member=people.members[member], by=origin, group=group).id


def begins(store: ThreadStore, thread_id: str) -> bool:
    return store.claim(thread_id, "token", "worker") is not None


CHANGES: dict[str, Callable[[Administration, People], object]] = {
    "the membership ends": lambda by, people: by.remove_membership(people.members["manager"], people.acme),
    "the role is lowered": lambda by, people: by.set_membership(people.members["manager"], people.acme, Role.GUEST),
    "the member is removed": lambda by, people: by.remove_member(people.members["manager"]),
    "the group is removed": lambda by, people: by.remove_group(people.acme),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_thread_whose_starter_has_lost_the_right_does_not_begin(
    engine: Engine, store: ThreadStore, people: People, change: str
) -> None:
    thread_id = start(engine, people, "manager")
    CHANGES[change](people.directory.by(SETUP), people)
    assert not begins(store, thread_id)
    thread = store.fetch(thread_id)
    assert thread.status is Status.FAILED
    assert thread.message.startswith("Not begun: ")


def test_the_same_holds_for_administrators_and_for_whom_they_act(
    engine: Engine, store: ThreadStore, people: People
) -> None:
    by = people.directory.by(SETUP)
    served, server_wide = (
        start(engine, people, "guest", by="chief"),
        start(engine, people, "chief", process="server-wide"),
    )
    assert begins(store, start(engine, people, "guest", by="chief"))
    by.remove_member(people.members["guest"])
    assert not begins(store, served)
    by.set_admin(people.members["loner"], admin=True)
    by.set_admin(people.members["chief"], admin=False)
    assert not begins(store, server_wide)


def test_a_right_that_is_back_or_was_never_lost_lets_a_thread_begin(
    engine: Engine, store: ThreadStore, people: People
) -> None:
    by, manager = people.directory.by(SETUP), people.members["manager"]
    first, second = start(engine, people, "manager"), start(engine, people, "contributor")
    by.remove_membership(manager, people.acme)
    by.set_membership(manager, people.acme, Role.CONTRIBUTOR)
    assert begins(store, first)
    assert begins(store, second)


@pytest.mark.parametrize("from_group", [True, False])
def test_threads_that_are_kept_begin_and_later_ones_do_not(
    engine: Engine,
    store: ThreadStore,
    people: People,
    redis: Redis,
    from_group: bool,  # noqa: FBT001 (drawn by name)
) -> None:
    by, manager = people.directory.by(SETUP), people.members["manager"]
    thread_id = start(engine, people, "manager")
    if from_group:
        by.remove_membership(manager, people.acme, keep_threads=True)
    else:
        by.remove_member(manager, keep_threads=True)
    then = redis.time()
    while redis.time()[1] // 1000 == then[1] // 1000:
        pass  # A thread of the same millisecond would count as one that is kept.
    later = start(engine, people, "manager")
    assert begins(store, thread_id)
    assert not begins(store, later)


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(
    "path", [f"{MEMBER}/remove", f"{MEMBER}/roles/remove", "/dashboard/groups/acme/members/remove"]
)
def test_the_page_says_what_waits_and_cancels_or_keeps_it(
    desk: Desk,
    engine: Engine,
    store: ThreadStore,
    path: str,
    keep: bool,  # noqa: FBT001 (drawn by name)
) -> None:
    thread_id = start(engine, desk.people, "manager")
    fields = {"group": "acme", "member": "manager", "typed": "manager", "reason": "Left"}
    question = desk.get(path) if path == f"{MEMBER}/remove" else desk.post(path, 200, **fields).text
    assert "1 thread waits to run" in question
    assert 'name="keep"' in question
    if keep:
        fields["keep"] = "true"
    desk.post(path, 303, confirmed="true", **fields)
    assert store.fetch(thread_id).status is (Status.INITIALISED if keep else Status.CANCELLED)
    assert not keep or begins(store, thread_id)


def test_the_command_line_cancels_or_keeps_them_too(
    engine: Engine, store: ThreadStore, people: People, config: Config
) -> None:
    manager, contributor = start(engine, people, "manager"), start(engine, people, "contributor")
    answer = operate(config, "admin membership remove manager acme --keep-threads")
    assert "cancelled" not in answer.stderr
    answer = operate(config, "admin member remove contributor")
    assert "1 waiting threads are cancelled" in answer.stderr
    assert begins(store, manager)
    assert store.fetch(contributor).status is Status.CANCELLED
