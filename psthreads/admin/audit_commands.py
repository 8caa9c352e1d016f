"""The command `psthreads admin audit export`."""

from __future__ import annotations

import click

from psthreads.admin import shell
from psthreads.audit.entries import ACTS, KEY, KINDS, REFUSALS, REFUSED_KEY, Audit, AuditQuery
from psthreads.audit.export import FORMATS, pieces
from psthreads.authoring.parameter import read_timestamp
from psthreads.domain.config import Config

audit = click.Group("audit", help="Who did what, when, from where and why.")


@audit.command()
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="csv", help="CSV (default) or JSON lines.")
@click.option("--by", default="", metavar="NAME", help="Who did it: a name or an id.")
@click.option(
    "--act",
    type=click.Choice(["", *KINDS, *ACTS, *REFUSALS]),
    default="",
    metavar="ACT",
    help="An act, such as role.set, or its kind, such as role.",
)
@click.option("--subject", default="", metavar="NAME", help="To what it was done: a name or an id.")
@click.option("--group", default="", metavar="GROUP", help="In which group: its name or id.")
@click.option("--since", default="", metavar="TIME", help="From when on, such as 2026-01-31T12:00, in UTC.")
@click.option("--until", default="", metavar="TIME", help="Before when.")
@click.option("--security", is_flag=True, help="The security log: who was refused, and why.")
def export(form: str, by: str, act: str, subject: str, group: str, since: str, until: str, *, security: bool) -> None:
    """Write the audit to standard output, newest first."""
    query = AuditQuery(by, act, subject, group, read_timestamp("since", since), read_timestamp("until", until))
    entries = Audit(shell.redis(Config.from_env()), REFUSED_KEY if security else KEY).export(query)
    for piece in pieces(entries, form):
        click.echo(piece.encode(), nl=False)  # As bytes: a line of CSV ends with CR and LF.
