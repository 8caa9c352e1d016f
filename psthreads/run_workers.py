"""The command `psthreads worker`, which a checkout's worker.py starts, too. It never imports Flask."""

from __future__ import annotations

import logging
import sys

from psthreads.admin.doctor import refuse_unless_safe
from psthreads.authoring.plugins import load_all
from psthreads.domain.config import Config
from psthreads.domain.errors import PsthreadsError
from psthreads.worker.supervisor import Supervisor


def main() -> int:
    """Keep WORKERS worker processes running until told to stop; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    try:
        config = Config.from_env()
        load_all(config.processes)  # A broken plug-in is reported once, here, and not by every worker for ever.
        refuse_unless_safe(config, for_web=False)
        Supervisor(config).run()
    except PsthreadsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
