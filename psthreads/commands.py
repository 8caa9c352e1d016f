"""Flask's command line for the directory: `flask --app app member|group|membership|token …`.

Standard output carries only what was asked for: a list, a new password, a new token. What was done, and
what went wrong, is one sentence on standard error; a domain error ends with exit code 1.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar, cast

import click
from flask import Flask, current_app
from flask.cli import AppGroup

from psthreads import passwords
from psthreads.access import Role
from psthreads.directory import Directory
from psthreads.errors import BadParameter, PsthreadsError
from psthreads.model import iso

_EXTENSION: Final = "psthreads.directory"
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}
_DURATION: Final = re.compile(r"([0-9]{1,9})([smhdw])")

F = TypeVar("F", bound=Callable[..., Any])


class _Commands(AppGroup):
    """A group of commands whose domain errors are sentences for whoever typed them."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a domain error ends it with exit code 1."""
        try:
            return super().invoke(ctx)
        except PsthreadsError as error:
            raise click.ClickException(error.message) from error


_member = _Commands("member", help="Who may sign in.")
_group = _Commands("group", help="The groups that members and documents belong to.")
_membership = _Commands("membership", help="Who has which role in which group.")
_token = _Commands("token", help="The tokens with which programs sign in.")


def register(app: Flask, directory: Callable[[], Directory]) -> None:
    """Add the four groups of commands to the app. The directory is asked for when a command runs."""
    app.extensions[_EXTENSION] = directory
    for commands in (_member, _group, _membership, _token):
        app.cli.add_command(commands)


_as_json = click.option("--json", "as_json", is_flag=True, help="A JSON list instead of a table.")
_of_member = click.option("--member", "member_ref", required=True, metavar="MEMBER", help="Username or id.")


def _password_options(command: F) -> F:
    """Add the two ways to give a password without typing it.

    There is none to give it as an argument, where the machine's other users could read it.
    """
    stdin = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
    generate = click.option("--generate", is_flag=True, help="Make a random password and print it once.")
    return stdin(generate(command))


@_member.command("add")
@click.argument("username")
@click.option("--admin", is_flag=True, help="Make the member an administrator.")
@_password_options
def _member_add(username: str, *, admin: bool, password_stdin: bool, generate: bool) -> None:
    """Add a member."""
    password = _new_password(from_stdin=password_stdin, generate=generate)
    member = _directory().add_member(username, password, admin=admin)
    _say(f"Member '{member.username}' added with id {member.id}.")
    if generate:
        click.echo(password)


@_member.command("list")
@_as_json
def _member_list(*, as_json: bool) -> None:
    """List the members."""
    members = _directory().members()
    _show(("id", "username", "admin"), ((m.id, m.username, m.admin) for m in members), as_json=as_json)


@_member.command("passwd")
@click.argument("member")
@_password_options
def _member_passwd(member: str, *, password_stdin: bool, generate: bool) -> None:
    """Change a member's password, which ends their sessions."""
    directory = _directory()
    found = directory.find_member(member)
    password = _new_password(from_stdin=password_stdin, generate=generate)
    directory.change_password(found, password)
    _say(f"The password of '{found.username}' is changed, and their sessions are ended.")
    if generate:
        click.echo(password)


@_member.command("admin")
@click.argument("member")
@click.option("--on/--off", default=True, help="Make them an administrator (default), or no longer one.")
def _member_admin(member: str, *, on: bool) -> None:
    """Make a member an administrator, or no longer one."""
    directory = _directory()
    found = directory.set_admin(directory.find_member(member), admin=on)
    _say(f"Member '{found.username}' is {'now' if on else 'not'} an administrator.")


@_member.command("sign-out")
@click.argument("member")
def _member_sign_out(member: str) -> None:
    """End all sessions of a member, not their tokens."""
    directory = _directory()
    found = directory.find_member(member)
    directory.sign_out_everywhere(found)
    _say(f"All sessions of '{found.username}' are ended.")


@_member.command("remove")
@click.argument("member")
def _member_remove(member: str) -> None:
    """Remove a member with their memberships, sessions and tokens."""
    directory = _directory()
    found = directory.find_member(member)
    directory.remove_member(found)
    _say(f"Member '{found.username}' is removed.")


@_group.command("add")
@click.argument("name")
def _group_add(name: str) -> None:
    """Add a group."""
    group = _directory().add_group(name)
    _say(f"Group '{group.name}' added with id {group.id}.")


@_group.command("list")
@_as_json
def _group_list(*, as_json: bool) -> None:
    """List the groups."""
    _show(("id", "name"), ((group.id, group.name) for group in _directory().groups()), as_json=as_json)


@_group.command("remove")
@click.argument("group")
def _group_remove(group: str) -> None:
    """Remove a group and its memberships, not its documents and threads."""
    directory = _directory()
    found = directory.find_group(group)
    directory.remove_group(found)
    _say(f"Group '{found.name}' is removed.")


@_membership.command("set")
@click.argument("member")
@click.argument("group")
@click.argument("role", type=click.Choice([role.value for role in Role]))
def _membership_set(member: str, group: str, role: str) -> None:
    """Give a member this role in a group, in place of any other."""
    directory = _directory()
    made = directory.set_membership(directory.find_member(member), directory.find_group(group), Role(role))
    _say(f"Member '{made.member.username}' is {made.role.value} in group '{made.group.name}'.")


@_membership.command("remove")
@click.argument("member")
@click.argument("group")
def _membership_remove(member: str, group: str) -> None:
    """End a member's membership in a group."""
    directory = _directory()
    found, place = directory.find_member(member), directory.find_group(group)
    directory.remove_membership(found, place)
    _say(f"Member '{found.username}' is no longer in group '{place.name}'.")


@_membership.command("list")
@click.option("--member", "member_ref", metavar="MEMBER", help="The groups of this member.")
@click.option("--group", "group_ref", metavar="GROUP", help="The members of this group.")
@_as_json
def _membership_list(member_ref: str | None, group_ref: str | None, *, as_json: bool) -> None:
    """List memberships: all of them, or a member's, or a group's."""
    directory = _directory()
    if member_ref is not None:
        found = directory.memberships(directory.find_member(member_ref))
        if group_ref is not None:
            group = directory.find_group(group_ref)
            found = tuple(it for it in found if it.group == group)
    else:
        groups = directory.groups() if group_ref is None else (directory.find_group(group_ref),)
        found = tuple(it for group in groups for it in directory.members_of(group))
    rows = ((it.member.username, it.group.name, it.role.value) for it in found)
    _show(("member", "group", "role"), rows, as_json=as_json)


@_token.command("create")
@click.argument("name")
@_of_member
@click.option("--expires", metavar="TIME", help="When it ends: 90s, 30m, 12h, 30d or 8w from now; else never.")
def _token_create(name: str, member_ref: str, expires: str | None) -> None:
    """Make a token and print it, this once."""
    seconds = None if expires is None else _seconds(expires)
    directory = _directory()
    found = directory.find_member(member_ref)
    plain = directory.create_token(found, name, seconds)
    _say(f"Token '{name}' of '{found.username}' is made. Keep it now: it is not shown again.")
    click.echo(plain)


@_token.command("list")
@_of_member
@_as_json
def _token_list(member_ref: str, *, as_json: bool) -> None:
    """List a member's tokens, by name."""
    directory = _directory()
    tokens = directory.tokens(directory.find_member(member_ref))
    rows = ((it.name, iso(it.created), iso(it.expires) if it.expires else None) for it in tokens)
    _show(("name", "created", "expires"), rows, as_json=as_json)


@_token.command("revoke")
@click.argument("name")
@_of_member
def _token_revoke(name: str, member_ref: str) -> None:
    """End a token at once."""
    directory = _directory()
    found = directory.find_member(member_ref)
    directory.revoke_token(found, name)
    _say(f"Token '{name}' of '{found.username}' is revoked.")


def _directory() -> Directory:
    return cast("Directory", current_app.extensions[_EXTENSION]())


def _new_password(*, from_stdin: bool, generate: bool) -> str:
    if from_stdin and generate:
        raise click.UsageError("Use --password-stdin or --generate, not both.")
    if generate:
        return passwords.generate()
    if from_stdin:
        try:
            return sys.stdin.readline().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise BadParameter("password", "The password is no text: write it in UTF-8.") from error
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


def _seconds(duration: str) -> int:
    if not (parts := _DURATION.fullmatch(duration)):
        raise BadParameter("expires", f"'{duration}' is not a time: write one like 90s, 30m, 12h, 30d or 8w.")
    return int(parts[1]) * _SECONDS[parts[2]]


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)


def _show(columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=2))
        return
    table = [columns, *(tuple(map(_word, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _word(cell: object) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return "never" if cell is None else str(cell)
