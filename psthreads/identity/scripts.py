"""The Lua scripts that read and change members, groups and credentials."""

from __future__ import annotations

from redis import Redis

from psthreads.database.scripts import Scripts


class DirectoryScripts(Scripts):
    """The scripts of identity/lua."""

    def __init__(self, redis: Redis, audit_retention: float) -> None:
        super().__init__(redis, "psthreads.identity", {"AUDIT_RETENTION": int(audit_retention * 1000)})
