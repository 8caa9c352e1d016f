"""The list of members, for administrators, and the form that adds one. A member's own page is in member.py."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from psthreads.domain.errors import BadParameter, Conflict, MemberNotFound
from psthreads.identity import passwords
from psthreads.identity.records import Account
from psthreads.web.auth import proof
from psthreads.web.pages import forms
from psthreads.web.pages.people import member
from psthreads.web.pages.people.tokens import Secret
from psthreads.web.services import Services

_MAX_LOCKED: Final = 20  # locked accounts above the list


def add_to(blueprint: Blueprint, services: Services) -> None:
    """Add the pages below /dashboard/members."""
    directory = services.directory
    member.add_to(blueprint, services)

    @blueprint.get("/dashboard/members")
    def members() -> str:
        name, after = forms.argument("name").strip().removeprefix("~"), forms.argument("after")
        return render_template(
            "members.html",
            name=name,
            after=after,
            by_id=_by_id(name),
            members=directory.find_members(name, after),
            locked=() if name or after else directory.locked(_MAX_LOCKED),
            success="Member removed." if forms.argument("done") == "removed" else "",
            ref=member.ref,
        )

    def _by_id(ref: str) -> Account | None:
        try:
            return directory.account(ref) if ref.isdecimal() else None
        except MemberNotFound:
            return None

    @blueprint.get("/dashboard/members/add")
    def member_add() -> str:
        return render_template("member-add.html", problem=None, form_value=forms.values_of(""))

    @blueprint.post("/dashboard/members/add")
    def member_add_post() -> AnyResponse | str:
        password = request.form.get("password", "")
        generated = "" if password else passwords.generate()
        try:
            changes = proof.changes(directory)
            new = changes.add_member(forms.text("username"), password or generated, admin="admin" in request.form)
        except (BadParameter, Conflict) as error:
            page = render_template("member-add.html", problem=error, form_value=forms.values_of("add"))
            return Response(page, error.status)
        if not generated:
            return redirect(url_for("pages.member", member=member.ref(new), done="added"), 303)
        # No redirect: the password is shown in this response and nowhere else.
        secret = Secret("password", (("Password", generated),))
        return member.render(directory, directory.account(str(new.id)), secret=secret)
