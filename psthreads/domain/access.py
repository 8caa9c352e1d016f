"""Roles, and the one rule that decides who may see, start and cancel what. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from psthreads.domain.model import SERVER_WIDE, Thread


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
class TokenScope:
    """To what a token narrows its member: to reading, to acting, and to the groups of these ids."""

    read: bool = True
    act: bool = True
    groups: frozenset[int] | None = None

    def covers(self, group_id: int) -> bool:
        """Whether what belongs to the group is within reach."""
        return self.groups is None or group_id in self.groups

    def within(self, other: TokenScope) -> bool:
        """Whether this allows nothing that the other does not."""
        in_groups = other.groups is None or (self.groups is not None and self.groups <= other.groups)
        return self.read <= other.read and self.act <= other.act and in_groups


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, through which group if any, the role that the membership there gives, and what narrows it if anything.

    The rules below know the reach: what a token does not reach is as closed as what its member may not do.
    """

    member: Member
    group: Group | None = None
    role: Role | None = None
    token_scope: TokenScope | None = None


def scope_problem(caller: Caller, *, acts: bool) -> str:
    """Why the token does not reach this, which only reads or also acts, as a sentence; empty where it does."""
    token_scope = caller.token_scope
    if token_scope is None:
        return ""
    if acts and not token_scope.act:
        return "This token may only read: use one that may act."
    if not (acts or token_scope.read):
        return "This token may only act: use one that may read."
    if caller.group is not None and not token_scope.covers(caller.group.id):
        return f"This token is for other groups than '{caller.group.name}': use one that is for it."
    return ""


def may_use_server(caller: Caller) -> bool:
    """Whether the server-level services are open to whoever asks; to a token that is for some groups, they are not."""
    return caller.member.admin and (caller.token_scope is None or caller.token_scope.groups is None)


def may_use_group(caller: Caller, needed: Role = Role.CONTRIBUTOR) -> bool:
    """Whether the services of the sight's group are open: by role, or to an administrator."""
    if caller.group is None or not (caller.token_scope is None or caller.token_scope.covers(caller.group.id)):
        return False
    return caller.member.admin or (caller.role is not None and caller.role.allows(needed))


def may_start(caller: Caller, needed: Role) -> bool:
    """Whether a process that needs this role may be started: in the sight's group, or else on the whole server."""
    return may_use_server(caller) if caller.group is None else may_use_group(caller, needed)


def may_delete(caller: Caller) -> bool:
    """Whether threads that have ended may be deleted: by managers and higher in a group, and by administrators."""
    return may_use_server(caller) if caller.group is None else may_use_group(caller, Role.MANAGER)


def may_act_as(caller: Caller, member: Member) -> bool:
    """Whether whoever asks may start something under this member's name."""
    return caller.member.admin or caller.member.id == member.id


def sees_details(caller: Caller) -> bool:
    """Whether whoever asks sees the tracebacks in a log; others see their first line."""
    return caller.member.admin


def shows(caller: Caller, thread: Thread, *, own_progress: bool = False) -> bool:
    """Whether this thread exists for whoever asks; where not, it looks absent.

    In a group only that group's threads do. At server level all do for an administrator, and with
    `own_progress` those that the member started.
    """
    if caller.group is not None:
        return may_use_group(caller) and thread.group_id == caller.group.id != SERVER_WIDE
    is_own = thread.member_id == caller.member.id and (
        caller.token_scope is None or caller.token_scope.covers(thread.group_id)
    )
    return may_use_server(caller) or (own_progress and is_own)
