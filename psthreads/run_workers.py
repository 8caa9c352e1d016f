"""The command `psthreads worker`, which a checkout's worker.py starts, too. It never imports Flask."""

from __future__ import annotations

import os
import sys

from psthreads.domain.config import FOR_WEB, Config
from psthreads.domain.errors import PsthreadsError
from psthreads.system.child_processes import fork_under_warden, shared_ids


def main() -> int:
    """Keep WORKERS worker processes running until told to stop; return the exit code."""
    if FOR_WEB & os.environ.keys():
        # Workers, and the code of plug-ins that they run, could read the environment of this program as it started.
        environment = {name: value for name, value in os.environ.items() if name not in FOR_WEB}
        os.execve(sys.executable, sys.orig_argv, environment)  # noqa: S606 (our own program) # nosec B606
    try:
        config = Config.from_env()
        pids = shared_ids(config.workers)
        try:
            # Before any Python thread is there, and before the supervisor's imports, which its warden does not need.
            code = fork_under_warden(pids)
        except OSError as error:
            raise PsthreadsError(f"The supervisor cannot be started: {error}") from error
        if code is not None:
            return code
        _supervise(config, pids)
    except PsthreadsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _supervise(config: Config, pids: memoryview[int]) -> None:
    """Run the supervisor, unless it would be unsafe, or what it needs is missing."""
    import logging

    from psthreads.admin.doctor import refuse_unless_safe
    from psthreads.authoring.plugins import load_all
    from psthreads.database.connection import check_server, connect
    from psthreads.documents.layout import check_storage
    from psthreads.system.privileges import ROOT, runs_as_root
    from psthreads.telemetry import logs, spans
    from psthreads.worker.supervisor import Supervisor

    logs.install(config, libraries=True)
    load_all(config.processes)  # A broken plug-in is reported once, here, and not by every worker for ever.
    check_storage(config)
    refuse_unless_safe(config, for_web=False)
    with connect(config.redis_url, connections=1) as redis:
        check_server(redis)
    if runs_as_root():
        logging.getLogger(__name__).warning(ROOT)
    spans.install(config, background=True)
    Supervisor(config, pids).run()
