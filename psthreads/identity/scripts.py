"""The Lua scripts that read and change members, groups and credentials."""

from __future__ import annotations

from redis import Redis

from psthreads.database import shared_settings
from psthreads.database.scripts import Scripts
from psthreads.domain.config import Config


class DirectoryScripts(Scripts):
    """The scripts of identity/lua."""

    def __init__(self, redis: Redis, config: Config) -> None:
        super().__init__(redis, "psthreads.identity", shared_settings.constants(config), ("psthreads.audit",))
