"""The page of a member, for administrators: account, roles, tokens and OAuth clients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from psthreads.domain.access import Group, Member, Role
from psthreads.domain.errors import BadParameter, Conflict, MemberNotFound, NotFound
from psthreads.identity import passwords
from psthreads.identity.directory import Directory
from psthreads.identity.records import Account
from psthreads.web.auth import proof
from psthreads.web.pages import forms
from psthreads.web.pages.forms import Question
from psthreads.web.pages.people import departures, tokens
from psthreads.web.pages.people.tokens import Secret
from psthreads.web.services import Services

_MESSAGES: Final = {
    "added": "Member added.",
    "unlocked": "Account unlocked.",
    "unbound": "Account unbound. The member is signed out everywhere.",
    "signed-out": "The member is signed out everywhere.",
    "admin-on": "The member is now an administrator.",
    "admin-off": "The member is no longer an administrator.",
    "password": "Password changed. The member is signed out everywhere.",
    "role": "Role assigned.",
    "role-removed": "Member removed from the group.",
    "token-revoked": "Token revoked.",
    "client-registered": "Client registered. The program can sign in with its ID and secret.",
    "client-removed": "Client removed. Its access tokens no longer work.",
}


@dataclass(frozen=True, slots=True)
class _MemberAction:
    """What a form of the page does, and its path below the member's.

    `run` returns a key of `_MESSAGES`, or a secret to show once. `ask` returns the question to ask first, if any; the
    confirmation page repeats the form's `fields`.
    """

    path: str
    run: Callable[[Directory, Member], str | Secret]
    ask: Callable[[Directory, Member], Question | None] | None = None
    fields: tuple[str, ...] = ()


def ref(member: Member) -> str:
    """Return the member's part of an address: the username, or the ID where the username is a path of its own."""
    return str(member.id) if member.username.lower() == "add" else member.username


def render(
    directory: Directory, account: Account, *, problem: str = "", failed_form: str = "", secret: Secret | None = None
) -> str:
    """Return the page of a member, with a problem or a new secret, or as the query asks."""
    member = account.member
    paging = {name: forms.argument(name) for name in ("after", "tokens", "clients", "group")}
    token_page = tokens.newest(directory.tokens(member), paging["tokens"])
    client_page = tokens.newest(directory.clients.of(member), paging["clients"])
    return render_template(
        "member.html",
        account=account,
        member=member,
        ref=ref(member),
        paging=paging,
        memberships=directory.find_memberships(member, "", paging["after"], tokens.PAGE_SIZE),
        roles=[role.value for role in Role],
        tokens=token_page,
        clients=client_page,
        describe_scope=tokens.describer(
            directory, [item.token_scope for page in (token_page, client_page) for item in page.items]
        ),
        expires=tokens.CHOICES,
        problem=problem,
        failed_form=failed_form,
        form_value=forms.values_of(failed_form),
        secret=secret,
        success=_MESSAGES.get(forms.argument("done"), ""),
    )


def add_to(blueprint: Blueprint, services: Services) -> None:
    """Add the page of a member and the actions of its forms."""
    directory = services.directory

    @blueprint.get("/dashboard/members/<member>")
    def member(member: str) -> str:
        return render(directory, directory.account(member))

    for action in _ACTIONS:
        endpoint = "member_" + action.path.replace("/", "_").replace("-", "_")
        path = "/dashboard/members/<member>/" + action.path
        view = _view_of(directory, action)
        blueprint.add_url_rule(path, endpoint, view, methods=["POST"])

    def ask(member: Member, problem: str = "") -> str:
        waiting = departures.waiting(member)
        return render_template(
            "remove.html", kind="member", name=member.username, ref=ref(member), waiting=waiting, problem=problem
        )

    @blueprint.get("/dashboard/members/<member>/remove")
    def member_remove(member: str) -> str:
        return ask(directory.find_member(member))

    @blueprint.post("/dashboard/members/<member>/remove")
    def member_remove_post(member: str) -> AnyResponse:
        target = directory.find_member(member)
        try:
            forms.check_typed(target.username)
            departures.remove(target)
        except (BadParameter, Conflict) as error:
            return Response(ask(target, error.message), error.status)
        return redirect(url_for("pages.members", done="removed"), 303)


def _view_of(directory: Directory, action: _MemberAction) -> Callable[[str], AnyResponse | str]:
    """Return the view that runs the action, and leads back to the member's page or shows the new secret."""

    def view(member: str) -> AnyResponse | str:
        account = directory.account(member)
        try:
            if action.ask and not forms.is_confirmed() and (question := action.ask(directory, account.member)):
                return forms.ask(question, action.fields, url_for("pages.member", member=ref(account.member)))
            result = action.run(directory, account.member)
        except MemberNotFound:
            raise
        except (BadParameter, Conflict, NotFound) as error:
            page = render(directory, account, problem=error.message, failed_form=action.path)
            return Response(page, error.status)
        if isinstance(result, Secret):
            # No redirect: the secret is shown in this response and nowhere else.
            return render(directory, account, secret=result)
        return redirect(url_for("pages.member", member=ref(account.member), done=result), 303)

    return view


def _unlock(directory: Directory, member: Member) -> str:
    proof.changes(directory).unlock(member)
    return "unlocked"


def _unbind(directory: Directory, member: Member) -> str:
    proof.changes(directory).unbind(member)
    return "unbound"


def _sign_out(directory: Directory, member: Member) -> str:
    proof.changes(directory).sign_out_everywhere(member)
    return "signed-out"


def _administrator(directory: Directory, member: Member) -> str:
    admin = forms.text("admin") == "on"
    proof.changes(directory).set_admin(member, admin=admin)
    return "admin-on" if admin else "admin-off"


def _password(directory: Directory, member: Member) -> str | Secret:
    password = request.form.get("password", "")
    generated = "" if password else passwords.generate()
    proof.changes(directory).change_password(member, password or generated)
    return Secret("password", (("Password", generated),)) if generated else "password"


def _set_role(directory: Directory, member: Member) -> str:
    group, role = directory.find_group(forms.text("group")), forms.role()
    proof.changes(directory).set_membership(member, group, role)
    return "role"


def _remove_role(directory: Directory, member: Member) -> str:
    departures.remove(member, directory.find_group(forms.text("group")))
    return "role-removed"


def _revoke_token(directory: Directory, member: Member) -> str:
    tokens.revoke(directory, member)
    return "token-revoked"


def _add_client(directory: Directory, member: Member) -> Secret:
    name, token_scope = forms.text("name"), forms.token_scope(directory)
    client_id, secret = proof.changes(directory).add_client(member, name, token_scope)
    return Secret(f"client '{name}'", (("Client ID", client_id), ("Client secret", secret)))


def _register_client(directory: Directory, member: Member) -> str:
    credentials = forms.text("id"), forms.text("secret")
    token_scope = forms.token_scope(directory)
    proof.changes(directory).add_client(member, forms.text("name"), token_scope, credentials=credentials)
    return "client-registered"


def _remove_client(directory: Directory, member: Member) -> str:
    proof.changes(directory).remove_client(member, forms.text("name"))
    return "client-removed"


def _ask_administrator(_directory: Directory, member: Member) -> Question:
    if forms.text("admin") == "on":
        note = "Administrators can see, start and stop everything on this server, and manage members and groups."
        return Question(f"Make {member.username} an administrator?", "Make administrator", note)
    note = "The member keeps only the roles in groups."
    return Question(f"Remove the administrator rights of {member.username}?", "Remove rights", note)


def _ask_unbind(_directory: Directory, member: Member) -> Question:
    note = f"Whoever next signs in at the provider under the name '{member.username}' is bound. The sessions end."
    return Question(f"Unbind {member.username} from the identity at the provider?", "Unbind account", note)


def _ask_password(_directory: Directory, member: Member) -> Question | None:
    if request.form.get("password", ""):
        return None  # It was typed on purpose, and a confirmation page would have to hold it.
    note = "The old password stops working and the sessions end. The new password is shown once."
    return Question(f"Generate a new password for {member.username}?", "Generate password", note)


def question_of_removal(member: Member, group: Group) -> Question:
    """Return the question before a member leaves a group."""
    title = f"Remove {member.username} from {group.name}?"
    note = "The member loses access to the group at once. Their threads stay."
    return Question(title, "Remove member", note, waiting=departures.waiting(member, group))


def _ask_remove_role(directory: Directory, member: Member) -> Question:
    return question_of_removal(member, directory.find_group(forms.text("group")))


def _ask_remove_client(_directory: Directory, member: Member) -> Question:
    note = "The client and its access tokens stop working at once. This cannot be undone."
    return Question(f"Remove client {forms.text('name')} of {member.username}?", "Remove client", note)


_ACTIONS: Final = (
    _MemberAction("unlock", _unlock),
    _MemberAction("unbind", _unbind, _ask_unbind),
    _MemberAction("sign-out", _sign_out),
    _MemberAction("administrator", _administrator, _ask_administrator, ("admin",)),
    _MemberAction("password", _password, _ask_password, ("password",)),
    _MemberAction("roles", _set_role),
    _MemberAction("roles/remove", _remove_role, _ask_remove_role, ("group",)),
    _MemberAction("tokens", tokens.create),
    _MemberAction("tokens/revoke", _revoke_token, lambda _, member: tokens.ask_revoke(member), ("name",)),
    _MemberAction("clients", _add_client),
    _MemberAction("clients/register", _register_client),
    _MemberAction("clients/remove", _remove_client, _ask_remove_client, ("name",)),
)
