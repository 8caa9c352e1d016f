"""The audit: one entry for each change and none for what was refused, found again and exported as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis

from psthreads.audit.entries import ACTS, FIELDS, KEY, LONGEST, Audit, AuditEntry, AuditQuery, Origin
from psthreads.domain.access import Group, Role
from psthreads.domain.config import Config
from psthreads.domain.errors import NotSignedIn, PsthreadsError
from psthreads.identity.administration import Administration
from psthreads.identity.credentials import Identity, Password
from psthreads.identity.directory import Directory
from psthreads.identity.throttles import Throttles
from psthreads.threads.store import ThreadStore
from tests.support.people import PASSWORD, People
from tests.support.threads import new_thread

CHIEF = Origin("chief", 10, "192.0.2.7", "Ticket 4711")


@pytest.fixture
def audit(redis: Redis) -> Audit:
    return Audit(redis)


@pytest.fixture
def jones(people: People, redis: Redis) -> People:
    """Everybody, and an audit in which nothing has been done yet."""
    redis.delete(KEY)
    return people


def written(audit: Audit) -> list[AuditEntry]:
    return list(audit.export(AuditQuery()))


def told(entry: AuditEntry) -> tuple[str, ...]:
    return entry.act, entry.subject, entry.groupname, entry.detail


# One entry for each change.


CHANGES: dict[str, tuple[Callable[[Administration, People], object], tuple[str, ...]]] = {
    "add a member": (lambda do, _: do.add_member("ruth", PASSWORD), ("member.add", "ruth", "", "")),
    "add an administrator": (
        lambda do, _: do.add_member("ruth", PASSWORD, admin=True),
        ("member.add", "ruth", "", "administrator"),
    ),
    "remove a member": (lambda do, all_: do.remove_member(all_.members["guest"]), ("member.remove", "guest", "", "")),
    "password": (
        lambda do, all_: do.change_password(all_.members["guest"], "another horse"),
        ("member.password", "guest", "", ""),
    ),
    "make an administrator": (
        lambda do, all_: do.set_admin(all_.members["guest"], admin=True),
        ("member.admin", "guest", "", "on"),
    ),
    "sign out": (lambda do, all_: do.sign_out_everywhere(all_.members["guest"]), ("session.end-all", "guest", "", "")),
    "give a role": (
        lambda do, all_: do.set_membership(all_.members["loner"], all_.acme, Role.MANAGER),
        ("role.set", "loner", "acme", "manager"),
    ),
    "change a role": (
        lambda do, all_: do.set_membership(all_.members["guest"], all_.acme, Role.APPROVER),
        ("role.set", "guest", "acme", "approver"),
    ),
    "end a membership": (
        lambda do, all_: do.remove_membership(all_.members["guest"], all_.acme),
        ("role.remove", "guest", "acme", "guest"),
    ),
    "add a group": (lambda do, _: do.add_group("news"), ("group.add", "news", "news", "")),
    "remove a group": (lambda do, all_: do.remove_group(all_.acme), ("group.remove", "acme", "acme", "")),
    "make a token": (
        lambda do, all_: do.create_token(all_.members["guest"], "laptop"),
        ("token.create", "laptop", "", "of guest: all"),
    ),
    "revoke a token": (
        lambda do, all_: do.revoke_token(all_.members["guest"], "test"),
        ("token.revoke", "test", "", "of guest"),
    ),
    "make a client": (
        lambda do, all_: do.add_client(all_.members["guest"], "nightly"),
        ("client.add", "nightly", "", "of guest: all"),
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_leaves_one_entry_with_who_from_where_and_why(jones: People, audit: Audit, name: str) -> None:
    change, expected = CHANGES[name]
    change(jones.directory.by(CHIEF), jones)
    (entry,) = written(audit)
    assert told(entry) == expected
    assert (entry.by, entry.byid, entry.address, entry.reason) == ("chief", "10", "192.0.2.7", "Ticket 4711")


def test_an_entry_names_what_it_is_about_by_its_id_too(jones: People, audit: Audit) -> None:
    changes, guest = jones.directory.by(CHIEF), jones.members["guest"]
    changes.set_membership(guest, jones.other, Role.GUEST)
    changes.create_token(guest, "laptop")
    news = changes.add_group("news")
    added, token, role = written(audit)
    assert (role.subject_id, role.group) == (str(guest.id), str(jones.other.id))
    assert (token.subject_id, token.group) == (str(guest.id), "")
    assert added.subject_id == added.group == str(news.id)


REFUSED: dict[str, Callable[[Administration, People], object]] = {
    "a taken name": lambda do, _: do.add_member("guest", PASSWORD),
    "a taken group": lambda do, _: do.add_group("acme"),
    "a bad name": lambda do, _: do.add_member("a b", PASSWORD),
    "a short password": lambda do, all_: do.change_password(all_.members["guest"], "short"),
    "no membership": lambda do, all_: do.remove_membership(all_.members["loner"], all_.acme),
    "no token": lambda do, all_: do.revoke_token(all_.members["loner"], "none"),
    "no client": lambda do, all_: do.remove_client(all_.members["loner"], "none"),
    "a taken token": lambda do, all_: do.create_token(all_.members["guest"], "test"),
    "oneself": lambda do, all_: do.remove_member(all_.members["chief"]),
    "one's own rights": lambda do, all_: do.set_admin(all_.members["chief"], admin=False),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_leaves_no_entry(jones: People, audit: Audit, name: str) -> None:
    chief = jones.members["chief"]
    with pytest.raises(PsthreadsError):
        REFUSED[name](jones.directory.by(Origin("chief", chief.id)), jones)
    assert written(audit) == []


def test_what_is_so_already_leaves_no_entry(jones: People, audit: Audit) -> None:
    changes, guest = jones.directory.by(CHIEF), jones.members["guest"]
    changes.set_admin(guest, admin=False)
    changes.set_membership(guest, jones.acme, Role.GUEST)
    assert not changes.unlock(guest)
    assert written(audit) == []


def test_what_is_sent_again_because_its_answer_was_lost_leaves_one_entry(jones: People, audit: Audit) -> None:
    run, guest = jones.directory.by(CHIEF)._run, jones.members["guest"]
    origin, member = CHIEF.fields(), str(guest.id)
    scope = {"scope": "", "scope_words": "all"}
    group: dict[str, Any] = {
        "kind": "group",
        "key": "news",
        "name": "news",
        "nonce": "nonce",
        "fields": {"name": "news"},
        "above": 0,
    }
    fields = {"act": "session.end-all", "stamp": "", "fields": {"stamp": "new"}}
    token = {"name": "t", "digest": "digest", "seconds": 0, "most": 9}
    client = {"name": "c", "client": "psc", "secret": "digest"}
    calls: list[tuple[Any, ...]] = [
        ("add", {**group, "origin": origin}),
        ("update", {**fields, "member": member, "origin": origin}),
        ("set_admin", guest.id, 1, origin),
        ("create_token", {**token, **scope, "member": member, "origin": origin}),
        ("add_client", {**client, **scope, "member": member, "origin": origin}),
        ("link", guest.id, jones.acme.id, "manager", origin),
    ]
    for number, call in enumerate(calls, 1):
        assert str(run(*call)).strip("b'") == str(run(*call)).strip("b'")
        assert len(written(audit)) == number


def test_every_entry_has_the_same_fields_in_the_same_order_and_an_act_that_is_known(
    jones: People, audit: Audit, redis: Redis
) -> None:
    for name, (change, _) in CHANGES.items():
        if name not in {"add an administrator", "remove a member", "remove a group"}:  # What the others need.
            change(jones.directory.by(CHIEF), jones)
    entries: Any = redis.xrange(KEY)
    assert len(entries) == len(CHANGES) - 3
    for _, fields in entries:
        assert tuple(name.decode() for name in fields) == FIELDS
        assert fields[b"act"].decode() in ACTS


def test_what_is_done_to_a_thread_is_written_in_the_same_form(redis: Redis, store: ThreadStore, audit: Audit) -> None:
    for group in (Group(7, "acme"), None):
        redis.delete(KEY)
        thread = store.create(new_thread(redis, group=group))
        store.cancel(thread, CHIEF)
        store.delete(thread, CHIEF)
        entries: Any = redis.xrange(KEY)
        assert {tuple(name.decode() for name in fields) for _, fields in entries} == {FIELDS}
        done = written(audit)
        assert [entry.act for entry in done] == ["thread.delete", "thread.cancel", "thread.start"]
        assert {(entry.subject, entry.subject_id) for entry in done} == {("A thread", thread)}
        assert {(entry.group, entry.groupname) for entry in done} == {("7", "acme") if group else ("", "")}
        assert {entry.reason for entry in done[:2]} == {"Ticket 4711"}


def test_a_session_is_written_down_from_its_start_to_its_end(jones: People, audit: Audit) -> None:
    directory = jones.directory
    member, session = directory.sign_in("Manager", PASSWORD, address="192.0.2.8")
    directory.end_session(session, 60, address="192.0.2.9")
    directory.end_session(session, 60, address="192.0.2.9")
    directory.sign_in_from(Identity("https://id.example.org", "A1"), "manager", address="192.0.2.8")
    outside, bound, ended, started = written(audit)
    assert (told(started), started.address) == (("session.start", "manager", "", "by password"), "192.0.2.8")
    assert (told(ended), ended.address) == (("session.end", "manager", "", ""), "192.0.2.9")
    assert told(outside) == ("session.start", "manager", "", "by id.example.org")
    assert told(bound) == ("member.bind", "manager", "", "A1 of https://id.example.org")
    assert {(entry.by, entry.byid) for entry in (started, ended, bound, outside)} == {("manager", str(member.id))}


def test_a_wrong_password_is_not_written_down_but_the_lock_that_it_ends_in_is(
    jones: People, audit: Audit, redis: Redis, config: Config
) -> None:
    directory = Directory(redis, throttles=Throttles(redis, config), config=replace(config, lock_after=3))
    for turn in range(3):
        assert written(audit) == []
        with pytest.raises(NotSignedIn):
            directory.sign_in("guest", f"wrong password {turn}", address="203.0.113.5")
    with pytest.raises(NotSignedIn):
        directory.identify(Password("guest", PASSWORD), address="203.0.113.5")
    (locked,) = written(audit)
    assert told(locked) == ("account.locked", "guest", "", "for 60 s, after 3 wrong passwords in a row")
    assert (locked.by, locked.byid, locked.address) == ("", "", "203.0.113.5")
    assert directory.by(CHIEF).unlock(jones.members["guest"])
    assert told(written(audit)[0]) == ("account.unlocked", "guest", "", "")


def test_a_long_or_hostile_reason_is_cut_and_cleaned(jones: People, audit: Audit) -> None:
    for number, reason in enumerate((" \x00\ud800\x1b[31m " + "x" * 10_000, "é\u202e\U0001f600 'quoted' \"twice\" {}")):
        jones.directory.by(replace(CHIEF, reason=reason)).add_group(f"group{number}")
    kept, cut = written(audit)
    assert cut.reason.startswith("\ufffd\ufffd\ufffd[31m xxx")
    assert LONGEST < len(cut.reason) < LONGEST + 50
    assert kept.reason == "é\u202e\U0001f600 'quoted' \"twice\" {}"


def test_what_is_older_than_the_retention_goes(jones: People, redis: Redis, audit: Audit) -> None:
    for number in range(500):
        redis.xadd(KEY, dict.fromkeys(FIELDS, "x"), id=f"{1_000 + number}-0")
    Directory(redis, config=Config(audit_retention=3600)).by(CHIEF).add_group("news")
    assert len(written(audit)) < 200
    assert written(audit)[0].act == "group.add"
