"""The tokens on a member's page and on the account page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from psthreads.domain.access import Member, TokenScope
from psthreads.domain.errors import BadParameter
from psthreads.identity.directory import Directory
from psthreads.identity.records import DirectoryPage, scope_words
from psthreads.web.auth import proof
from psthreads.web.pages import forms
from psthreads.web.pages.forms import Question

PAGE_SIZE: Final = 20
"""How many items of a list are on one page."""

_DAY: Final = 24 * 3600
_LIFETIMES: Final = {
    "1d": ("In 1 day", _DAY),
    "30d": ("In 30 days", 30 * _DAY),
    "90d": ("In 90 days", 90 * _DAY),
    "365d": ("In 1 year", 365 * _DAY),
    "never": ("Never", None),
}
CHOICES: Final = tuple((key, label) for key, (label, _) in _LIFETIMES.items())
"""The lifetimes of a new token, for a form."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that a page shows once: what it is, and the names and values that its owner has to keep."""

    label: str
    values: tuple[tuple[str, str], ...]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


def newest(oldest_first: Sequence[N], after: str) -> DirectoryPage[N]:
    """Return a page of the list, newest first, after the item of that name if it still exists."""
    items = oldest_first[::-1]
    start = next((place + 1 for place, item in enumerate(items) if item.name == after), 0)
    page = items[start : start + PAGE_SIZE]
    return DirectoryPage(tuple(page), page[-1].name if start + PAGE_SIZE < len(items) else "")


def describer(directory: Directory, scopes: Iterable[TokenScope | None]) -> Callable[[TokenScope | None], str]:
    """Return a function that describes any of these scopes, with the names of its groups."""
    names = directory.names(
        ("group", group) for token_scope in scopes if token_scope for group in token_scope.groups or ()
    )
    groups = {group_id: name for (_, group_id), name in names.items()}
    return lambda token_scope: scope_words(token_scope, groups)


def create(directory: Directory, member: Member) -> Secret:
    """Create the token that the form describes. Raises BadParameter, Conflict and GroupNotFound."""
    name, token_scope, lifetime = forms.text("name"), forms.token_scope(directory), forms.text("expires")
    if lifetime not in _LIFETIMES:
        raise BadParameter("expires", f"A token cannot expire in '{lifetime}'. Choose an entry of the list.")
    token = proof.changes(directory).create_token(member, name, _LIFETIMES[lifetime][1], token_scope)
    return Secret(f"token '{name}'", (("Token", token),))


def ask_revoke(member: Member) -> Question:
    """Return the question before the token that the form names is revoked."""
    note = "Programs that use it lose access at once. This cannot be undone."
    return Question(f"Revoke token {forms.text('name')} of {member.username}?", "Revoke token", note)


def revoke(directory: Directory, member: Member) -> None:
    """Revoke the token that the form names. Raises BadParameter and NotFound."""
    proof.changes(directory).revoke_token(member, forms.text("name"))
