"""The Lua scripts that read and change threads: each is one step, and happens whole or not at all."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final

from redis import Redis
from redis.commands.core import Script

from psthreads.database.connection import translated
from psthreads.domain.config import Config
from psthreads.threads import jobs

SCRIPTS: Final = (
    *("start", "claim", "begin", "report", "beat", "finish", "cancel", "delete"),
    *("abandon", "recover", "unblock", "survey", "list", "log", "find", "overview"),
)


class ThreadScripts:
    """The scripts of lua/ that are about threads, by their names."""

    def __init__(self, redis: Redis, config: Config) -> None:
        self._redis = redis
        self._script: dict[str, Script] = {
            name: redis.register_script(source) for name, source in _sources(config).items()
        }

    def run(self, name: str, *args: Any) -> Any:
        """What the script answers; raises Unavailable when Redis is away or takes no writes."""
        with translated(self._redis):
            return self._script[name](args=args)


def _sources(config: Config) -> dict[str, str]:
    names: dict[str, Any] = {
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
    folder = files("psthreads.threads") / "lua"
    common = (folder / "common.lua").read_text()
    sources = {name: common + (folder / f"{name}.lua").read_text() for name in SCRIPTS}
    for name, value in names.items():
        sources = {script: text.replace(f"@{name}@", str(value)) for script, text in sources.items()}
    return sources
