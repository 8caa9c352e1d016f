"""What the directory answers with, as frozen values, and how they are read in the answers of its scripts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from psthreads.domain.access import Group, Member, Role, TokenScope

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Account:
    """A member, when it was made, and since when it is locked: in milliseconds since the epoch, 0 for not at all."""

    member: Member
    created: int
    locked: int


@dataclass(frozen=True, slots=True)
class Membership:
    """A member's role in a group."""

    member: Member
    group: Group
    role: Role


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What is known of a token without the token. Times are milliseconds since the epoch, 0 for never."""

    name: str
    created: int
    expires: int
    token_scope: TokenScope | None = None


@dataclass(frozen=True, slots=True)
class DirectoryPage(Generic[T]):
    """A part of a list that is sorted by name; `after` is the name to go on after, empty where this is the end."""

    items: tuple[T, ...]
    after: str = ""


def part(found: list[Any], size: int, read: Callable[[Any], T], name: Callable[[T], str]) -> DirectoryPage[T]:
    """The part in what a script answers that was asked for so many, and gives one more where there are more."""
    items = tuple(map(read, found[:size]))
    return DirectoryPage(items, name(items[-1]) if len(found) > size else "")


def member(found: list[bytes]) -> Member:
    """A member as scripts describe one."""
    member_id, username, admin, *_ = found
    return Member(int(member_id), username.decode(), admin == b"1")


def account(found: list[bytes]) -> Account:
    """A member with all that scripts tell of one."""
    return Account(member(found), int(found[3] or 0), int(found[4] or 0))


def group(found: list[bytes]) -> Group:
    """A group as scripts describe one."""
    group_id, name = found
    return Group(int(group_id), name.decode())


def scope(token_scope: TokenScope | None, names: Mapping[int, str] | None = None) -> str:
    """What a token or client is narrowed to, in the words of an OAuth scope. Of a group without a name its id."""
    if token_scope is None:
        return "all"
    words = [word for word, is_so in (("read", token_scope.read), ("act", token_scope.act)) if is_so]
    if token_scope.groups is not None:
        words += [f"group:{(names or {}).get(group_id, group_id)}" for group_id in sorted(token_scope.groups)]
    return " ".join(words) or "nothing"
