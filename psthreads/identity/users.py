"""The users of a program that psthreads is a part of: they become members and groups here, as that program says."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from psthreads.audit.entries import Origin
from psthreads.domain.access import Group, Member, Role
from psthreads.domain.errors import BadParameter, Conflict, GroupNotFound, MemberNotFound, NotAllowed, NotFound
from psthreads.identity.credentials import check_name_is_no_id
from psthreads.identity.directory import Directory

_MOST_GROUPS: Final = 1_000
_FRESH_SECONDS: Final = 15.0
_MOST_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class User:
    """A user of your program: the member's name here, the role in each group by its name, and the administrator's flag.

    Names have 1 to 64 ASCII letters, digits and `_.@-`, and are unique without regard to case. Roles are those of
    psthreads, as words: "guest", "reviewer", "contributor", "manager", "moderator", "approver",
    "moderator-and-approver". Raises ValueError for a name or a role that cannot be one, and for more than 1,000 groups.
    """

    member: str
    groups: Mapping[str, Role | str] = field(default_factory=dict)
    admin: bool = False

    def __post_init__(self) -> None:
        if len(self.groups) > _MOST_GROUPS:
            raise ValueError(f"A user has {len(self.groups):,} groups: give at most {_MOST_GROUPS:,}")
        try:
            check_name_is_no_id("member", self.member)
            for name in self.groups:
                check_name_is_no_id("group", name)
        except BadParameter as problem:
            raise ValueError(f"The {problem.name} of a user: {problem.message}") from None
        words = {role.value for role in Role}
        for name, role in self.groups.items():
            if not isinstance(role, Role) and role not in words:
                raise ValueError(
                    f"There is no role '{role}', as in group '{name}': use one of {', '.join(sorted(words))}"
                )
        # What the caller does with its own mapping afterwards changes nothing here.
        object.__setattr__(self, "groups", {name: Role(role) for name, role in self.groups.items()})

    @property
    def roles(self) -> dict[str, Role]:
        """The role in each group."""
        return {name: Role(role) for name, role in self.groups.items()}


class Users:
    """Keeps the directory as the program says. `name` is the program's, for the audit."""

    def __init__(self, directory: Directory, name: str) -> None:
        self._directory = directory
        self._changes = directory.by(Origin(name))
        self._seen: OrderedDict[str, tuple[User, float]] = OrderedDict()

    def note(self, user: User) -> None:
        """Have the member, the groups and the roles in the directory, and no other roles of this member.

        What was so within the last 15 s is not looked up again. Raises NotAllowed where a name differs from one that is
        taken in its case alone, since both would get the same rights.
        """
        seen, until = self._seen.get(user.member, (None, 0.0))
        if seen == user and time.monotonic() < until:
            return
        member = self._member(user)
        if member.admin != user.admin:
            self._changes.set_admin(member, admin=user.admin)
        current = {each.group.name: each for each in self._directory.memberships(member)}
        roles = user.roles
        for name, role in roles.items():
            if name not in current:
                self._changes.set_membership(member, self._group(name), role)
            elif current[name].role is not role:
                self._changes.set_membership(member, current[name].group, role)
        for name, membership in current.items():
            if name not in roles:
                with suppress(NotFound):  # Another process was faster.
                    self._changes.remove_membership(member, membership.group)
        self._seen.pop(user.member, None)  # The latest are the last.
        self._seen[user.member] = user, time.monotonic() + _FRESH_SECONDS
        while len(self._seen) > _MOST_REMEMBERED:
            self._seen.popitem(last=False)

    def _member(self, user: User) -> Member:
        try:
            member = self._directory.find_member(user.member)
        except MemberNotFound:
            try:
                return self._changes.add_member(user.member, None, admin=user.admin)
            except Conflict:  # Another process was faster.
                member = self._directory.find_member(user.member)
        _check_case(user.member, member.username)
        return member

    def _group(self, name: str) -> Group:
        try:
            group = self._directory.find_group(name)
        except GroupNotFound:
            try:
                return self._changes.add_group(name)
            except Conflict:
                group = self._directory.find_group(name)
        _check_case(name, group.name)
        return group


def _check_case(name: str, other: str) -> None:
    if name != other:
        raise NotAllowed(f"'{name}' differs from '{other}' in its case alone: names must differ in more than that.")
