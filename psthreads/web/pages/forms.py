"""What the pages of members and groups share: the reading of their queries and forms, and confirmation pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from flask import render_template, request

from psthreads.authoring.parameter import Parameter
from psthreads.domain.access import Role, TokenScope
from psthreads.domain.errors import BadParameter, MissingParameter
from psthreads.identity.directory import Directory

_MAX_GROUPS: Final = 50  # of a token or client: each is looked up, and named on pages


def argument(name: str) -> str:
    """Return a parameter of the query, empty where it is absent. Raises BadParameter."""
    return str(Parameter(name, str, "").read(request.args.get(name, "")))


def values_of(failed_form: str) -> Callable[..., str]:
    """Return the function that fills in a page's forms: (form, field, default) to the field's value.

    The form that failed keeps what the member sent; all others get their defaults.
    """
    # A field that was left empty, or a box that was not ticked, stays so: the default must not come back by itself.
    return lambda form, name, default="": request.form.get(name, "") if form == failed_form else default


@dataclass(frozen=True, slots=True)
class Question:
    """A confirmation before something that must not happen by mistake. An audited action also asks for a reason.

    `waiting` is a sentence on threads that the action cancels; the page then offers to keep them.
    """

    title: str
    button: str
    note: str
    is_audited: bool = True
    waiting: str = ""


def is_confirmed() -> bool:
    """Return whether the request comes from a confirmation page."""
    return request.form.get("confirmed") == "true"


def ask(question: Question, fields: Iterable[str], back: str) -> str:
    """Return the confirmation page, which sends these fields of the form once more."""
    values = {name: request.form.get(name, "") for name in fields}
    return render_template("confirm.html", question=question, values={**values, "confirmed": "true"}, back=back)


def text(name: str, *, strip: bool = True) -> str:
    """Return a required field of the form, without surrounding spaces. Raises MissingParameter."""
    value = request.form.get(name, "")
    if strip:
        value = value.strip()
    if not value:
        raise MissingParameter(name)
    return value


def role() -> Role:
    """Return the field `role`. Raises BadParameter."""
    name = text("role")
    roles = [role.value for role in Role]
    if name not in roles:
        raise BadParameter("role", f"There is no role '{name}'. Choose one of {', '.join(roles)}.")
    return Role(name)


def token_scope(directory: Directory) -> TokenScope | None:
    """Return the scope that the fields `read`, `act` and `groups` set, None for an unlimited one.

    Raises BadParameter for a scope that allows nothing, and GroupNotFound.
    """
    read, act = "read" in request.form, "act" in request.form
    if not (read or act):
        raise BadParameter("read", "Choose at least one permission.")
    names = request.form.get("groups", "")
    refs = set(names.lower().replace(",", " ").split())
    if len(refs) > _MAX_GROUPS:
        raise BadParameter("groups", f"Name at most {_MAX_GROUPS} groups, or leave the field empty for all groups.")
    if names.strip() and not refs:
        raise BadParameter("groups", "Name at least one group, or leave the field empty for all groups.")
    groups = frozenset(directory.find_group(ref).id for ref in refs) if refs else None
    return None if read and act and groups is None else TokenScope(read, act, groups)


def check_typed(name: str) -> None:
    """Raise BadParameter unless the field `typed` holds this name, which the member types to confirm."""
    if request.form.get("typed", "").strip().lower() != name.lower():
        raise BadParameter("typed", f"Nothing was removed. Type '{name}' to confirm.")
