"""The worker's entry in a checkout: `python worker.py` keeps WORKERS worker processes running."""

import sys

from psthreads.run_workers import main

if __name__ == "__main__":
    sys.exit(main())
