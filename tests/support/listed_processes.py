"""Processes whose declarations have everything that a declaration may have, for the tests of their list."""

from __future__ import annotations

from typing import Annotated, Literal

from psthreads.authoring.context import Context
from psthreads.authoring.parameter import Bounds
from psthreads.authoring.registry import process
from psthreads.domain.access import Role

ROUTE = "/members/{member}/groups/{group}/listed/"


@process(title="Ünfriendly \x01 <title> & {path}", route=ROUTE + "plain", restartable=True, time_limit=1.5)
def plain(
    context: Context,
    path: Annotated[str, "where <it> is"],
    up_to: Annotated[int, Bounds(1, 10_000_000)] = 5,
    share: float = 0.25,
    how: Literal["a&b", "c"] = "a&b",
    *,
    quick: bool = True,
) -> None:
    """Does it & more."""


@process(title="For guests", route=ROUTE + "guests", role=Role.GUEST, wrapper="for-guests", methods=("GET", "POST"))
def for_guests(context: Context) -> None:
    """Open to all."""


@process(title="For approvers", route=ROUTE + "approvers", role=Role.APPROVER)
def for_approvers(context: Context) -> None:
    """Open to few."""


@process(title="Everywhere", route="/members/{member}/listed/server")
def everywhere(context: Context) -> None:
    """Open to administrators."""
