"""Runs the directory's Lua scripts, each of which is one round trip and happens whole or not at all."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoScriptError

from psthreads.database.connection import translated

if TYPE_CHECKING:
    from collections.abc import Iterable

    from redis import Redis


class Scripts:
    """Scripts of identity/lua, by their names."""

    def __init__(self, redis: Redis, names: Iterable[str], audit_retention: float) -> None:
        self._redis = redis
        folder = files("psthreads.identity") / "lua"
        common = (folder / "common.lua").read_text()
        common = common.replace("@AUDIT_RETENTION@", str(int(audit_retention * 1000)))
        self._source = {name: common + (folder / f"{name}.lua").read_text() for name in names}
        self._sha = {
            # Redis names scripts so; nothing rests on it.
            name: hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
            for name, source in self._source.items()
        }

    def run(self, name: str, *args: str | int) -> Any:
        """What the script answers; raises Unavailable."""
        with translated(self._redis):
            try:
                return self._redis.evalsha(self._sha[name], 0, *args)
            except NoScriptError:
                # A server that is new, or was started again, does not know our scripts.
                return self._redis.eval(self._source[name], 0, *args)
