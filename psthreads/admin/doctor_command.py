"""The command `psthreads doctor`: what is unsafe or unwell about this server, and what went wrong in it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import click
from redis.connection import parse_url

from psthreads.admin import doctor
from psthreads.admin.problems import Severity
from psthreads.domain.config import Config
from psthreads.domain.redis_url import sentinels
from psthreads.proving.append_only_file import parts
from psthreads.proving.judge import Judge

_MOST_SHOWN: Final = 20


def examine() -> int:
    """Print each problem and its remedy; return the exit code, which is 1 when any problem is serious."""
    problems = doctor.examine(Config.from_env())
    for problem in problems:
        click.echo(f"{problem.severity}: {problem.what}\n    {problem.remedy}")
    if not problems:
        click.echo("Everything is as it should be.")
    return int(any(problem.severity is Severity.SERIOUS for problem in problems))


def judge(path: Path) -> int:
    """Print each step of an append-only file that breaks a rule; return the exit code, which is 1 where one does.

    Raises UnreadableFile, and ConfigError for wrong settings.
    """
    config, files = Config.from_env(), parts(path)
    watched = sentinels(config.redis_url)
    url: dict[str, Any] = parse_url(watched.options_url if watched else config.redis_url)  # type: ignore[no-untyped-call] # redis-py's own
    limits = {"group_threads": config.group_threads, "group_changes": config.group_changes}
    court = Judge(config.queue, int(url.get("db", 0)), **limits)
    begun, broken = time.monotonic(), 0
    for step in court.run(files):
        broken += 1
        if broken <= _MOST_SHOWN:
            click.echo(step)
    size = sum(file.stat().st_size for file in files.files) / 1_000_000
    seen = f"{court.steps:,} steps of {court.threads:,} threads in {size:,.1f} MB, {time.monotonic() - begun:.1f} s"
    click.echo(f"{seen}: " + (f"{broken:,} break a rule." if broken else "every rule holds."))
    if not files.is_whole:
        click.echo(
            "What was before this part is not known: only changes of threads are judged, not where they are listed."
        )
    return int(broken > 0)
