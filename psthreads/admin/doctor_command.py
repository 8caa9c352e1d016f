"""The command `flask --app app doctor`: what is unsafe or unwell about this server, and how to mend it."""

from __future__ import annotations

import sys

import click
from flask import Flask

from psthreads.admin import doctor
from psthreads.admin.doctor import Severity
from psthreads.domain.config import Config


def register(app: Flask, config: Config) -> None:
    """Add the command to the app."""

    @app.cli.command("doctor")
    def command() -> None:
        """Say what is unsafe or unwell here; the exit code is 1 when any of it is serious."""
        found = doctor.examine(config)
        for finding in found:
            click.echo(f"{finding.severity}: {finding.what}\n    {finding.remedy}")
        if not found:
            click.echo("Everything is as it should be.")
        sys.exit(any(finding.severity is Severity.SERIOUS for finding in found))
