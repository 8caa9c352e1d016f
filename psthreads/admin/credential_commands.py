"""Flask's command line for what programs sign in with: `flask --app app token|client …`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import click

from psthreads.admin import shell
from psthreads.admin.shell import Commands, as_json, of_member, say, show, with_reason
from psthreads.domain.access import TokenScope
from psthreads.domain.errors import BadParameter
from psthreads.domain.model import iso
from psthreads.identity.records import scope

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}
_DURATION: Final = re.compile(r"([0-9]{1,9})([smhdw])")

F = TypeVar("F", bound=Callable[..., Any])

token = Commands("token", help="The tokens with which programs sign in.")
client = Commands("client", help="The OAuth clients with which programs get access tokens.")


def _scope_options(command: F) -> F:
    """Add the ways to narrow what the member may do."""
    read_only = click.option("--read-only", is_flag=True, help="It may only read.")
    act_only = click.option("--act-only", is_flag=True, help="It may only start, change and cancel.")
    groups = click.option("--group", "group_refs", multiple=True, metavar="GROUP", help="It is for this group only.")
    return read_only(act_only(groups(command)))


@token.command("create")
@click.argument("name")
@of_member
@click.option("--expires", metavar="TIME", help="When it ends: 90s, 30m, 12h, 30d or 8w from now; else never.")
@_scope_options
@with_reason
def _token_create(
    name: str, member_ref: str, expires: str | None, group_refs: tuple[str, ...], *, read_only: bool, act_only: bool
) -> None:
    """Make a token and print it, this once."""
    seconds = None if expires is None else _seconds(expires)
    directory = shell.directory()
    found = directory.find_member(member_ref)
    token_scope = _token_scope(group_refs, read_only=read_only, act_only=act_only)
    plain = shell.changes().create_token(found, name, seconds, token_scope)
    say(f"Token '{name}' of '{found.username}' is made. Keep it now: it is not shown again.")
    click.echo(plain)


@token.command("list")
@of_member
@as_json
def _token_list(member_ref: str, *, as_json: bool) -> None:
    """List a member's tokens, by name."""
    directory = shell.directory()
    tokens = directory.tokens(directory.find_member(member_ref))
    told = _told(it.token_scope for it in tokens)
    rows = ((it.name, told(it.token_scope), iso(it.created), iso(it.expires) if it.expires else None) for it in tokens)
    show(("name", "scope", "created", "expires"), rows, as_json=as_json)


@token.command("revoke")
@click.argument("name")
@of_member
@with_reason
def _token_revoke(name: str, member_ref: str) -> None:
    """End a token at once."""
    directory = shell.directory()
    found = directory.find_member(member_ref)
    shell.changes().revoke_token(found, name)
    say(f"Token '{name}' of '{found.username}' is revoked.")


@client.command("add")
@click.argument("name")
@of_member
@_scope_options
@with_reason
def _client_add(name: str, member_ref: str, group_refs: tuple[str, ...], *, read_only: bool, act_only: bool) -> None:
    """Make a client that acts as the member, and print its id and its secret, this once."""
    found = shell.directory().find_member(member_ref)
    token_scope = _token_scope(group_refs, read_only=read_only, act_only=act_only)
    client_id, secret = shell.changes().add_client(found, name, token_scope)
    say(f"Client '{name}' of '{found.username}' is made. Keep its secret, the second line, now: it is not shown again.")
    click.echo(client_id)
    click.echo(secret)


@client.command("list")
@of_member
@as_json
def _client_list(member_ref: str, *, as_json: bool) -> None:
    """List a member's clients."""
    found = shell.directory().clients.of(shell.directory().find_member(member_ref))
    told = _told(it.token_scope for it in found)
    rows = ((it.name, it.id, told(it.token_scope), iso(it.created)) for it in found)
    show(("name", "id", "scope", "created"), rows, as_json=as_json)


@client.command("remove")
@click.argument("name")
@of_member
@with_reason
def _client_remove(name: str, member_ref: str) -> None:
    """Remove a client, which ends its access tokens at once."""
    found = shell.directory().find_member(member_ref)
    shell.changes().remove_client(found, name)
    say(f"Client '{name}' of '{found.username}' is removed, and its access tokens are ended.")


def _token_scope(group_refs: tuple[str, ...], *, read_only: bool, act_only: bool) -> TokenScope | None:
    if read_only and act_only:
        raise click.UsageError("Use --read-only or --act-only, not both.")
    if not (read_only or act_only or group_refs):
        return None
    directory = shell.directory()
    groups = frozenset(directory.find_group(ref).id for ref in group_refs) if group_refs else None
    return TokenScope(not act_only, not read_only, groups)


def _told(reaches: Iterable[TokenScope | None]) -> Callable[[TokenScope | None], str]:
    """What says to what tokens or clients are narrowed; the names of all their groups are read at once."""
    wanted = [
        ("group", group) for token_scope in reaches if token_scope is not None for group in token_scope.groups or ()
    ]
    names = {group: name for (_, group), name in shell.directory().names(wanted).items()}
    return lambda token_scope: scope(token_scope, names)


def _seconds(duration: str) -> int:
    if not (parts := _DURATION.fullmatch(duration)):
        raise BadParameter("expires", f"'{duration}' is not a time: write one like 90s, 30m, 12h, 30d or 8w.")
    return int(parts[1]) * _SECONDS[parts[2]]
