from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from psthreads.audit.entries import SETUP
from psthreads.domain.access import Caller, Group, Member, Role
from psthreads.domain.errors import (
    BadParameter,
    Conflict,
    GroupNotFound,
    MemberNotFound,
    NotFound,
    NotSignedIn,
    Unavailable,
)
from psthreads.identity.credentials import Credential, Password, Token
from psthreads.identity.directory import Directory
from psthreads.identity.records import Membership

PASSWORD = "correct horse"
HOSTILE = [
    *("", " ", "a b", "a\n", "a\0b", "~", "~~jones", "-rf", "..", ".", "../acme", "a/b", "a:b", "a*", "[a]"),
    *("<b>", "é", "\u0430cme", "a\u202e", "\ud800", "x" * 65, "x" * 1_000_000, "ps:member:1", "-1", "١٢", "²"),
]


@pytest.fixture
def directory(redis: Redis) -> Directory:
    return Directory(redis)


@pytest.fixture
def jones(directory: Directory) -> Member:
    return directory.by(SETUP).add_member("jjones", PASSWORD)


@pytest.fixture
def acme(directory: Directory) -> Group:
    return directory.by(SETUP).add_group("acme")


def refused(directory: Directory, credential: Credential, group: str | None = None) -> str:
    with pytest.raises(NotSignedIn) as caught:
        directory.identify(credential, group)
    return caught.value.message


# Members.


def test_a_member_is_found_by_name_and_id_with_and_without_a_tilde(directory: Directory, jones: Member) -> None:
    assert jones == Member(1, "jjones")
    for ref in ("jjones", "~jjones", "1", "~1", "JJones"):
        assert directory.find_member(ref) == jones


def test_members_are_listed_by_id(directory: Directory) -> None:
    added = [directory.by(SETUP).add_member(name, PASSWORD, admin=name == "root") for name in ("zoe", "root", "abe")]
    assert list(directory.members()) == added
    assert [member.admin for member in added] == [False, True, False]


def test_of_many_adding_the_same_name_at_once_one_succeeds(redis: Redis) -> None:
    def add(name: str) -> int | None:
        try:
            return Directory(redis).by(SETUP).add_member(name, PASSWORD).id
        except Conflict:
            return None

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(add, ["jjones", "JJones"] * 12))
    assert len(ids) - ids.count(None) == 1
    assert len(Directory(redis).members()) == 1


def test_an_add_that_is_sent_again_finds_its_own_work(directory: Directory, redis: Redis) -> None:
    run = directory.by(SETUP)._run
    group = {"kind": "group", "key": "acme", "name": "acme", "nonce": "nonce", "above": 0, "fields": {"name": "acme"}}
    first, again = (run("add", {**group, "origin": SETUP.fields()}) for _ in range(2))
    assert int(first) == int(again) == 1
    with pytest.raises(Conflict, match="already"):
        directory.by(SETUP).add_group("ACME")


@pytest.mark.parametrize("name", [*HOSTILE, "123", "0"])
def test_a_hostile_name_is_refused_for_a_member_and_a_group(directory: Directory, name: str) -> None:
    with pytest.raises(BadParameter) as caught:
        directory.by(SETUP).add_member(name, PASSWORD)
    assert caught.value.name == "username"
    with pytest.raises(BadParameter) as caught:
        directory.by(SETUP).add_group(name)
    assert caught.value.name == "group"
    assert not directory.members()
    assert not directory.groups()


@pytest.mark.parametrize("ref", [*HOSTILE, "007", "9" * 400, "?"])
def test_a_hostile_reference_is_not_found(directory: Directory, jones: Member, acme: Group, ref: str) -> None:
    with pytest.raises(MemberNotFound):
        directory.find_member(ref)
    with pytest.raises(GroupNotFound):
        directory.find_group(ref)
    token = Token(directory.by(SETUP).create_token(jones, "t"))
    with pytest.raises(GroupNotFound):
        directory.identify(token, ref)
    refused(directory, Password(ref, PASSWORD))
    refused(directory, Token(ref))


def test_any_safe_name_will_do(directory: Directory) -> None:
    for name in ("a", "x" * 64, "j.jones@acme-corp.example", "_service", "7up", "Jones"):
        member = directory.by(SETUP).add_member(name, PASSWORD)
        assert directory.find_member(name) == directory.find_member(name.upper()) == member
        assert directory.identify(Password(name.upper(), PASSWORD)).member == member


def test_a_short_password_is_refused_and_adds_nobody(directory: Directory) -> None:
    with pytest.raises(BadParameter, match="10 to"):
        directory.by(SETUP).add_member("jjones", "short")
    assert directory.members() == ()


def test_the_id_of_a_removed_member_or_group_is_never_given_again(
    directory: Directory, jones: Member, acme: Group
) -> None:
    directory.by(SETUP).remove_member(jones)
    directory.by(SETUP).remove_group(acme)
    assert directory.by(SETUP).add_member("jjones", PASSWORD).id > jones.id
    assert directory.by(SETUP).add_group("acme").id > acme.id


def test_whatever_is_done_to_a_removed_member_says_so_and_brings_nothing_back(
    directory: Directory, redis: Redis, jones: Member, acme: Group
) -> None:
    directory.by(SETUP).remove_member(jones)
    for attempt in (
        lambda: directory.by(SETUP).change_password(jones, "another horse"),
        lambda: directory.by(SETUP).set_admin(jones, admin=True),
        lambda: directory.by(SETUP).sign_out_everywhere(jones),
        lambda: directory.by(SETUP).set_membership(jones, acme, Role.GUEST),
        lambda: directory.by(SETUP).remove_membership(jones, acme),
        lambda: directory.by(SETUP).create_token(jones, "t"),
        lambda: directory.by(SETUP).remove_member(jones),
    ):
        with pytest.raises(MemberNotFound):
            attempt()
    assert directory.members() == ()
    assert directory.memberships(jones) == ()
    assert directory.tokens(jones) == ()
    left = {b"ps:group:1", b"ps:groupnames", b"ps:group-names", b"ps:last-id:group", b"ps:last-id:member"}
    assert set(redis.keys()) - {b"ps:access", b"ps:feed", b"ps:audit"} == left


# Groups and memberships.


def test_a_group_is_found_by_name_and_id(directory: Directory, acme: Group) -> None:
    assert acme == Group(1, "acme")
    for ref in ("acme", "1", "Acme"):
        assert directory.find_group(ref) == acme
    beta = directory.by(SETUP).add_group("beta")
    assert directory.groups() == (acme, beta)


def test_of_many_adding_the_same_group_at_once_one_succeeds(redis: Redis) -> None:
    def add(_: int) -> bool:
        try:
            Directory(redis).by(SETUP).add_group("acme")
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(add, range(64))).count(True) == 1


def test_memberships_show_from_both_sides(directory: Directory, jones: Member, acme: Group) -> None:
    beta, ruth = directory.by(SETUP).add_group("beta"), directory.by(SETUP).add_member("ruth", PASSWORD)
    for member, group, role in (
        (ruth, acme, Role.APPROVER),
        (jones, beta, Role.GUEST),
        (jones, acme, Role.REVIEWER),
        (jones, acme, Role.MODERATOR_AND_APPROVER),
    ):
        assert directory.by(SETUP).set_membership(member, group, role) == Membership(member, group, role)
    assert directory.memberships(jones) == (
        Membership(jones, acme, Role.MODERATOR_AND_APPROVER),
        Membership(jones, beta, Role.GUEST),
    )
    assert directory.members_of(acme) == (
        Membership(jones, acme, Role.MODERATOR_AND_APPROVER),
        Membership(ruth, acme, Role.APPROVER),
    )


def test_a_membership_that_ended_gives_no_role(directory: Directory, jones: Member, acme: Group) -> None:
    token = Token(directory.by(SETUP).create_token(jones, "t"))
    directory.by(SETUP).set_membership(jones, acme, Role.MANAGER)
    assert directory.identify(token, "acme") == Caller(jones, acme, Role.MANAGER)
    directory.by(SETUP).remove_membership(jones, acme)
    assert directory.identify(token, "acme") == Caller(jones, acme, None)
    assert directory.memberships(jones) == directory.members_of(acme) == ()
    with pytest.raises(NotFound, match="no membership"):
        directory.by(SETUP).remove_membership(jones, acme)


def test_removing_a_group_or_a_member_ends_its_memberships(
    directory: Directory, redis: Redis, jones: Member, acme: Group
) -> None:
    beta = directory.by(SETUP).add_group("beta")
    directory.by(SETUP).set_membership(jones, acme, Role.GUEST)
    directory.by(SETUP).set_membership(jones, beta, Role.GUEST)
    directory.by(SETUP).remove_group(acme)
    assert [it.group for it in directory.memberships(jones)] == [beta]
    with pytest.raises(GroupNotFound):
        directory.by(SETUP).remove_group(acme)
    with pytest.raises(GroupNotFound):
        directory.by(SETUP).set_membership(jones, acme, Role.GUEST)
    directory.by(SETUP).remove_member(jones)
    assert directory.members_of(beta) == ()
    assert not redis.keys("ps:member*:*")


# Redis.


def test_a_server_that_was_started_again_is_given_the_scripts_again(
    directory: Directory, redis: Redis, jones: Member
) -> None:
    token = Token(directory.by(SETUP).create_token(jones, "t"))
    directory.identify(token)
    redis.script_flush()
    assert directory.identify(token).member == jones


def test_without_redis_everything_says_that_the_store_is_away(tmp_path: Path) -> None:
    with Redis(unix_socket_path=str(tmp_path / "no.sock"), retry=Retry(NoBackoff(), 0)) as nobody:
        directory = Directory(nobody)
        for attempt in (
            lambda: directory.identify(Token("t")),
            lambda: directory.identify_with(Token("t"), None, "x", "y"),
            lambda: directory.by(SETUP).add_group("acme"),
            directory.members,
        ):
            with pytest.raises(Unavailable):
                attempt()
