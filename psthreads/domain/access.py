"""Roles, and the rules of access: who may see, start, cancel and delete what. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from psthreads.domain.model import SERVER_WIDE, Thread


class Role(Enum):
    """The permissions of a membership, lowest first; the values are the words on the wire."""

    GUEST = "guest"
    REVIEWER = "reviewer"
    CONTRIBUTOR = "contributor"
    MANAGER = "manager"
    MODERATOR = "moderator"
    APPROVER = "approver"
    MODERATOR_AND_APPROVER = "moderator-and-approver"

    def allows(self, minimum: Role) -> bool:
        """Return whether this role is the minimum or a higher one."""
        return _ORDER[self._value_] >= _ORDER[minimum._value_]


_ORDER = {role.value: position for position, role in enumerate(Role)}  # not by role: its hash is no text's


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
    """The part of its member's permissions that a token has: reading, acting, and the groups with these ids, or all."""

    read: bool = True
    act: bool = True
    groups: frozenset[int] | None = None

    def covers(self, group_id: int) -> bool:
        """Return whether the scope includes the group."""
        return self.groups is None or group_id in self.groups

    def within(self, other: TokenScope) -> bool:
        """Return whether this scope permits nothing that the other does not."""
        in_groups = other.groups is None or (self.groups is not None and self.groups <= other.groups)
        return self.read <= other.read and self.act <= other.act and in_groups


class Proof(Enum):
    """What shows that the member sends the request, and not somebody who has found a credential."""

    NONE = "none"
    SESSION = "session"
    RECENT = "recent"
    """A session whose member has proven the password, or signed in at the provider, a short while ago."""

    @classmethod
    def of(cls, *, has_session: bool, is_recent: bool) -> Proof:
        """Return the proof that a credential is. A token and HTTP Basic are none, since programs keep them."""
        return cls.NONE if not has_session else cls.RECENT if is_recent else cls.SESSION


@dataclass(frozen=True, slots=True)
class Caller:
    """The member who sends a request, with the group of the request, the role there, and the scope of the token.

    Each is None where there is none. The rules below treat what the token's scope excludes as what the member may not
    do.
    """

    member: Member
    group: Group | None = None
    role: Role | None = None
    token_scope: TokenScope | None = None


def scope_problem(caller: Caller, *, acts: bool) -> str:
    """Return a sentence where the token's scope excludes the request, which only reads or also acts; else ''."""
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
    """Return whether the caller may use the server-level services. A token for certain groups may not."""
    return caller.member.admin and (caller.token_scope is None or caller.token_scope.groups is None)


def may_use_group(caller: Caller, minimum: Role = Role.CONTRIBUTOR) -> bool:
    """Return whether the caller may use the services of the request's group, by role or as an administrator."""
    if caller.group is None or not (caller.token_scope is None or caller.token_scope.covers(caller.group.id)):
        return False
    return caller.member.admin or (caller.role is not None and caller.role.allows(minimum))


def may_start(caller: Caller, minimum: Role) -> bool:
    """Return whether the caller may start a process with this minimum role, in the group or on the whole server."""
    return may_use_server(caller) if caller.group is None else may_use_group(caller, minimum)


def may_delete(caller: Caller) -> bool:
    """Return whether the caller may delete ended threads: a manager or higher in a group, and an administrator."""
    return may_use_server(caller) if caller.group is None else may_use_group(caller, Role.MANAGER)


def may_change_access(caller: Caller, proof: Proof) -> bool:
    """Return whether the caller may make or change credentials, roles, members or groups, as far as others allow it.

    Whatever is made outlasts the credential in use, so that must be as wide as its member, and used by its member.
    """
    return proof is Proof.RECENT and caller.token_scope is None


def may_act_as(caller: Caller, member: Member) -> bool:
    """Return whether the caller may start a thread in this member's name."""
    return caller.member.admin or caller.member.id == member.id


def sees_details(caller: Caller) -> bool:
    """Return whether the caller sees the tracebacks in a log, and not only their first lines."""
    return caller.member.admin


def may_follow(caller: Caller) -> bool:
    """Return whether the caller may follow some threads by PageSeeder's own rule, which `PSTHREADS_PAGESEEDER` sets.

    On the server a member follows the threads that they started, in a group a reviewer follows the group's.
    """
    return caller.group is None or may_use_group(caller, Role.REVIEWER)


def is_starter(caller: Caller, thread: Thread) -> bool:
    """Return whether the caller started this thread, and may see its group's with the token in use."""
    covers = caller.token_scope is None or caller.token_scope.covers(thread.group_id)
    return covers and thread.member_id == caller.member.id


def shows(caller: Caller, thread: Thread, *, follows: bool = False) -> bool:
    """Return whether the caller may see this thread; where not, it looks absent.

    In a group these are the group's threads. At server level these are all threads for an administrator. `follows`
    applies the rule of `may_follow`, for a thread's progress.
    """
    if caller.group is not None:
        may_use = may_use_group(caller) or (follows and may_follow(caller))
        return may_use and thread.group_id == caller.group.id != SERVER_WIDE
    return may_use_server(caller) or (follows and is_starter(caller, thread))
