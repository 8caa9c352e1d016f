"""The page of one member, for administrators: the account, roles, tokens and OAuth clients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from psthreads.authoring.parameter import Parameter
from psthreads.domain.access import Member, Role
from psthreads.domain.errors import BadParameter, Conflict, MemberNotFound, NotFound, PsthreadsError
from psthreads.identity import passwords
from psthreads.identity.directory import Directory
from psthreads.identity.records import Account
from psthreads.web.http.audit_origin import request_origin
from psthreads.web.http.parameters import value_of
from psthreads.web.pages import forms
from psthreads.web.pages.forms import AFTER, DONE, Question
from psthreads.web.pages.people import tokens
from psthreads.web.pages.people.tokens import TOKENS, Shown
from psthreads.web.services import Services

_CLIENTS: Final = Parameter("clients", str, "", description="the OAuth client after which their list goes on")
_GROUP: Final = Parameter("group", str, "", description="the group that the form for roles begins with")
_DONE: Final = {
    "added": "The member is added.",
    "unlocked": "The account is unlocked.",
    "signed-out": "All sessions of the member are ended.",
    "admin-on": "The member is now an administrator.",
    "admin-off": "The member is no longer an administrator.",
    "password": "The password is changed, and the member's sessions are ended.",
    "role": "The role is given.",
    "role-removed": "The membership is ended.",
    "token-revoked": "The token is revoked.",
    "client-removed": "The client is removed, and its access tokens are ended.",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks of the page: where groups, tokens and clients go on, the form's group, what was done."""

    after: str = ""
    tokens: str = ""
    clients: str = ""
    group: str = ""
    done: str = ""


_NOTHING: Final = Asked()


class Show(Protocol):
    """Gives the page of a member, with what went wrong or is to be kept, or what the address asks for."""

    def __call__(
        self,
        account: Account,
        asked: Asked = _NOTHING,
        *,
        problem: str = "",
        refused: str = "",
        shown: Shown | None = None,
    ) -> str:
        """The page."""


@dataclass(frozen=True, slots=True)
class _Act:
    """What a form of the page does, and below which path.

    `do` returns the name in `_DONE` of what the page then says, or a secret to show once. `asks` returns the question
    to ask first, if any; it repeats the form's `fields`.
    """

    path: str
    do: Callable[[Directory, Member], str | Shown]
    asks: Callable[[Member], Question | None] | None = None
    fields: tuple[str, ...] = ()


def ref(member: Member) -> str:
    """How addresses name the member: by the username, but where that is a word of the addresses themselves."""
    return str(member.id) if member.username.lower() == "add" else member.username


def add_to(blueprint: Blueprint, services: Services) -> Show:
    """Add the page of a member and what its forms do; gives what makes the page."""
    directory = services.directory

    def show(
        account: Account, asked: Asked = _NOTHING, *, problem: str = "", refused: str = "", shown: Shown | None = None
    ) -> str:
        member = account.member
        own = tokens.newest(directory.tokens(member), asked.tokens)
        clients = tokens.newest(directory.clients.of(member), asked.clients)
        return render_template(
            "member.html",
            account=account,
            member=member,
            ref=ref(member),
            asked=asked,
            part=directory.find_memberships(member, "", asked.after, tokens.PART),
            roles=[role.value for role in Role],
            tokens=own,
            clients=clients,
            told=tokens.telling(
                directory, [*(one.token_scope for one in own.items), *(one.token_scope for one in clients.items)]
            ),
            expires=tokens.CHOICES,
            problem=problem,
            refused=refused,
            typed=forms.again(refused),
            shown=shown,
        )

    @blueprint.get("/dashboard/members/<member>", provide_automatic_options=False)
    def member(member: str) -> str:
        after, of_tokens, of_clients, group = (str(value_of(one)) for one in (AFTER, TOKENS, _CLIENTS, _GROUP))
        done = _DONE.get(str(value_of(DONE)), "")
        return show(directory.account(member), Asked(after, of_tokens, of_clients, group, done))

    for act in _ACTS:
        endpoint = "member_" + act.path.replace("/", "_").replace("-", "_")
        view = _acting(directory, show, act)
        blueprint.add_url_rule(
            f"/dashboard/members/<member>/{act.path}", endpoint, view, methods=["POST"], provide_automatic_options=False
        )

    def ask(found: Member, problem: str = "") -> str:
        return render_template("remove.html", kind="member", name=found.username, ref=ref(found), problem=problem)

    @blueprint.get("/dashboard/members/<member>/remove", provide_automatic_options=False)
    def member_remove(member: str) -> str:
        return ask(directory.find_member(member))

    @blueprint.post("/dashboard/members/<member>/remove", provide_automatic_options=False)
    def member_remove_post(member: str) -> AnyResponse:
        found = directory.find_member(member)
        try:
            forms.check_typed(found.username)
            directory.by(request_origin()).remove_member(found)
        except (BadParameter, Conflict) as error:
            return _refused(ask(found, error.message), error)
        return redirect(url_for("pages.members", done="removed"), 303)

    return show


def _acting(directory: Directory, show: Show, act: _Act) -> Callable[[str], AnyResponse | str]:
    """A view that does something with a member and leads back to the member's page, or shows what was made."""

    def view(member: str) -> AnyResponse | str:
        account = directory.account(member)
        try:
            if act.asks and not forms.is_sure() and (question := act.asks(account.member)):
                return forms.ask(question, act.fields, url_for("pages.member", member=ref(account.member)))
            done = act.do(directory, account.member)
        except MemberNotFound:
            raise
        except (BadParameter, Conflict, NotFound) as error:
            return _refused(show(account, problem=error.message, refused=act.path), error)
        if isinstance(done, Shown):
            # No redirect: a secret is shown in this answer and nowhere else.
            return show(account, shown=done)
        return redirect(url_for("pages.member", member=ref(account.member), done=done), 303)

    return view


def _refused(page: str, error: PsthreadsError) -> Response:
    return Response(page, error.status)


def _unlock(directory: Directory, member: Member) -> str:
    directory.by(request_origin()).unlock(member)
    return "unlocked"


def _sign_out(directory: Directory, member: Member) -> str:
    directory.by(request_origin()).sign_out_everywhere(member)
    return "signed-out"


def _administrator(directory: Directory, member: Member) -> str:
    admin = forms.text("admin") == "on"
    directory.by(request_origin()).set_admin(member, admin=admin)
    return "admin-on" if admin else "admin-off"


def _password(directory: Directory, member: Member) -> str | Shown:
    password = request.form.get("password", "")
    made = "" if password else passwords.generate()
    directory.by(request_origin()).change_password(member, password or made)
    return Shown("new password", (("Password", made),)) if made else "password"


def _set_role(directory: Directory, member: Member) -> str:
    group, role = directory.find_group(forms.text("group")), forms.role()
    directory.by(request_origin()).set_membership(member, group, role)
    return "role"


def _remove_role(directory: Directory, member: Member) -> str:
    directory.by(request_origin()).remove_membership(member, directory.find_group(forms.text("group")))
    return "role-removed"


def _revoke_token(directory: Directory, member: Member) -> str:
    tokens.revoke(directory, member)
    return "token-revoked"


def _add_client(directory: Directory, member: Member) -> Shown:
    name, token_scope = forms.text("name"), forms.token_scope(directory)
    client_id, secret = directory.by(request_origin()).add_client(member, name, token_scope)
    return Shown(f"client '{name}'", (("Client id", client_id), ("Client secret", secret)))


def _remove_client(directory: Directory, member: Member) -> str:
    directory.by(request_origin()).remove_client(member, forms.text("name"))
    return "client-removed"


def _ask_administrator(member: Member) -> Question:
    if forms.text("admin") == "on":
        note = "Administrators may see, start and stop everything on this server, and decide who else may."
        return Question(f"Make {member.username} an administrator?", "Make an administrator", note)
    note = "Only the roles in groups are left then."
    return Question(f"Take the administrator's rights of {member.username} away?", "Take the rights away", note)


def _ask_password(member: Member) -> Question | None:
    if request.form.get("password", ""):
        return None  # Typed on purpose, and not to be sent to and fro.
    note = "The old one is of no use then, and the sessions end. The new one is shown once."
    return Question(f"Make a new password for {member.username}?", "Make a password", note)


def end_of(member: Member, group: str) -> Question:
    """What is asked before a membership ends."""
    title = f"End the membership of {member.username} in {group}?"
    return Question(title, "End the membership", "The group is closed to the member at once. Threads stay.")


def _ask_remove_role(member: Member) -> Question:
    return end_of(member, forms.text("group"))


def _ask_remove_client(member: Member) -> Question:
    note = "It and its access tokens are refused from then on. This cannot be undone."
    return Question(f"Remove the client {forms.text('name')} of {member.username}?", "Remove the client", note)


_ACTS: Final = (
    _Act("unlock", _unlock),
    _Act("sign-out", _sign_out),
    _Act("administrator", _administrator, _ask_administrator, ("admin",)),
    _Act("password", _password, _ask_password, ("password",)),
    _Act("roles", _set_role),
    _Act("roles/remove", _remove_role, _ask_remove_role, ("group",)),
    _Act("tokens", tokens.create),
    _Act("tokens/revoke", _revoke_token, tokens.ask_revoke, ("name",)),
    _Act("clients", _add_client),
    _Act("clients/remove", _remove_client, _ask_remove_client, ("name",)),
)
