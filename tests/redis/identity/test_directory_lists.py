"""The lists of the directory that are found by name and read in parts, and who cannot be removed from them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis import Redis

from psthreads.audit.entries import SETUP, Origin
from psthreads.domain.access import Group, Member, Role
from psthreads.domain.config import Config
from psthreads.domain.errors import Conflict, MemberNotFound
from psthreads.identity.directory import Directory
from psthreads.identity.passwords import Passwords
from psthreads.identity.records import DirectoryPage, Membership

PASSWORD = "correct horse"
STRICT = Config(lock_after=1)
NAMES = ["Abe", "abel", "ab-c", "ab.c", "ab@c", "ab_c", "7up", "_x", "zoe", "ABBA", "a", "ba"]
SORTED = sorted(NAMES, key=str.lower)


class Quick(Passwords):
    """Hashes nothing: hundreds of members are added here."""

    def hash(self, password: str) -> str:  # noqa: ARG002 (as its base has it)
        return "hash"


@pytest.fixture
def directory(redis: Redis) -> Directory:
    return Directory(redis, Quick())


def usernames(directory: Directory, prefix: str = "", size: int = 50) -> list[str]:
    """All that are found, by as many parts as it takes."""
    found: list[str] = []
    part = directory.find_members(prefix, "", size)
    while True:
        assert len(part.items) <= size
        found += [account.member.username for account in part.items]
        if not part.after:
            return found
        part = directory.find_members(prefix, part.after, size)


def test_members_and_groups_are_found_by_how_their_names_begin_without_regard_to_case(directory: Directory) -> None:
    for name in NAMES:
        directory.by(SETUP).add_member(name, PASSWORD)
        directory.by(SETUP).add_group(name)
    for prefix in ("", "a", "AB", "ab.", "ab_", "7", "_", "zoe", "zoe2", "z"):
        expected = [name for name in SORTED if name.lower().startswith(prefix.lower())]
        for size in (1, 2, 3, 50):
            assert usernames(directory, prefix, size) == expected
        assert [group.name for group in directory.find_groups(prefix).items] == expected


@pytest.mark.parametrize(
    "prefix", ["*", "[a", "a b", "a\n", "\x00", "\ud800", "é", "x" * 65, "a\xff", "(", "~a", "+", "<b>"]
)
def test_a_beginning_that_no_name_has_finds_nothing(directory: Directory, prefix: str) -> None:
    directory.by(SETUP).add_member("abe", PASSWORD)
    group, member = directory.by(SETUP).add_group("abe"), directory.find_member("abe")
    assert directory.find_members(prefix) == DirectoryPage(())
    assert directory.find_groups(prefix) == DirectoryPage(())
    assert directory.find_members_of(group, prefix) == directory.find_memberships(member, prefix) == DirectoryPage(())


@pytest.mark.parametrize("after", ["*", "a b", "\x00", "(zzz", "x" * 65])
def test_a_place_that_no_name_is_at_begins_at_the_beginning_and_never_leaves_the_search(
    directory: Directory, after: str
) -> None:
    for name in ("abe", "zoe"):
        directory.by(SETUP).add_member(name, PASSWORD)
    assert [one.member.username for one in directory.find_members("", after).items] == ["abe", "zoe"]
    assert [one.member.username for one in directory.find_members("z", "abe").items] == ["zoe"]
    assert directory.find_members("a", "zoe").items == ()


def test_an_account_says_whether_it_is_locked_and_when_it_was_made(directory: Directory, redis: Redis) -> None:
    member = directory.by(SETUP).add_member("abe", PASSWORD, admin=True)
    Directory(redis, config=STRICT)._run("guessed", "abe", SETUP.fields())
    account = directory.account("~ABE")
    assert account.member == member
    assert 0 < account.created <= account.locked
    assert directory.find_members().items == directory.locked() == (account,)
    assert directory.by(SETUP).unlock(member)
    assert directory.locked() == ()
    assert directory.account("1").locked == 0
    with pytest.raises(MemberNotFound):
        directory.account("nobody")


def test_the_latest_locks_come_first_and_are_as_many_as_are_asked_for(directory: Directory, redis: Redis) -> None:
    for number in range(5):
        directory.by(SETUP).add_member(f"m{number}", PASSWORD)
        Directory(redis, config=STRICT)._run("guessed", f"m{number}", SETUP.fields())
        redis.zadd("ps:locked", {str(number + 1): 1e14 + number})
    assert [account.member.id for account in directory.locked(2)] == [5, 4]
    assert len(directory.locked()) == 5
    directory.by(SETUP).remove_member(Member(5, "m4"))
    assert [account.member.id for account in directory.locked(2)] == [4, 3]


def test_memberships_are_found_from_both_sides(directory: Directory) -> None:
    changes = directory.by(SETUP)
    members = [changes.add_member(name, PASSWORD) for name in NAMES]
    groups = [changes.add_group(f"g-{name}") for name in NAMES]
    for member in members:
        changes.set_membership(member, groups[0], Role.GUEST)
    for group in groups:
        changes.set_membership(members[0], group, Role.MANAGER)
    first = directory.find_members_of(groups[0], "", "", 5)
    rest = directory.find_members_of(groups[0], "", first.after, 50)
    assert [one.member.username for one in (*first.items, *rest.items)] == SORTED
    assert {*first.items, *rest.items} == set(directory.members_of(groups[0]))
    assert [one.group.name for one in directory.find_memberships(members[0], "G-AB").items] == [
        f"g-{name}" for name in SORTED if name.lower().startswith("ab")
    ]
    assert directory.find_memberships(members[1]).items == (Membership(members[1], groups[0], Role.GUEST),)
    changes.remove_membership(members[1], groups[0])
    changes.remove_member(members[2])
    changes.remove_group(groups[3])
    assert directory.find_memberships(members[1]) == DirectoryPage(())
    assert len(directory.find_members_of(groups[0]).items) == len(NAMES) - 2
    assert len(directory.find_memberships(members[0]).items) == len(NAMES) - 1
    assert directory.find_members_of(groups[3]) == DirectoryPage(())


def test_what_was_stored_before_there_were_sorted_lists_is_found_too(directory: Directory, redis: Redis) -> None:
    changes = directory.by(SETUP)
    group = changes.add_group("acme")
    for name in NAMES:
        changes.set_membership(changes.add_member(name, PASSWORD, admin=name in {"a", "zoe"}), group, Role.GUEST)
    redis.delete("ps:member-names", "ps:group-names", "ps:administrators", f"ps:members-by-name:{group.id}")
    changes.add_member("later", PASSWORD, admin=True)
    assert usernames(directory) == sorted([*NAMES, "later"], key=str.lower)
    assert [one.name for one in directory.find_groups().items] == ["acme"]
    assert [one.member.username for one in directory.find_members_of(group).items] == SORTED
    assert redis.scard("ps:administrators") == 3


def test_a_search_costs_redis_the_same_however_many_there_are(directory: Directory, redis: Redis) -> None:
    changes = directory.by(SETUP)
    group = changes.add_group("big")

    def cost() -> dict[str, int]:
        redis.config_resetstat()
        assert len(directory.find_members("m").items) == len(directory.find_members_of(group, "m").items) == 50
        stats: Any = redis.info("commandstats")
        return {name: stat["calls"] for name, stat in stats.items()}

    for number in range(60):
        changes.set_membership(changes.add_member(f"m{number}", PASSWORD), group, Role.GUEST)
    cost()  # Redis knows the scripts from then on.
    few = cost()
    for number in range(60, 600):
        changes.set_membership(changes.add_member(f"m{number}", PASSWORD), group, Role.GUEST)
    assert cost() == few
    assert few["cmdstat_evalsha"] == 2


def test_names_are_given_of_those_that_there_are(directory: Directory) -> None:
    member, group = directory.by(SETUP).add_member("abe", PASSWORD), directory.by(SETUP).add_group("acme")
    asked = [("member", member.id), ("group", group.id), ("group", 99), ("member", member.id)]
    assert directory.names(asked) == {("member", 1): "abe", ("group", 1): "acme"}
    assert directory.names([]) == {}


# Administrators.


@pytest.fixture
def chief(directory: Directory) -> Member:
    return directory.by(SETUP).add_member("chief", PASSWORD, admin=True)


def by(member: Member) -> Origin:
    return Origin(member.username, member.id)


def test_an_administrator_can_neither_remove_nor_demote_themselves(directory: Directory, chief: Member) -> None:
    other = directory.by(SETUP).add_member("other", PASSWORD, admin=True)
    with pytest.raises(Conflict, match="You cannot remove yourself"):
        directory.by(by(chief)).remove_member(chief)
    with pytest.raises(Conflict, match="You cannot take the administrator's rights from yourself"):
        directory.by(by(chief)).set_admin(chief, admin=False)
    assert directory.account("chief").member.admin
    directory.by(by(chief)).set_admin(other, admin=False)
    directory.by(by(chief)).remove_member(other)


def test_the_last_administrator_stays_whoever_else_asks(directory: Directory, chief: Member) -> None:
    late = by(Member(99, "late"))  # who was an administrator when the request began
    for attempt in (
        lambda: directory.by(late).remove_member(chief),
        lambda: directory.by(late).set_admin(chief, admin=False),
    ):
        with pytest.raises(Conflict, match="'chief' is the last administrator"):
            attempt()
    assert directory.find_member("chief").admin


def test_of_two_administrators_who_demote_each_other_at_once_one_stays(directory: Directory, redis: Redis) -> None:
    for turn in range(10):
        pair = [directory.by(SETUP).add_member(f"{name}{turn}", PASSWORD, admin=True) for name in ("a", "b")]

        def demote(who: int, pair: list[Member] = pair) -> bool:
            try:
                Directory(redis).by(by(pair[who])).set_admin(pair[1 - who], admin=False)
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(demote, range(2))).count(True) == 1
        for member in pair:
            directory.by(SETUP).remove_member(member)


def test_the_command_line_may_remove_the_last_administrator(directory: Directory, chief: Member, redis: Redis) -> None:
    directory.by(Origin("console:root")).set_admin(chief, admin=False)
    assert not directory.find_member("chief").admin
    assert redis.scard("ps:administrators") == 0
    directory.by(Origin("console:root")).set_admin(chief, admin=True)
    directory.by(Origin("console:root")).remove_member(chief)
    assert redis.scard("ps:administrators") == 0


def test_a_group_whose_members_are_gone_leaves_nothing_behind(directory: Directory, redis: Redis) -> None:
    changes = directory.by(SETUP)
    member, group = changes.add_member("abe", PASSWORD, admin=True), changes.add_group("acme")
    changes.set_membership(member, group, Role.GUEST)
    changes.create_token(member, "t")
    changes.add_client(member, "c")
    Directory(redis, config=STRICT)._run("guessed", "abe", SETUP.fields())
    changes.remove_group(Group(group.id, "acme"))
    changes.remove_member(member)
    kept = {b"ps:last-id:member", b"ps:last-id:group", b"ps:access", b"ps:feed", b"ps:audit"}
    left: Any = redis.keys()
    assert {key for key in left if not key.startswith(b"ps:token:")} == kept
