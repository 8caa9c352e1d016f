"""The Lua scripts that read and change members, groups and credentials."""

from __future__ import annotations

from typing import Final

from redis import Redis

from psthreads.database import shared_settings
from psthreads.database.scripts import Scripts
from psthreads.domain.config import Config

# Those that only read, and what is noted of guesses and sign-ins.
_UNCONFIRMED: Final = frozenset(
    (
        *("account", "client", "clients", "find", "identify", "links", "list", "locks", "names", "search"),
        *("search_links", "tokens", "begin_session", "guessed", "refuse", "right"),
    )
)


class DirectoryScripts(Scripts):
    """The scripts of identity/lua."""

    def __init__(self, redis: Redis, config: Config) -> None:
        constants = shared_settings.constants(config)
        super().__init__(
            *(redis, "psthreads.identity", constants, ("psthreads.audit",)),
            replicas=config.replicas,
            unconfirmed=_UNCONFIRMED,
        )
