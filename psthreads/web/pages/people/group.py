"""One group for administrators: its members and their roles, and its removal."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response, g, redirect, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from psthreads.domain.access import Role
from psthreads.domain.errors import BadParameter, NotFound
from psthreads.identity.directory import Directory
from psthreads.web.http.audit_origin import request_origin
from psthreads.web.http.parameters import value_of
from psthreads.web.pages import forms
from psthreads.web.pages.forms import AFTER, DONE, NAME
from psthreads.web.pages.people.member import end_of, ref
from psthreads.web.services import Services

_DONE: Final = {
    "added": "The group is added. Give its first members their roles.",
    "set": "The role is given.",
    "ended": "The membership is ended.",
}


def add_to(blueprint: Blueprint, services: Services) -> None:
    """Add the pages below /dashboard/groups/<group> that are the administrators'. The guard finds the group."""
    directory = services.directory

    def members(name: str = "", after: str = "", done: str = "", problem: str = "", refused: str = "") -> str:
        return render_template(
            "group-members.html",
            group=g.caller.group,
            part=directory.find_members_of(g.caller.group, name, after),
            name=name,
            after=after,
            roles=[role.value for role in Role],
            ref=ref,
            problem=problem,
            typed=forms.again(refused),
            done=done,
        )

    @blueprint.get("/dashboard/groups/<group>/members", provide_automatic_options=False)
    def group_members(**_: str) -> str:
        name = str(value_of(NAME)).strip().removeprefix("~")
        return members(name, str(value_of(AFTER)), _DONE.get(str(value_of(DONE)), ""))

    @blueprint.post("/dashboard/groups/<group>/members", provide_automatic_options=False)
    def group_members_set(**_: str) -> AnyResponse:
        try:
            member, role = directory.find_member(forms.text("member")), forms.role()
            directory.by(request_origin()).set_membership(member, g.caller.group, role)
        except (BadParameter, NotFound) as error:
            return Response(members(problem=error.message, refused="give"), error.status)
        return redirect(url_for("pages.group_members", group=g.caller.group.name, done="set"), 303)

    @blueprint.post("/dashboard/groups/<group>/members/remove", provide_automatic_options=False)
    def group_members_remove(**_: str) -> AnyResponse | str:
        try:
            member = directory.find_member(forms.text("member"))
            if not forms.is_sure():
                back = url_for("pages.group_members", group=g.caller.group.name)
                return forms.ask(end_of(member, g.caller.group.name), ("member",), back)
            directory.by(request_origin()).remove_membership(member, g.caller.group)
        except (BadParameter, NotFound) as error:
            return Response(members(problem=error.message), error.status)
        return redirect(url_for("pages.group_members", group=g.caller.group.name, done="ended"), 303)

    _add_removal(blueprint, services.directory)


def _add_removal(blueprint: Blueprint, directory: Directory) -> None:
    def ask(problem: str = "") -> str:
        return render_template("remove.html", kind="group", name=g.caller.group.name, problem=problem)

    @blueprint.get("/dashboard/groups/<group>/remove", provide_automatic_options=False)
    def group_remove(**_: str) -> str:
        return ask()

    @blueprint.post("/dashboard/groups/<group>/remove", provide_automatic_options=False)
    def group_remove_post(**_: str) -> AnyResponse:
        try:
            forms.check_typed(g.caller.group.name)
            directory.by(request_origin()).remove_group(g.caller.group)
        except BadParameter as error:
            return Response(ask(error.message), error.status)
        return redirect(url_for("pages.groups", done="removed"), 303)
