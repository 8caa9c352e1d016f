"""The groups: for administrators all of them, for others their own. The page of one group's members is in group.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from flask import Blueprint, Response, g, redirect, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from psthreads.domain import access
from psthreads.domain.access import Role
from psthreads.domain.errors import BadParameter, Conflict
from psthreads.identity.records import Membership
from psthreads.web.http.audit_origin import request_origin
from psthreads.web.http.parameters import value_of
from psthreads.web.pages import forms
from psthreads.web.pages.forms import AFTER, DONE, NAME
from psthreads.web.pages.people import group
from psthreads.web.services import Services

_DONE: Final = {"added": "The group is added.", "removed": "The group is removed."}


def add_to(blueprint: Blueprint, services: Services) -> None:
    """Add the list of groups, and the pages of one group's members."""
    directory = services.directory
    group.add_to(blueprint, services)

    def listed(name: str = "", after: str = "", done: str = "", problem: str = "") -> str:
        common = {
            "name": name,
            "after": after,
            "done": done,
            "problem": problem,
            "typed": forms.again("add" if problem else ""),
        }
        if access.may_use_server(g.caller):
            return render_template("groups.html", part=directory.find_groups(name, after), **common)
        found = directory.find_memberships(g.caller.member, name, after)
        own = replace(found, items=tuple(one for one in found.items if _is_covered(one)))
        return render_template("groups.html", own=own, opens=opens, **common)

    @blueprint.get("/dashboard/groups", provide_automatic_options=False)
    def groups() -> str:
        return listed(str(value_of(NAME)).strip(), str(value_of(AFTER)), _DONE.get(str(value_of(DONE)), ""))

    @blueprint.post("/dashboard/groups", provide_automatic_options=False)
    def group_add() -> AnyResponse:
        try:
            added = directory.by(request_origin()).add_group(forms.text("group"))
        except (BadParameter, Conflict) as error:
            return Response(listed(problem=error.message), error.status)
        return redirect(url_for("pages.group_members", group=added.name, done="added"), 303)


def _is_covered(membership: Membership) -> bool:
    """Whether this group is within reach of the token that asks."""
    token_scope = g.caller.token_scope
    return token_scope is None or token_scope.covers(membership.group.id)


def opens(membership: Membership) -> bool:
    """Whether the group's part of the dashboard is open to whoever has this membership."""
    return membership.role.allows(Role.CONTRIBUTOR)
