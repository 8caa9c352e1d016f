"""The members, for administrators: finding them, adding and removing them. The page of one is in member.py."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from psthreads.domain.errors import BadParameter, Conflict, MemberNotFound
from psthreads.identity import passwords
from psthreads.identity.records import Account
from psthreads.web.http.audit_origin import request_origin
from psthreads.web.http.parameters import value_of
from psthreads.web.pages import forms
from psthreads.web.pages.forms import AFTER, DONE, NAME
from psthreads.web.pages.people import member
from psthreads.web.pages.people.tokens import Shown
from psthreads.web.services import Services

_LOCKED: Final = 20  # how many locked accounts stand above the list


def add_to(blueprint: Blueprint, services: Services) -> None:
    """Add the pages below /dashboard/members."""
    directory = services.directory

    @blueprint.get("/dashboard/members", provide_automatic_options=False)
    def members() -> str:
        name, after = str(value_of(NAME)).strip().removeprefix("~"), str(value_of(AFTER))
        part = directory.find_members(name, after)
        return render_template(
            "members.html",
            name=name,
            after=after,
            by_id=_by_id(name),
            part=part,
            locked=() if name or after else directory.locked(_LOCKED),
            done="The member is removed." if value_of(DONE) == "removed" else "",
            ref=member.ref,
        )

    def _by_id(ref: str) -> Account | None:
        try:
            return directory.account(ref) if ref.isdecimal() else None
        except MemberNotFound:
            return None

    @blueprint.get("/dashboard/members/add", provide_automatic_options=False)
    def member_add() -> str:
        return render_template("member-add.html", problem=None, typed=forms.again(""))

    @blueprint.post("/dashboard/members/add", provide_automatic_options=False)
    def member_add_post() -> AnyResponse | str:
        password = request.form.get("password", "")
        made = "" if password else passwords.generate()
        try:
            changes = directory.by(request_origin())
            added = changes.add_member(forms.text("username"), password or made, admin="admin" in request.form)
        except (BadParameter, Conflict) as error:
            return Response(render_template("member-add.html", problem=error, typed=forms.again("add")), error.status)
        if not made:
            return redirect(url_for("pages.member", member=member.ref(added), done="added"), 303)
        # No redirect: the password is shown in this answer and nowhere else.
        return show(directory.account(str(added.id)), shown=Shown("password", (("Password", made),)))

    show = member.add_to(blueprint, services)
