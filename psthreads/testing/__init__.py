"""Runs processes in tests, without Redis, workers and HTTP."""

from psthreads.testing.harness import Run as Run
from psthreads.testing.harness import check as check
from psthreads.testing.harness import run as run
