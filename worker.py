"""The worker's entry: `python worker.py` keeps WORKERS worker processes running. It never imports Flask."""

from __future__ import annotations

import logging
import sys

from psthreads.admin.doctor import refuse_unless_safe
from psthreads.authoring.plugins import load_all
from psthreads.domain.config import Config
from psthreads.domain.errors import PsthreadsError
from psthreads.worker.supervisor import Supervisor


def main() -> int:
    """Run until told to stop; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    try:
        config = Config.from_env()
        load_all(config.processes)  # A plug-in that is broken is told once, here, and not by every worker for ever.
        refuse_unless_safe(config, for_web=False)
        Supervisor(config).run()
    except PsthreadsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
