"""What the pages of members and groups share: the reading of their forms and lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from flask import render_template, request

from psthreads.authoring.parameter import Parameter
from psthreads.domain.access import Role, TokenScope
from psthreads.domain.errors import BadParameter, MissingParameter
from psthreads.identity.directory import Directory

NAME: Final = Parameter("name", str, "", description="the beginning of the name")
"""What the names of a list begin with."""

AFTER: Final = Parameter("after", str, "", description="the name after which the list goes on")
"""Where a list goes on."""

DONE: Final = Parameter("done", str, "", description="what was done a moment ago, which the page then says")
"""What a form that leads back to a page did."""

_MOST_GROUPS: Final = 50  # that a token or client is for: each is looked up, and named on pages


def again(refused: str) -> Callable[..., str]:
    """What gives what was typed into a form, for it to hold that again where it was refused.

    Of a page's forms only the one of this name; it is asked for by that name, the field's, and what it holds else.
    """
    # What was left empty, or not ticked, was so on purpose: its default must not come back by itself.
    return lambda form, name, default="": request.form.get(name, "") if form == refused else default


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked before something is done that a slip of the finger must not do: in full, on the button, and why.

    Where the deed is audited, a reason is asked for as well.
    """

    title: str
    button: str
    note: str
    is_audited: bool = True


def is_sure() -> bool:
    """Whether what has come is the answer to a question, and not what it is about."""
    return request.form.get("sure") == "true"


def ask(question: Question, fields: Iterable[str], back: str) -> str:
    """The page that asks, which sends these fields once more, and that whoever sends them is sure."""
    values = {name: request.form.get(name, "") for name in fields}
    return render_template("sure.html", question=question, values={**values, "sure": "true"}, back=back)


def text(name: str, *, strip: bool = True) -> str:
    """A field that must be filled in, without the spaces around it; raises MissingParameter."""
    given = request.form.get(name, "")
    if strip:
        given = given.strip()
    if not given:
        raise MissingParameter(name)
    return given


def role() -> Role:
    """The field `role`; raises BadParameter."""
    given = text("role")
    if given not in {one.value for one in Role}:
        raise BadParameter("role", f"There is no role '{given}': choose one of {', '.join(one.value for one in Role)}.")
    return Role(given)


def token_scope(directory: Directory) -> TokenScope | None:
    """What the fields `read`, `act` and `groups` narrow a token or client to; None for nothing.

    Raises BadParameter where it could do nothing, and GroupNotFound.
    """
    read, act = "read" in request.form, "act" in request.form
    if not (read or act):
        raise BadParameter("read", "Choose at least one of reading and acting.")
    written = request.form.get("groups", "")
    refs = set(written.lower().replace(",", " ").split())
    if len(refs) > _MOST_GROUPS:
        raise BadParameter("groups", f"More than {_MOST_GROUPS} groups cannot be named: leave the field empty for all.")
    if written.strip() and not refs:
        raise BadParameter("groups", "No group is named: name one, or leave the field empty for all.")
    groups = frozenset(directory.find_group(ref).id for ref in refs) if refs else None
    return None if read and act and groups is None else TokenScope(read, act, groups)


def check_typed(name: str) -> None:
    """Raise BadParameter unless the field `typed` holds this name: nobody removes by mistake what they typed."""
    if request.form.get("typed", "").strip().lower() != name.lower():
        raise BadParameter("typed", f"Nothing was removed: type '{name}' to remove it.")
