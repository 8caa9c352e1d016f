"""Starting, following and cancelling threads from Python, without HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from psthreads import Service, Status, User
from psthreads.domain.config import Config
from psthreads.domain.errors import (
    BadParameter,
    ConfigError,
    GroupNotFound,
    IdempotencyConflict,
    MemberNotFound,
    MissingParameter,
    NotAllowed,
    NotFound,
    ThreadNotFound,
    UnknownParameter,
)
from psthreads.threads.store import ThreadStore
from tests.support.people import People
from tests.support.waiting import wait_for

JONES = User("jjones", groups={"acme": "manager"})


@pytest.fixture
def service(redis: Redis, config: Config) -> Service:
    redis.ping()
    return Service.from_env(config.to_env())


def test_a_thread_is_started_followed_and_cancelled(service: Service, store: ThreadStore) -> None:
    thread = service.start("count", group="acme", member=JONES, to=5)
    assert (thread.status, thread.username, thread.group_name) == (Status.INITIALISED, "jjones", "acme")
    assert store.values(thread.id) == {"to": 5, "mark": "", "pause": 0.0}
    lines = service.follow(thread.id)
    first = next(lines)
    assert first.seq == 1
    rest: list[str] = []
    follower = threading.Thread(target=lambda: rest.extend(line.message for line in lines))
    follower.start()
    wait_for(lambda: service.feed._followers)
    assert service.progress(thread.id).status is Status.INITIALISED
    assert service.cancel(thread.id, member="jjones", reason="enough").status is Status.CANCELLED
    follower.join(20)
    assert not follower.is_alive()
    assert any("jjones" in line for line in rest)
    assert service.wait(thread.id, 5).status is Status.CANCELLED
    assert service.log(thread.id, -1).events[0].seq == service.log(thread.id).total


def test_a_user_is_a_member_with_these_roles_from_then_on_and_other_names_must_be_known(service: Service) -> None:
    service.start("count", group="acme", member=JONES)
    service.start("count", group="acme", member="jjones")
    with pytest.raises(NotAllowed, match="at least the role contributor in group 'acme', which 'jjones' is not"):
        service.start("count", group="acme", member=User("jjones", groups={"acme": "guest"}))
    with pytest.raises(MemberNotFound):
        service.start("count", group="acme", member="nobody")


def test_an_account_that_was_there_is_the_users_and_keeps_its_password(service: Service, people: People) -> None:
    thread = service.start("count", group="acme", member=User("manager", groups={"acme": "contributor"}))
    assert thread.member_id == people.members["manager"].id
    assert [each.role.value for each in service.directory.memberships(people.members["manager"])] == ["contributor"]


def test_the_same_key_gives_the_same_thread(service: Service) -> None:
    thread = service.start("count", group="acme", member=JONES, key="k", to=2)
    assert service.start("count", group="acme", member="jjones", key="k", to=2).id == thread.id
    with pytest.raises(IdempotencyConflict):
        service.start("count", group="acme", member="jjones", key="k", to=3)


@pytest.mark.parametrize(
    ("start", "error", "sentence"),
    [
        (lambda it: it.start("conut", group="acme", member=JONES), NotFound, "did you mean 'count'?"),
        (lambda it: it.start("count", member=JONES), BadParameter, "works on a group: say which"),
        (lambda it: it.start("count", group="nowhere", member=JONES), GroupNotFound, "'nowhere' does not exist"),
        (lambda it: it.start("count", group="acme", member=JONES, too=1), UnknownParameter, "did you mean 'to'?"),
        (lambda it: it.start("count", group="acme", member=JONES, to="many"), BadParameter, "must be a whole number"),
        (lambda it: it.start("count", group="acme", member=JONES, to=[1]), BadParameter, "of the type list"),
        (lambda it: it.start("count", group="acme", member=JONES, pause=float("nan")), BadParameter, "a number"),
        (lambda it: it.start("spin", group="acme", member=JONES), MissingParameter, "'mark' is missing"),
        (lambda it: it.progress("0" * 32), ThreadNotFound, ""),
        (lambda it: it.cancel("nothing", member="jjones"), (ThreadNotFound, MemberNotFound), ""),
        (lambda it: next(it.follow("0" * 32)), ThreadNotFound, ""),
    ],
)
def test_what_is_wrong_is_said_and_nothing_starts(
    service: Service, start: Callable[[Service], Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error) as raised:
        start(service)
    assert sentence in str(raised.value)
    assert service.store.count("active") == 0


def test_an_export_that_would_be_a_file_at_once_is_a_thread_and_leaves_no_file(service: Service) -> None:
    service.users.note(JONES)
    group = service.directory.find_group("acme")
    service.documents.group(group).write("documents/a.psml", b"<a/>")
    thread = service.start("export", group="acme", member="jjones", path="/")
    assert thread.process == "export"
    assert not [path for path in service.documents.scratch.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("name", "groups", "sentence"),
    [
        ("", {}, "cannot be a name"),
        ("12", {}, "would look like an id"),
        ("a b", {}, "cannot be a name"),
        ("jjones", {"ac/me": "guest"}, "cannot be a name"),
        ("jjones", {"acme": "boss"}, "There is no role 'boss'"),
        ("jjones", {f"g{number}": "guest" for number in range(1_001)}, "at most 1,000"),
    ],
)
def test_a_user_that_cannot_be_one_is_refused(name: str, groups: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        User(name, groups=groups)


def test_wrong_settings_are_said_at_once() -> None:
    with pytest.raises(ConfigError, match="PSTHREADS_HEARTBEAT"):
        Service.from_env({"PSTHREADS_HEARTBEAT": "often"})
