"""Starts our programs as subprocesses: for `psthreads run`, the tests, `make chaos` and `make bench`."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Final

from psthreads.domain.config import Config
from psthreads.system.parent_death import die_with_parent

GUNICORN: Final = (sys.executable, "-m", "gunicorn", "--config", "python:psthreads.web.gunicorn_settings")
WEB: Final = (sys.executable, "-m", "psthreads", "web")  # becomes gunicorn, once the plug-ins can be imported
SUPERVISOR: Final = (sys.executable, "-m", "psthreads", "worker")


def start(
    command: Sequence[str],
    config: Config,
    *,
    folder: Path | None = None,
    output: IO[bytes] | int | None = None,
    tied: bool = False,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program with these settings and without input, in a session of its own, where no Ctrl-C reaches it.

    `output` takes both of its streams. A `tied` program is killed when its parent dies.
    """
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **config.to_env(), **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        preexec_fn=partial(die_with_parent, os.getpid()) if tied else None,  # noqa: PLW1509 (no lock is taken in the child)
    )


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free, and that the system does not give to clients."""
    while True:
        port = random.randrange(12_000, 32_000)  # noqa: S311 (nobody needs to guess it) # nosec B311
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
