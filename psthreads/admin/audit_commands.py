"""Flask's command line for the audit: `flask --app app audit export`."""

from __future__ import annotations

from typing import Final

import click
from flask import Flask, current_app

from psthreads.admin.shell import Commands
from psthreads.audit.entries import ACTS, KINDS, Audit, AuditQuery
from psthreads.audit.export import FORMATS, pieces
from psthreads.authoring.parameter import read_timestamp

_EXTENSION: Final = "psthreads.audit.entries"
_audit = Commands("audit", help="Who did what, when, from where and why.")


def register(app: Flask, audit: Audit) -> None:
    """Add the commands to the app."""
    app.extensions[_EXTENSION] = audit
    app.cli.add_command(_audit)


@_audit.command("export")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="csv", help="CSV (default) or JSON lines.")
@click.option("--by", default="", metavar="NAME", help="Who did it: a name or an id.")
@click.option(
    "--act",
    type=click.Choice(["", *KINDS, *ACTS]),
    default="",
    metavar="ACT",
    help="An act, such as role.set, or its kind, such as role.",
)
@click.option("--subject", default="", metavar="NAME", help="To what it was done: a name or an id.")
@click.option("--group", default="", metavar="GROUP", help="In which group: its name or id.")
@click.option("--since", default="", metavar="TIME", help="From when on, such as 2026-01-31T12:00, in UTC.")
@click.option("--until", default="", metavar="TIME", help="Before when.")
def _export(form: str, by: str, act: str, subject: str, group: str, since: str, until: str) -> None:
    """Write the audit to standard output, newest first."""
    wanted = AuditQuery(by, act, subject, group, read_timestamp("since", since), read_timestamp("until", until))
    audit: Audit = current_app.extensions[_EXTENSION]
    for piece in pieces(audit.export(wanted), form):
        click.echo(piece.encode(), nl=False)  # As bytes: a line of CSV ends with CR and LF.
