"""The one runner of Lua scripts, each of which is one round trip and happens whole or not at all."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

from redis import Redis
from redis.commands.core import Script
from redis.exceptions import NoScriptError, OutOfMemoryError

from psthreads.database import replicas
from psthreads.database.connection import translate_errors
from psthreads.domain.errors import NotReplicated

_EVEN_FULL: Final = "#!lua flags=allow-oom\n"
_BEHIND: Final = "Too few replicas have what Redis holds, so that nothing was changed: try again in a few seconds."
_COMMENT: Final = re.compile(r"--.*")
_DEFINED: Final = re.compile(r"^local (?:function )?([\w, ]+)", re.MULTILINE)
_WORD: Final = re.compile(r"\w+")
_PLAIN: Final = frozenset(string.ascii_letters + string.digits + ":-_. /")


class SafeScript(Script):
    """A script that runs even where Redis forgets scripts all the time.

    redis-py loads a script that Redis does not know and calls it by its hash again. A restart, a failover or
    SCRIPT FLUSH between the two makes that fail.
    """

    script: str

    def __call__(self, keys: Any = None, args: Any = None, client: Any = None, *, even_full: bool = False) -> Any:
        """Run the script by its hash, or by its source where Redis does not know the hash.

        With `even_full`, a Redis that has used all the memory that it may runs it, too. That is for scripts that free
        memory in the end, or that people need in order to free some.
        """
        keys, args, client = keys or (), args or (), client or self.registered_client
        try:
            try:
                return self._send(client, "EVALSHA", self.sha, len(keys), *keys, *args)
            except NoScriptError:
                return self._send(client, "EVAL", self.script, len(keys), *keys, *args)
        except OutOfMemoryError:
            if not even_full:
                raise
            # Redis has refused the script's first write, so that nothing has changed yet.
            return self._send(client, "EVAL", f"{_EVEN_FULL}{self.script}", len(keys), *keys, *args)

    def _send(self, client: Redis, *command: Any) -> Any:
        return client.execute_command(*command)  # type: ignore[no-untyped-call] # redis-py's own


class ConfirmedScript(SafeScript):
    """A script that counts only once so many `replicas` have what it wrote.

    One that `is_seen` is not run while they are behind: people see at once what it does, and must not see it undone.
    """

    replicas: int
    is_seen: bool

    def _send(self, client: Redis, *command: Any) -> Any:
        if self.is_seen:
            try:
                replicas.confirmed(client, self.replicas)
            except NotReplicated:
                raise NotReplicated(_BEHIND) from None
        return replicas.confirmed(client, self.replicas, *command)


class Scripts:
    """The Lua scripts in the folder `lua` of a package, by the names of their files.

    Each script begins with what it uses of `common.lua` of this package, of the packages in `preludes`, and of its own.
    In all of them, `@NAME@` is replaced by the constant of this name, as Lua writes it.

    All but the `unconfirmed` count only once so many `replicas` have what they wrote: until then `run` raises
    NotReplicated. Those are scripts that write nothing, or nothing that anybody was promised. Scripts that are `seen`
    are not run while replicas are behind: people see at once what they do, and must not see it undone.
    """

    def __init__(
        self,
        redis: Redis,
        package: str,
        constants: Mapping[str, object],
        preludes: Iterable[str] = (),
        *,
        replicas: int = 0,
        unconfirmed: Collection[str] = (),
        seen: Collection[str] = (),
    ) -> None:
        self._redis = redis
        self._replicas = replicas
        own = _sources(package)
        common = [_sources(other)["common"] for other in (__package__, *preludes) if other != package]
        texts = {name: literal(value) for name, value in constants.items()}
        blocks = [each for text in (*common, own.pop("common")) for each in re.split(r"\n\n+", text.strip())]
        self._scripts: dict[str, SafeScript] = {}
        for name, source in own.items():
            text = _filled_in("\n\n".join((*_needed(blocks, source), source)), texts)
            if replicas and name not in unconfirmed:
                self._scripts[name] = script = ConfirmedScript(redis, text)
                script.replicas, script.is_seen = replicas, name in seen
            else:
                self._scripts[name] = SafeScript(redis, text)

    def run(self, name: str, *args: str | bytes | float | dict[str, Any], even_full: bool = False) -> Any:
        """Return the script's answer; raise Unavailable with the reason why Redis does not give one.

        A dictionary is passed as JSON. Lua's cjson cannot tell an empty list in it from an empty object, and reads
        numbers as doubles. With `even_full`, a Redis whose memory is full runs the script, too.
        """
        values: Sequence[Any] = args
        if dict in map(type, args):
            values = [json.dumps(each) if isinstance(each, dict) else each for each in args]
        with translate_errors():
            return self._scripts[name](args=values, even_full=even_full)

    def confirm(self) -> None:
        """Raise NotReplicated unless so many replicas have all that this Redis holds now; without them do nothing."""
        if self._replicas:
            with translate_errors():
                replicas.confirmed(self._redis, self._replicas)


def literal(value: object) -> str:
    """Return a text, a truth, a number, a list or a dictionary of these as Lua writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "'" + "".join(chr(byte) if chr(byte) in _PLAIN else f"\\{byte:03d}" for byte in value.encode()) + "'"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"[{literal(key)}] = {literal(each)}" for key, each in value.items()) + "}"
    if isinstance(value, Iterable):
        return "{" + ", ".join(map(literal, value)) + "}"
    return str(value)


def _sources(package: str) -> dict[str, str]:
    return {
        file.name.removesuffix(".lua"): file.read_text()
        for file in (files(package) / "lua").iterdir()
        if file.name.endswith(".lua")
    }


def _needed(blocks: Iterable[str], source: str) -> list[str]:
    """Return those blocks of a prelude that the script uses, or that those use: each call would run all of them.

    A block ends with a blank line, and may use what is defined in those before it.
    """
    words = set(_WORD.findall(_COMMENT.sub("", source)))
    needed: list[str] = []
    for block in reversed(list(blocks)):
        code = _COMMENT.sub("", block)
        if not words.isdisjoint(name for names in _DEFINED.findall(code) for name in _WORD.findall(names)):
            words.update(_WORD.findall(code))
            needed.insert(0, block)
    return needed


def _filled_in(source: str, texts: Mapping[str, str]) -> str:
    for name, text in texts.items():
        source = source.replace(f"@{name}@", text)
    return source
