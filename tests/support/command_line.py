"""The command line of a user with a home of their own, called in this process."""

from __future__ import annotations

import os
from contextlib import chdir
from pathlib import Path

from click.testing import CliRunner, Result

from psthreads.domain.config import Config
from psthreads.program import program
from tests.support.checkout import ROOT


def operate(config: Config, line: str, typed: str | None = None) -> Result:
    """Run one of the server's commands in this process, with these settings."""
    runner = CliRunner(env=config.to_env())
    return runner.invoke(program, line.split(), input=typed, prog_name="psthreads")


class CommandLine:
    """Runs commands in this process. Each call can change the environment; None takes a variable away."""

    def __init__(self, home: Path, **settings: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PSTHREADS_")}
        for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "XDG_CONFIG_HOME"):
            kept.pop(name, None)
        self._home = home
        self._environment = kept | {"HOME": str(home), "TERM": "xterm", "PYTHONPATH": str(ROOT), **settings}

    def __call__(self, *arguments: str, **changes: str | None) -> Result:
        """Run a command in this process, for speed: there is no terminal, and nobody interrupts."""
        absent = dict.fromkeys(set(os.environ) - set(self._environment))
        runner = CliRunner(env={**absent, **self._environment, **changes})
        with chdir(self._home):
            return runner.invoke(program, arguments, prog_name="psthreads", catch_exceptions=False)
