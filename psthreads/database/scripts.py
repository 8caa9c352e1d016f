"""The one runner of Lua scripts, each of which is one round trip and happens whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from redis import Redis
from redis.commands.core import Script
from redis.exceptions import NoScriptError

from psthreads.database.connection import translated


class SafeScript(Script):
    """A script that runs even where Redis forgets scripts all the time.

    redis-py loads a script that Redis does not know and calls it by its hash again. A restart, a failover or
    SCRIPT FLUSH between the two makes that fail.
    """

    def __call__(self, keys: Any = None, args: Any = None, client: Any = None) -> Any:
        """Run the script by its hash, or by its source where Redis does not know the hash."""
        keys, args, client = keys or (), args or (), client or self.registered_client
        try:
            return client.evalsha(self.sha, len(keys), *keys, *args)
        except NoScriptError:
            return client.eval(self.script, len(keys), *keys, *args)


class Scripts:
    """The Lua scripts in the folder `lua` of a package, by the names of their files.

    `common.lua` of the package stands before each script. In all of them, `@NAME@` is replaced by the constant of this
    name.
    """

    def __init__(self, redis: Redis, package: str, constants: Mapping[str, object]) -> None:
        self._redis = redis
        sources = {
            file.name.removesuffix(".lua"): file.read_text()
            for file in (files(package) / "lua").iterdir()
            if file.name.endswith(".lua")
        }
        prelude = sources.pop("common")
        self._scripts = {
            name: SafeScript(redis, _filled_in(prelude + source, constants)) for name, source in sources.items()
        }

    def run(self, name: str, *args: Any) -> Any:
        """Return the script's answer; raise Unavailable when Redis is away or takes no writes."""
        with translated(self._redis):
            return self._scripts[name](args=args)


def _filled_in(source: str, constants: Mapping[str, object]) -> str:
    for name, value in constants.items():
        source = source.replace(f"@{name}@", str(value))
    return source
