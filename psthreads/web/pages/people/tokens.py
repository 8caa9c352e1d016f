"""Tokens, as the page of a member and that of one's own account have them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from psthreads.authoring.parameter import Parameter
from psthreads.domain.access import Member, TokenScope
from psthreads.domain.errors import BadParameter
from psthreads.identity.directory import Directory
from psthreads.identity.records import DirectoryPage, scope
from psthreads.web.http.audit_origin import request_origin
from psthreads.web.pages import forms
from psthreads.web.pages.forms import Question

PART: Final = 20
"""How many of a list are on one page."""

TOKENS: Final = Parameter("tokens", str, "", description="the token after which their list goes on")
"""Where the list of tokens goes on."""

_DAY: Final = 24 * 3600
_EXPIRES: Final = {
    "1d": ("in a day", _DAY),
    "30d": ("in 30 days", 30 * _DAY),
    "90d": ("in 90 days", 90 * _DAY),
    "365d": ("in a year", 365 * _DAY),
    "never": ("never", None),
}
"""When a token that is made here can expire: what is said of it, and in how many seconds."""

CHOICES: Final = tuple((key, said) for key, (said, _) in _EXPIRES.items())
"""The same, for a form."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown this once: what was made, and the names and values of what its owner has to keep."""

    what: str
    values: tuple[tuple[str, str], ...]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


def newest(oldest_first: Sequence[N], after: str) -> DirectoryPage[N]:
    """A part of the list, newest first, that goes on after the one of that name, if it is still there."""
    found = oldest_first[::-1]
    begin = next((place + 1 for place, one in enumerate(found) if one.name == after), 0)
    some = found[begin : begin + PART]
    return DirectoryPage(tuple(some), some[-1].name if begin + PART < len(found) else "")


def telling(directory: Directory, reaches: Iterable[TokenScope | None]) -> Callable[[TokenScope | None], str]:
    """What says in words what each of these reaches, with the names of the groups."""
    names = directory.names(
        ("group", group) for token_scope in reaches if token_scope for group in token_scope.groups or ()
    )
    groups = {its_id: name for (_, its_id), name in names.items()}
    return lambda token_scope: scope(token_scope, groups)


def create(directory: Directory, member: Member) -> Shown:
    """Make the token that the form wants; raises BadParameter, Conflict, GroupNotFound."""
    name, token_scope, given = forms.text("name"), forms.token_scope(directory), forms.text("expires")
    if given not in _EXPIRES:
        raise BadParameter("expires", f"A token cannot expire in '{given}': choose one of the times in the list.")
    plain = directory.by(request_origin()).create_token(member, name, _EXPIRES[given][1], token_scope)
    return Shown(f"token '{name}'", (("Token", plain),))


def ask_revoke(member: Member) -> Question:
    """What is asked before the token that the form names is revoked."""
    note = "Programs that use it are refused from then on. This cannot be undone."
    return Question(f"Revoke the token {forms.text('name')} of {member.username}?", "Revoke the token", note)


def revoke(directory: Directory, member: Member) -> None:
    """Revoke the token that the form names; raises BadParameter, NotFound."""
    directory.by(request_origin()).revoke_token(member, forms.text("name"))
