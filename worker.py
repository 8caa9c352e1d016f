"""The worker's entry: `python worker.py` keeps WORKERS worker processes running. It never imports Flask."""

from __future__ import annotations

import logging
import sys

from psthreads.config import Config
from psthreads.errors import PsthreadsError
from psthreads.supervisor import Supervisor


def main() -> int:
    """Run until told to stop; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    try:
        Supervisor(Config.from_env()).run()
    except PsthreadsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
