"""Roles, and the one rule that decides who may see, start and cancel what. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from psthreads.model import SERVER_WIDE, Thread


class Role(Enum):
    """What a membership allows, lowest first; the values are the words on the wire."""

    GUEST = "guest"
    REVIEWER = "reviewer"
    CONTRIBUTOR = "contributor"
    MANAGER = "manager"
    MODERATOR = "moderator"
    APPROVER = "approver"
    MODERATOR_AND_APPROVER = "moderator-and-approver"

    def allows(self, needed: Role) -> bool:
        """Whether this role is at least the needed one."""
        return _ORDER[self] >= _ORDER[needed]


_ORDER = {role: position for position, role in enumerate(Role)}


@dataclass(frozen=True, slots=True)
class Member:
    """A person or program that signs in."""

    id: int
    username: str
    admin: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """The unit of access."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Sight:
    """Who asks, through which group if any, and the role that the membership there gives."""

    member: Member
    group: Group | None = None
    role: Role | None = None


def may_use_server(sight: Sight) -> bool:
    """Whether the server-level services are open to whoever asks."""
    return sight.member.admin


def may_use_group(sight: Sight, needed: Role = Role.CONTRIBUTOR) -> bool:
    """Whether the services of the sight's group are open: by role, or to an administrator."""
    if sight.group is None:
        return False
    return sight.member.admin or (sight.role is not None and sight.role.allows(needed))


def may_start(sight: Sight, needed: Role) -> bool:
    """Whether a process that needs this role may be started: in the sight's group, or else on the whole server."""
    return may_use_server(sight) if sight.group is None else may_use_group(sight, needed)


def may_act_as(sight: Sight, member: Member) -> bool:
    """Whether whoever asks may start something under this member's name."""
    return sight.member.admin or sight.member.id == member.id


def sees_details(sight: Sight) -> bool:
    """Whether whoever asks sees the tracebacks in a log; others see their first line."""
    return sight.member.admin


def shows(sight: Sight, thread: Thread, *, own_progress: bool = False) -> bool:
    """Whether this thread exists for whoever asks; where not, it looks absent.

    In a group only that group's threads do. At server level all do for an administrator, and with
    `own_progress` those that the member started.
    """
    if sight.group is not None:
        return may_use_group(sight) and thread.group_id == sight.group.id != SERVER_WIDE
    return may_use_server(sight) or (own_progress and thread.member_id == sight.member.id)
