"""One group, for administrators: its members, their roles, and its removal."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response, g, redirect, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from psthreads.domain.access import Role
from psthreads.domain.errors import BadParameter, NotFound
from psthreads.identity.directory import Directory
from psthreads.web.auth import proof
from psthreads.web.pages import forms
from psthreads.web.pages.people import departures
from psthreads.web.pages.people.member import question_of_removal, ref
from psthreads.web.services import Services

_MESSAGES: Final = {
    "added": "Group added. Assign its first members their roles.",
    "set": "Role assigned.",
    "ended": "Member removed from the group.",
}


def add_to(blueprint: Blueprint, services: Services) -> None:
    """Add the administrators' pages below /dashboard/groups/<group>. The guard finds the group."""
    directory = services.directory

    def render(problem: str = "", failed_form: str = "") -> str:
        name, after = forms.argument("name").strip().removeprefix("~"), forms.argument("after")
        return render_template(
            "group-members.html",
            group=g.caller.group,
            memberships=directory.find_members_of(g.caller.group, name, after),
            name=name,
            after=after,
            roles=[role.value for role in Role],
            ref=ref,
            problem=problem,
            form_value=forms.values_of(failed_form),
            success=_MESSAGES.get(forms.argument("done"), ""),
        )

    @blueprint.get("/dashboard/groups/<group>/members")
    def group_members(**_: str) -> str:
        return render()

    @blueprint.post("/dashboard/groups/<group>/members")
    def group_members_set(**_: str) -> AnyResponse:
        try:
            member, role = directory.find_member(forms.text("member")), forms.role()
            proof.changes(directory).set_membership(member, g.caller.group, role)
        except (BadParameter, NotFound) as error:
            return Response(render(error.message, "assign"), error.status)
        return redirect(url_for("pages.group_members", group=g.caller.group.name, done="set"), 303)

    @blueprint.post("/dashboard/groups/<group>/members/remove")
    def group_members_remove(**_: str) -> AnyResponse | str:
        try:
            member = directory.find_member(forms.text("member"))
            if not forms.is_confirmed():
                back = url_for("pages.group_members", group=g.caller.group.name)
                return forms.ask(question_of_removal(member, g.caller.group), ("member",), back)
            departures.remove(member, g.caller.group)
        except (BadParameter, NotFound) as error:
            return Response(render(error.message), error.status)
        return redirect(url_for("pages.group_members", group=g.caller.group.name, done="ended"), 303)

    _add_removal(blueprint, services.directory)


def _add_removal(blueprint: Blueprint, directory: Directory) -> None:
    def ask(problem: str = "") -> str:
        return render_template("remove.html", kind="group", name=g.caller.group.name, problem=problem)

    @blueprint.get("/dashboard/groups/<group>/remove")
    def group_remove(**_: str) -> str:
        return ask()

    @blueprint.post("/dashboard/groups/<group>/remove")
    def group_remove_post(**_: str) -> AnyResponse:
        try:
            forms.check_typed(g.caller.group.name)
            proof.changes(directory).remove_group(g.caller.group)
        except BadParameter as error:
            return Response(ask(error.message), error.status)
        return redirect(url_for("pages.groups", done="removed"), 303)
