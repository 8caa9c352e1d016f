"""The Lua scripts that read and change threads."""

from __future__ import annotations

from redis import Redis

from psthreads.database.scripts import Scripts
from psthreads.domain.config import Config
from psthreads.threads import jobs


class ThreadScripts(Scripts):
    """The scripts of threads/lua."""

    def __init__(self, redis: Redis, config: Config) -> None:
        constants = {
            **jobs.key_names(config.queue),
            "HALF_EVENTS": config.log_events // 2,
            "HALF_BYTES": config.log_bytes // 2,
            "RETENTION": int(config.retention * 1000),
            "LOST_AFTER": int(config.lost_after * 1000),
            "AUDIT_RETENTION": int(config.audit_retention * 1000),
            "RESTARTS": config.restarts,
            "GROUP_THREADS": config.group_threads,
            "GROUP_CHANGES": config.group_changes,
        }
        super().__init__(redis, "psthreads.threads", constants)
