"""The command `psthreads doctor`: what is unsafe or unwell about this server, and how to mend it."""

from __future__ import annotations

import click

from psthreads.admin import doctor
from psthreads.admin.doctor import Severity
from psthreads.domain.config import Config


def examine() -> int:
    """Print each problem and its remedy; return the exit code, which is 1 when any problem is serious."""
    problems = doctor.examine(Config.from_env())
    for problem in problems:
        click.echo(f"{problem.severity}: {problem.what}\n    {problem.remedy}")
    if not problems:
        click.echo("Everything is as it should be.")
    return int(any(problem.severity is Severity.SERIOUS for problem in problems))
