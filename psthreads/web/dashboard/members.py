"""The page of one member, for administrators: a lock to lift, tokens and OAuth clients to end and to make."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from psthreads.access import Member
from psthreads.directory import Directory
from psthreads.errors import Conflict, MemberNotFound, MissingParameter
from psthreads.web.services import Services


def add_to(blueprint: Blueprint, services: Services) -> None:
    """Add the pages below /dashboard/members."""
    directory, clients = services.directory, services.directory.clients

    @blueprint.get("/dashboard/members")
    def members() -> AnyResponse | str:
        if ref := request.args.get("member", "").strip():
            try:
                return redirect(url_for("pages.member", member=directory.find_member(ref).username))
            except MemberNotFound as error:
                return Response(render_template("members.html", problem=error.message, asked=ref), 404)
        return render_template("members.html", problem="", asked="")

    @blueprint.get("/dashboard/members/<member>")
    def member(member: str) -> str:
        return page(directory.find_member(member))

    @blueprint.post("/dashboard/members/<member>/clients")
    def add_client(member: str) -> AnyResponse | str:
        found = directory.find_member(member)
        try:
            client_id, secret = clients.add(found, _name())
        except Conflict as error:
            return Response(page(found, problem=error.message), error.status)
        # No redirect: the secret is shown in this answer and nowhere else.
        return page(found, made=(client_id, secret))

    def page(found: Member, *, problem: str = "", made: tuple[str, str] | None = None) -> str:
        return render_template(
            "member.html",
            member=found,
            locked=directory.locks().get(found.id),
            memberships=directory.memberships(found),
            tokens=directory.tokens(found),
            clients=clients.of(found),
            problem=problem,
            made=made,
        )

    acts: dict[str, Callable[[Member], object]] = {
        "unlock": directory.unlock,
        "sign-out": directory.sign_out_everywhere,
        "tokens/revoke": lambda found: directory.revoke_token(found, _name()),
        "clients/remove": lambda found: clients.remove(found, _name()),
    }
    for path, act in acts.items():
        endpoint = "member_" + path.replace("/", "_").replace("-", "_")
        view = _acting(directory, act)
        blueprint.add_url_rule(f"/dashboard/members/<member>/{path}", endpoint, view, methods=["POST"])


def _acting(directory: Directory, act: Callable[[Member], object]) -> Callable[[str], AnyResponse]:
    """A view that does something with a member and leads back to the member's page."""

    def view(member: str) -> AnyResponse:
        found = directory.find_member(member)
        act(found)
        return redirect(url_for("pages.member", member=found.username), 303)

    return view


def _name() -> str:
    given = request.form.get("name", "").strip()
    if not given:
        raise MissingParameter("name")
    return given
