"""The values that the directory returns, and how they are parsed from the answers of its scripts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from psthreads.domain.access import Group, Member, Role, TokenScope

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Account:
    """A member, with the times of its creation and its lock in milliseconds since the epoch; 0 for not locked.

    `identity` is the subject and the issuer that the account is bound to at an outside provider, empty for none.
    """

    member: Member
    created: int
    locked: int
    identity: str = ""


@dataclass(frozen=True, slots=True)
class Membership:
    """A member's role in a group."""

    member: Member
    group: Group
    role: Role


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """A token without its secret. Times are milliseconds since the epoch, 0 for never."""

    name: str
    created: int
    expires: int
    token_scope: TokenScope | None = None
    used: int = 0
    """The time of its last use, accurate to a minute."""


@dataclass(frozen=True, slots=True)
class DirectoryPage(Generic[T]):
    """A page of a list that is sorted by name. `after` is the name that the next page comes after, empty at the end."""

    items: tuple[T, ...]
    after: str = ""


def parse_page(rows: list[Any], size: int, parse: Callable[[Any], T], name: Callable[[T], str]) -> DirectoryPage[T]:
    """Return the page in a script's answer, which has one row more than `size` where there are more."""
    items = tuple(map(parse, rows[:size]))
    return DirectoryPage(items, name(items[-1]) if len(rows) > size else "")


def parse_member(row: list[bytes]) -> Member:
    """Return the member in a script's description."""
    member_id, username, admin, *_ = row
    return Member(int(member_id), username.decode(), admin == b"1")


def parse_account(row: list[bytes]) -> Account:
    """Return the account in a script's description."""
    _, _, _, created, locked, issuer, subject = row
    identity = f"{subject.decode()} of {issuer.decode()}" if issuer else ""
    return Account(parse_member(row), int(created or 0), int(locked or 0), identity)


def parse_group(row: list[bytes]) -> Group:
    """Return the group in a script's description."""
    group_id, name = row
    return Group(int(group_id), name.decode())


def scope_words(token_scope: TokenScope | None, names: Mapping[int, str] | None = None) -> str:
    """Return a token's or client's scope in the words of OAuth. A group without a name is shown by its id."""
    if token_scope is None:
        return "all"
    words = [word for word, is_allowed in (("read", token_scope.read), ("act", token_scope.act)) if is_allowed]
    if token_scope.groups is not None:
        words += [f"group:{(names or {}).get(group_id, group_id)}" for group_id in sorted(token_scope.groups)]
    return " ".join(words) or "nothing"
