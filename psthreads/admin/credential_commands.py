"""The commands `psthreads admin token|client …`, for what programs sign in with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import click

from psthreads.admin import shell
from psthreads.admin.shell import as_json, of_member, say, show, with_reason
from psthreads.domain.access import TokenScope
from psthreads.domain.errors import BadParameter
from psthreads.domain.model import iso
from psthreads.identity.records import scope_words

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}
_DURATION: Final = re.compile(r"([0-9]{1,9})([smhdw])")

F = TypeVar("F", bound=Callable[..., Any])

token = click.Group("token", help="The tokens with which programs sign in.")
client = click.Group("client", help="The OAuth clients with which programs get access tokens.")


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
    account = shell.directory().find_member(member_ref)
    token_scope = _token_scope(group_refs, read_only=read_only, act_only=act_only)
    secret = shell.changes().create_token(account, name, seconds, token_scope)
    say(f"Token '{name}' of '{account.username}' is made. Keep it now: it is not shown again.")
    click.echo(secret)


@token.command("list")
@of_member
@as_json
def _token_list(member_ref: str, *, as_json: bool) -> None:
    """List a member's tokens, by name."""
    directory = shell.directory()
    tokens = directory.tokens(directory.find_member(member_ref))
    scopes = _scopes(it.token_scope for it in tokens)
    rows = (
        (it.name, text, iso(it.created), iso(it.expires) if it.expires else None)
        for it, text in zip(tokens, scopes, strict=True)
    )
    show(("name", "scope", "created", "expires"), rows, as_json=as_json)


@token.command("revoke")
@click.argument("name")
@of_member
@with_reason
def _token_revoke(name: str, member_ref: str) -> None:
    """End a token at once."""
    account = shell.directory().find_member(member_ref)
    shell.changes().revoke_token(account, name)
    say(f"Token '{name}' of '{account.username}' is revoked.")


@client.command("add")
@click.argument("name")
@of_member
@_scope_options
@with_reason
def _client_add(name: str, member_ref: str, group_refs: tuple[str, ...], *, read_only: bool, act_only: bool) -> None:
    """Make a client that acts as the member, and print its id and its secret, this once."""
    account = shell.directory().find_member(member_ref)
    token_scope = _token_scope(group_refs, read_only=read_only, act_only=act_only)
    client_id, secret = shell.changes().add_client(account, name, token_scope)
    say(f"Client '{name}' of '{account.username}' is made. Keep the secret in the second line: it is not shown again.")
    click.echo(client_id)
    click.echo(secret)


@client.command("register")
@click.argument("name")
@of_member
@click.option("--id", "client_id", required=True, metavar="ID", help="The id that the program has.")
@click.option("--secret-stdin", is_flag=True, help="Read the secret from standard input.")
@_scope_options
@with_reason
def _client_register(
    name: str,
    member_ref: str,
    client_id: str,
    group_refs: tuple[str, ...],
    *,
    secret_stdin: bool,
    read_only: bool,
    act_only: bool,
) -> None:
    """Make a client with the id and the secret of a program that moves here from PageSeeder."""
    account = shell.directory().find_member(member_ref)
    token_scope = _token_scope(group_refs, read_only=read_only, act_only=act_only)
    secret = shell.first_line("secret") if secret_stdin else str(click.prompt("Secret", hide_input=True, err=True))
    own_id, _ = shell.changes().add_client(account, name, token_scope, credentials=(client_id, secret))
    say(f"Client '{name}' of '{account.username}' is made. The program keeps its secret, and may write its id:")
    click.echo(own_id)


@client.command("list")
@of_member
@as_json
def _client_list(member_ref: str, *, as_json: bool) -> None:
    """List a member's clients."""
    clients = shell.directory().clients.of(shell.directory().find_member(member_ref))
    scopes = _scopes(it.token_scope for it in clients)
    rows = ((it.name, it.id, text, iso(it.created)) for it, text in zip(clients, scopes, strict=True))
    show(("name", "id", "scope", "created"), rows, as_json=as_json)


@client.command("remove")
@click.argument("name")
@of_member
@with_reason
def _client_remove(name: str, member_ref: str) -> None:
    """Remove a client, which ends its access tokens at once."""
    account = shell.directory().find_member(member_ref)
    shell.changes().remove_client(account, name)
    say(f"Client '{name}' of '{account.username}' is removed, and its access tokens are ended.")


def _token_scope(group_refs: tuple[str, ...], *, read_only: bool, act_only: bool) -> TokenScope | None:
    if read_only and act_only:
        raise click.UsageError("Use --read-only or --act-only, not both.")
    if not (read_only or act_only or group_refs):
        return None
    directory = shell.directory()
    groups = frozenset(directory.find_group(ref).id for ref in group_refs) if group_refs else None
    return TokenScope(not act_only, not read_only, groups)


def _scopes(token_scopes: Iterable[TokenScope | None]) -> list[str]:
    """Return each scope in words; the names of all their groups are read at once."""
    scopes = list(token_scopes)
    groups = [("group", group) for it in scopes if it is not None for group in it.groups or ()]
    names = {group: name for (_, group), name in shell.directory().names(groups).items()}
    return [scope_words(it, names) for it in scopes]


def _seconds(duration: str) -> int:
    if not (parts := _DURATION.fullmatch(duration)):
        raise BadParameter("expires", f"'{duration}' is not a time: write one like 90s, 30m, 12h, 30d or 8w.")
    return int(parts[1]) * _SECONDS[parts[2]]
