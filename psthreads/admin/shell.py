"""What the operator's commands share: the directory in Redis, and how they print.

Standard output carries only results: a list, a new password, a new token. Confirmations and errors are one sentence on
standard error.
"""

from __future__ import annotations

import json
import os
import pwd
import sys
from collections.abc import Iterable
from typing import Any, Final

import click
from redis import Redis

from psthreads.audit.entries import Origin
from psthreads.authoring.registry import Registry
from psthreads.database.connection import check_server, connect, ride_out_failover
from psthreads.domain.access import Group, Member
from psthreads.domain.config import Config
from psthreads.domain.errors import BadParameter
from psthreads.domain.model import SERVER_WIDE
from psthreads.identity.administration import Administration
from psthreads.identity.directory import Directory
from psthreads.identity.throttles import Throttles
from psthreads.threads import engine as engines
from psthreads.threads.engine import Engine
from psthreads.threads.scripts import ThreadScripts
from psthreads.threads.search import ThreadSearch
from psthreads.threads.store import ThreadStore

_DIRECTORY: Final = "psthreads.directory"
_REASON: Final = "psthreads.reason"

as_json = click.option("--json", "as_json", is_flag=True, help="A JSON list instead of a table.")


def _keep_reason(context: click.Context, _: click.Parameter, reason: str) -> None:
    context.meta[_REASON] = reason


with_reason = click.option(
    "--reason", default="", metavar="TEXT", expose_value=False, callback=_keep_reason, help="Why, for the audit."
)
keep_threads = click.option(
    "--keep-threads", is_flag=True, help="Let the member's waiting threads run, which are cancelled otherwise."
)
of_member = click.option("--member", "member_ref", required=True, metavar="MEMBER", help="Username or id.")


def redis(config: Config) -> Redis:
    """Connect to the Redis of these settings, until the command ends."""
    connection = connect(config.redis_url, connections=2)
    click.get_current_context().find_root().with_resource(connection)
    ride_out_failover(connection)
    check_server(connection)
    return connection


def directory() -> Directory:
    """Return the directory in the Redis of the environment's settings, the same one for the whole command.

    Raises ConfigError for wrong settings.
    """
    meta = click.get_current_context().meta
    if _DIRECTORY not in meta:
        config = Config.from_env()
        connection = redis(config)
        meta[_DIRECTORY] = Directory(connection, throttles=Throttles(connection, config), config=config)
    result: Directory = meta[_DIRECTORY]
    return result


def changes() -> Administration:
    """Return the directory's changes, on behalf of the user of this machine who typed the command."""
    return directory().by(_origin())


def cancel_waiting(member: Member, group: Group | None = None) -> str:
    """Cancel the member's waiting threads, in the group or in all; return a sentence on their number, or ''."""
    config = Config.from_env()
    connection = redis(config)
    scripts = ThreadScripts(connection, config)
    engine = Engine(connection, config, ThreadStore(connection, config, scripts), Registry())
    number = engines.cancel_waiting(
        engine, ThreadSearch(scripts), _origin(), member.id, group.id if group else SERVER_WIDE
    )
    return f" {number:,} waiting threads are cancelled." if number else ""


def _origin() -> Origin:
    return Origin(f"console:{_user()}", reason=click.get_current_context().meta.get(_REASON, ""))


def _user() -> str:
    # By the process's own user id: anybody can set USER to another name.
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def first_line(name: str) -> str:
    """Return the first line of standard input, a secret of this name. Raises BadParameter for what is no text."""
    try:
        return sys.stdin.readline().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise BadParameter(name, f"The {name} is not text: write it in UTF-8.") from error


def say(sentence: str) -> None:
    """Print a confirmation on standard error."""
    click.echo(sentence, err=True)


def show(columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]], *, as_json: bool) -> None:
    """Print a list, as a table or as JSON."""
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
