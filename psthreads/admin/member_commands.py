"""The commands `psthreads admin member|group|membership …`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from psthreads.admin import shell
from psthreads.admin.shell import as_json, keep_threads, say, show, with_reason
from psthreads.domain.access import Role
from psthreads.domain.model import iso
from psthreads.identity import passwords

F = TypeVar("F", bound=Callable[..., Any])


member = click.Group("member", help="Who may sign in.")
group = click.Group("group", help="The groups that members and documents belong to.")
membership = click.Group("membership", help="Who has which role in which group.")


def _password_options(command: F) -> F:
    """Add the two ways to give a password without typing it.

    There is none to give it as an argument, where the machine's other users could read it.
    """
    stdin = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
    generate = click.option("--generate", is_flag=True, help="Make a random password and print it once.")
    return stdin(generate(command))


@member.command("add")
@click.argument("username")
@click.option("--admin", is_flag=True, help="Make the member an administrator.")
@_password_options
@with_reason
def _member_add(username: str, *, admin: bool, password_stdin: bool, generate: bool) -> None:
    """Add a member."""
    password = _new_password(from_stdin=password_stdin, generate=generate)
    account = shell.changes().add_member(username, password, admin=admin)
    say(f"Member '{account.username}' added with id {account.id}.")
    if generate:
        click.echo(password)


@member.command("list")
@as_json
def _member_list(*, as_json: bool) -> None:
    """List the members."""
    directory = shell.directory()
    locks = {account.member.id: iso(account.locked) for account in directory.locked()}
    rows = ((m.id, m.username, m.admin, locks.get(m.id, False)) for m in directory.members())
    show(("id", "username", "admin", "locked"), rows, as_json=as_json)


@member.command("passwd")
@click.argument("member")
@_password_options
@with_reason
def _member_passwd(member: str, *, password_stdin: bool, generate: bool) -> None:
    """Change a member's password, which ends their sessions."""
    account = shell.directory().find_member(member)
    password = _new_password(from_stdin=password_stdin, generate=generate)
    shell.changes().change_password(account, password)
    say(f"The password of '{account.username}' is changed, and their sessions are ended.")
    if generate:
        click.echo(password)


@member.command("admin")
@click.argument("member")
@click.option("--on/--off", default=True, help="Make them an administrator (default), or no longer one.")
@with_reason
def _member_admin(member: str, *, on: bool) -> None:
    """Make a member an administrator, or no longer one."""
    account = shell.changes().set_admin(shell.directory().find_member(member), admin=on)
    say(f"Member '{account.username}' is {'now' if on else 'not'} an administrator.")


@member.command("sign-out")
@click.argument("member")
@with_reason
def _member_sign_out(member: str) -> None:
    """End all sessions of a member, not their tokens."""
    account = shell.directory().find_member(member)
    shell.changes().sign_out_everywhere(account)
    say(f"All sessions of '{account.username}' are ended.")


@member.command("unlock")
@click.argument("member")
@with_reason
def _member_unlock(member: str) -> None:
    """Let a member sign in again whose account was locked after too many wrong passwords."""
    account = shell.directory().find_member(member)
    was_locked = shell.changes().unlock(account)
    say(f"The account of '{account.username}' {'is unlocked' if was_locked else 'was not locked'}.")


@member.command("unbind")
@click.argument("member")
@with_reason
def _member_unbind(member: str) -> None:
    """Unbind a member from their identity at the OpenID provider, so that another one can be bound."""
    account = shell.directory().find_member(member)
    was_bound = shell.changes().unbind(account)
    say(f"The account of '{account.username}' {'is unbound' if was_bound else 'was not bound'}.")


@member.command("remove")
@click.argument("member")
@keep_threads
@with_reason
def _member_remove(member: str, *, keep_threads: bool) -> None:
    """Remove a member with their memberships, sessions and tokens."""
    account = shell.directory().find_member(member)
    shell.changes().remove_member(account, keep_threads=keep_threads)
    cancelled = "" if keep_threads else shell.cancel_waiting(account)
    say(f"Member '{account.username}' is removed.{cancelled}")


@group.command("add")
@click.argument("name")
@with_reason
def _group_add(name: str) -> None:
    """Add a group."""
    new = shell.changes().add_group(name)
    say(f"Group '{new.name}' added with id {new.id}.")


@group.command("list")
@as_json
def _group_list(*, as_json: bool) -> None:
    """List the groups."""
    show(("id", "name"), ((it.id, it.name) for it in shell.directory().groups()), as_json=as_json)


@group.command("remove")
@click.argument("group")
@with_reason
def _group_remove(group: str) -> None:
    """Remove a group and its memberships, not its documents and threads."""
    place = shell.directory().find_group(group)
    shell.changes().remove_group(place)
    say(f"Group '{place.name}' is removed.")


@membership.command("set")
@click.argument("member")
@click.argument("group")
@click.argument("role", type=click.Choice([role.value for role in Role]))
@with_reason
def _membership_set(member: str, group: str, role: str) -> None:
    """Give a member this role in a group, in place of any other."""
    directory = shell.directory()
    new = shell.changes().set_membership(directory.find_member(member), directory.find_group(group), Role(role))
    say(f"Member '{new.member.username}' is {new.role.value} in group '{new.group.name}'.")


@membership.command("remove")
@click.argument("member")
@click.argument("group")
@keep_threads
@with_reason
def _membership_remove(member: str, group: str, *, keep_threads: bool) -> None:
    """End a member's membership in a group."""
    directory = shell.directory()
    account, place = directory.find_member(member), directory.find_group(group)
    shell.changes().remove_membership(account, place, keep_threads=keep_threads)
    cancelled = "" if keep_threads else shell.cancel_waiting(account, place)
    say(f"Member '{account.username}' is no longer in group '{place.name}'.{cancelled}")


@membership.command("list")
@click.option("--member", "member_ref", metavar="MEMBER", help="The groups of this member.")
@click.option("--group", "group_ref", metavar="GROUP", help="The members of this group.")
@as_json
def _membership_list(member_ref: str | None, group_ref: str | None, *, as_json: bool) -> None:
    """List memberships: all of them, or a member's, or a group's."""
    directory = shell.directory()
    if member_ref is not None:
        memberships = directory.memberships(directory.find_member(member_ref))
        if group_ref is not None:
            place = directory.find_group(group_ref)
            memberships = tuple(it for it in memberships if it.group == place)
    else:
        groups = directory.groups() if group_ref is None else (directory.find_group(group_ref),)
        memberships = tuple(it for place in groups for it in directory.members_of(place))
    rows = ((it.member.username, it.group.name, it.role.value) for it in memberships)
    show(("member", "group", "role"), rows, as_json=as_json)


def _new_password(*, from_stdin: bool, generate: bool) -> str:
    if from_stdin and generate:
        raise click.UsageError("Use --password-stdin or --generate, not both.")
    if generate:
        return passwords.generate()
    if from_stdin:
        return shell.first_line("password")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
