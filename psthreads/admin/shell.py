"""What the groups of commands share: where they find the directory, and how they show what they found.

Standard output carries only what was asked for: a list, a new password, a new token. What was done, and
what went wrong, is one sentence on standard error; a domain error ends with exit code 1.
"""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

import click
from flask import Flask, current_app
from flask.cli import AppGroup

from psthreads.audit.entries import Origin
from psthreads.domain.errors import PsthreadsError
from psthreads.identity.administration import Administration
from psthreads.identity.directory import Directory

_EXTENSION: Final = "psthreads.identity.directory"
_REASON: Final = "psthreads.reason"


class Commands(AppGroup):
    """A group of commands whose domain errors are sentences for whoever typed them."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a domain error ends it with exit code 1."""
        try:
            return super().invoke(ctx)
        except PsthreadsError as error:
            raise click.ClickException(error.message) from error


as_json = click.option("--json", "as_json", is_flag=True, help="A JSON list instead of a table.")


def _keep_reason(context: click.Context, _: click.Parameter, reason: str) -> None:
    context.meta[_REASON] = reason


with_reason = click.option(
    "--reason", default="", metavar="TEXT", expose_value=False, callback=_keep_reason, help="Why, for the audit."
)
of_member = click.option("--member", "member_ref", required=True, metavar="MEMBER", help="Username or id.")


def install(app: Flask, directory: Callable[[], Directory]) -> None:
    """Say where the commands find the directory, which they ask for when they run."""
    app.extensions[_EXTENSION] = directory


def directory() -> Directory:
    """The directory."""
    return cast("Directory", current_app.extensions[_EXTENSION]())


def changes() -> Administration:
    """What can be changed, by the user of this machine who typed the command."""
    reason = click.get_current_context().meta.get(_REASON, "")
    return directory().by(Origin(f"console:{_user()}", reason=reason))


def _user() -> str:
    # What the environment says of it could be anything.
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def say(sentence: str) -> None:
    """Tell whoever typed the command what was done."""
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
