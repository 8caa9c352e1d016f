"""The Lua scripts that read and change threads."""

from __future__ import annotations

from typing import Final

from redis import Redis

from psthreads.database import shared_settings
from psthreads.database.scripts import Scripts
from psthreads.domain.access import Role
from psthreads.domain.config import Config
from psthreads.domain.model import Status
from psthreads.threads import jobs, leases, records

# Those that only read; reports, whose lines may be lost with a worker, too; what a janitor does again; and a count.
_READERS: Final = frozenset(("find", "find_ids", "list", "log", "overview", "survey"))
_UNCONFIRMED: Final = _READERS | {"report", "lead", "recover", "unblock", "count_start"}
# Those that may end a thread, or remove one.
_SEEN: Final = frozenset(("abandon", "cancel", "claim", "delete", "distrust", "finish"))
_LUA_TYPES: Final = {str: "string", int: "number", bool: "boolean"}


class ThreadScripts(Scripts):
    """The scripts of threads/lua."""

    def __init__(self, redis: Redis, config: Config) -> None:
        constants = {
            **jobs.key_names(config.queue),
            **shared_settings.constants(config),
            "STATUSES": list(Status),
            "FINAL": {status: True for status in Status if status.is_final},
            "REQUIRED": records.REQUIRED,
            "DEFAULTS": records.DEFAULTS,
            "KINDS": {name: _LUA_TYPES[type(value)] for name, value in records.FIELDS.items()},
            "ACTIVE_ONLY": records.ACTIVE_ONLY,
            "ACTIVE_ONLY_OF_RQ": jobs.ACTIVE_ONLY,
            "BUSY": jobs.BUSY,
            "IDLE": jobs.IDLE,
            "VERSION": records.VERSION,
            "ROLES": {role.value: position for position, role in enumerate(Role)},
            "RQ_STATUS": {status: jobs.rq_status(status) for status in Status},
            # A worker that beats more slowly than others must not lose its threads between two beats.
            "SHORTEST_LEASE": int(3000 * config.heartbeat),
            "INTERRUPTED": leases.INTERRUPTED,
            "LOST": leases.LOST,
            "WORKER_LOST": leases.WORKER_LOST,
        }
        super().__init__(
            *(redis, "psthreads.threads", constants, ("psthreads.audit",)),
            replicas=config.replicas,
            unconfirmed=_UNCONFIRMED,
            seen=_SEEN,
        )
