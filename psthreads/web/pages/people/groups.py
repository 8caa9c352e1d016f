"""The list of groups: all of them for administrators, their own for others. A group's members are in group.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from flask import Blueprint, Response, g, jsonify, redirect, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from psthreads.domain import access
from psthreads.domain.access import Role
from psthreads.domain.errors import BadParameter, Conflict
from psthreads.identity.directory import Directory
from psthreads.identity.records import Membership
from psthreads.web.auth import proof
from psthreads.web.pages import forms
from psthreads.web.pages.people import group
from psthreads.web.services import Services

_SUGGESTED: Final = 10
_MESSAGES: Final = {"removed": "Group removed."}


def add_to(blueprint: Blueprint, services: Services) -> None:
    """Add the list of groups, and the suggestions of names for forms."""

    @blueprint.get("/dashboard/groups")
    def groups() -> str:
        return _list(services.directory)

    @blueprint.get("/dashboard/names")
    def names() -> Response:
        prefix = forms.argument("prefix").strip().removeprefix("~")
        if forms.argument("kind") == "groups":
            return jsonify([each.name for each in services.directory.find_groups(prefix, size=_SUGGESTED).items])
        return jsonify(
            [each.member.username for each in services.directory.find_members(prefix, size=_SUGGESTED).items]
        )


def add_changes_to(blueprint: Blueprint, services: Services) -> None:
    """Add what changes groups, and the pages of one group's members."""
    directory = services.directory
    group.add_to(blueprint, services)

    @blueprint.post("/dashboard/groups")
    def group_add() -> AnyResponse:
        try:
            new = proof.changes(directory).add_group(forms.text("group"))
        except (BadParameter, Conflict) as error:
            return Response(_list(directory, error.message), error.status)
        return redirect(url_for("pages.group_members", group=new.name, done="added"), 303)


def _list(directory: Directory, problem: str = "") -> str:
    name, after = forms.argument("name").strip(), forms.argument("after")
    common = {
        "name": name,
        "after": after,
        "success": _MESSAGES.get(forms.argument("done"), ""),
        "problem": problem,
        "form_value": forms.values_of("add" if problem else ""),
    }
    if access.may_use_server(g.caller):
        return render_template("groups.html", groups=directory.find_groups(name, after), **common)
    memberships = directory.find_memberships(g.caller.member, name, after)
    # A token can be limited to some of the member's groups.
    covered = tuple(membership for membership in memberships.items if _is_covered(membership))
    memberships = replace(memberships, items=covered)
    return render_template("groups.html", memberships=memberships, can_open=can_open, **common)


def _is_covered(membership: Membership) -> bool:
    token_scope = g.caller.token_scope
    return token_scope is None or token_scope.covers(membership.group.id)


def can_open(membership: Membership) -> bool:
    """Return whether this membership opens the group's part of the dashboard."""
    return membership.role.allows(Role.CONTRIBUTOR)
