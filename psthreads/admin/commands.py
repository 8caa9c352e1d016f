"""Flask's command line for the directory: `flask --app app member|group|membership …`; the rest is beside it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
from flask import Flask

from psthreads.admin import credential_commands, shell
from psthreads.admin.shell import Commands, as_json, say, show, with_reason
from psthreads.domain.access import Role
from psthreads.domain.errors import BadParameter
from psthreads.domain.model import iso
from psthreads.identity import passwords
from psthreads.identity.directory import Directory

F = TypeVar("F", bound=Callable[..., Any])


_member = Commands("member", help="Who may sign in.")
_group = Commands("group", help="The groups that members and documents belong to.")
_membership = Commands("membership", help="Who has which role in which group.")


def register(app: Flask, directory: Callable[[], Directory]) -> None:
    """Add the groups of commands to the app. The directory is asked for when a command runs."""
    shell.install(app, directory)
    for commands in (_member, _group, _membership, credential_commands.token, credential_commands.client):
        app.cli.add_command(commands)


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
@with_reason
def _member_add(username: str, *, admin: bool, password_stdin: bool, generate: bool) -> None:
    """Add a member."""
    password = _new_password(from_stdin=password_stdin, generate=generate)
    member = shell.changes().add_member(username, password, admin=admin)
    say(f"Member '{member.username}' added with id {member.id}.")
    if generate:
        click.echo(password)


@_member.command("list")
@as_json
def _member_list(*, as_json: bool) -> None:
    """List the members."""
    directory = shell.directory()
    locks = {account.member.id: iso(account.locked) for account in directory.locked()}
    rows = ((m.id, m.username, m.admin, locks.get(m.id, False)) for m in directory.members())
    show(("id", "username", "admin", "locked"), rows, as_json=as_json)


@_member.command("passwd")
@click.argument("member")
@_password_options
@with_reason
def _member_passwd(member: str, *, password_stdin: bool, generate: bool) -> None:
    """Change a member's password, which ends their sessions."""
    directory = shell.directory()
    found = directory.find_member(member)
    password = _new_password(from_stdin=password_stdin, generate=generate)
    shell.changes().change_password(found, password)
    say(f"The password of '{found.username}' is changed, and their sessions are ended.")
    if generate:
        click.echo(password)


@_member.command("admin")
@click.argument("member")
@click.option("--on/--off", default=True, help="Make them an administrator (default), or no longer one.")
@with_reason
def _member_admin(member: str, *, on: bool) -> None:
    """Make a member an administrator, or no longer one."""
    directory = shell.directory()
    found = shell.changes().set_admin(directory.find_member(member), admin=on)
    say(f"Member '{found.username}' is {'now' if on else 'not'} an administrator.")


@_member.command("sign-out")
@click.argument("member")
@with_reason
def _member_sign_out(member: str) -> None:
    """End all sessions of a member, not their tokens."""
    directory = shell.directory()
    found = directory.find_member(member)
    shell.changes().sign_out_everywhere(found)
    say(f"All sessions of '{found.username}' are ended.")


@_member.command("unlock")
@click.argument("member")
@with_reason
def _member_unlock(member: str) -> None:
    """Let a member sign in again whose account was locked after too many wrong passwords."""
    directory = shell.directory()
    found = directory.find_member(member)
    if shell.changes().unlock(found):
        say(f"The account of '{found.username}' is unlocked.")
    else:
        say(f"The account of '{found.username}' was not locked.")


@_member.command("remove")
@click.argument("member")
@with_reason
def _member_remove(member: str) -> None:
    """Remove a member with their memberships, sessions and tokens."""
    directory = shell.directory()
    found = directory.find_member(member)
    shell.changes().remove_member(found)
    say(f"Member '{found.username}' is removed.")


@_group.command("add")
@click.argument("name")
@with_reason
def _group_add(name: str) -> None:
    """Add a group."""
    group = shell.changes().add_group(name)
    say(f"Group '{group.name}' added with id {group.id}.")


@_group.command("list")
@as_json
def _group_list(*, as_json: bool) -> None:
    """List the groups."""
    show(("id", "name"), ((group.id, group.name) for group in shell.directory().groups()), as_json=as_json)


@_group.command("remove")
@click.argument("group")
@with_reason
def _group_remove(group: str) -> None:
    """Remove a group and its memberships, not its documents and threads."""
    directory = shell.directory()
    found = directory.find_group(group)
    shell.changes().remove_group(found)
    say(f"Group '{found.name}' is removed.")


@_membership.command("set")
@click.argument("member")
@click.argument("group")
@click.argument("role", type=click.Choice([role.value for role in Role]))
@with_reason
def _membership_set(member: str, group: str, role: str) -> None:
    """Give a member this role in a group, in place of any other."""
    directory = shell.directory()
    made = shell.changes().set_membership(directory.find_member(member), directory.find_group(group), Role(role))
    say(f"Member '{made.member.username}' is {made.role.value} in group '{made.group.name}'.")


@_membership.command("remove")
@click.argument("member")
@click.argument("group")
@with_reason
def _membership_remove(member: str, group: str) -> None:
    """End a member's membership in a group."""
    directory = shell.directory()
    found, place = directory.find_member(member), directory.find_group(group)
    shell.changes().remove_membership(found, place)
    say(f"Member '{found.username}' is no longer in group '{place.name}'.")


@_membership.command("list")
@click.option("--member", "member_ref", metavar="MEMBER", help="The groups of this member.")
@click.option("--group", "group_ref", metavar="GROUP", help="The members of this group.")
@as_json
def _membership_list(member_ref: str | None, group_ref: str | None, *, as_json: bool) -> None:
    """List memberships: all of them, or a member's, or a group's."""
    directory = shell.directory()
    if member_ref is not None:
        found = directory.memberships(directory.find_member(member_ref))
        if group_ref is not None:
            group = directory.find_group(group_ref)
            found = tuple(it for it in found if it.group == group)
    else:
        groups = directory.groups() if group_ref is None else (directory.find_group(group_ref),)
        found = tuple(it for group in groups for it in directory.members_of(group))
    rows = ((it.member.username, it.group.name, it.role.value) for it in found)
    show(("member", "group", "role"), rows, as_json=as_json)


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
