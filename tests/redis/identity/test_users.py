"""The users of an application become members, groups and roles, whoever notes them first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from redis import Redis

from psthreads.identity.directory import Directory
from psthreads.identity.users import User, Users
from tests.support.speed import QuickHashes

GROUPS = {f"group-{number}": "manager" for number in range(6)}


def test_many_processes_that_note_one_user_at_once_agree(redis: Redis) -> None:
    directory = Directory(redis, QuickHashes())
    processes = [Users(Directory(redis, QuickHashes()), "program:shop") for _ in range(8)]
    for groups in (GROUPS, {}, GROUPS):
        user = User("jjones", groups=groups, admin=bool(groups))
        with ThreadPoolExecutor(8) as pool:
            done = [pool.submit(process.note, user) for process in processes]
        for each in done:
            each.result()
        member = directory.find_member("jjones")
        roles = {each.group.name: each.role.value for each in directory.memberships(member)}
        assert (roles, member.admin) == (groups, bool(groups))


def test_a_user_who_has_not_changed_costs_no_trip_for_a_while(redis: Redis) -> None:
    users = Users(Directory(redis, QuickHashes()), "program:shop")
    users.note(User("jjones", groups=GROUPS))
    before = redis.info("stats")["total_commands_processed"]
    users.note(User("jjones", groups=GROUPS))
    assert redis.info("stats")["total_commands_processed"] - before == 1  # this one
