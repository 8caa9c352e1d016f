"""Runs the Lua scripts that ship on a Redis in memory, in the same Lua 5.1, for the store that ships."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

import lupa.lua51 as lupa  # type: ignore[import-untyped] # it has no types
from redis._parsers.encoders import Encoder
from redis.exceptions import NoScriptError, ResponseError

from proof.memory_redis import Answer, MemoryRedis
from proof.memory_values import RedisRefusal

# A record is decoded by a constructor that is made once for each text, and written with its fields in order, so that
# the same record is always the same text.
_LIBRARY: Final = r"""
local made = {}
local function decode(text)
  local make = made[text]
  if not make then
    make = assert(loadstring('return ' .. python_constructor(text)))
    made[text] = make
  end
  return make()
end
local function literal(value)
  local kind = type(value)
  if kind == 'string' then
    if string.find(value, '[%c"\\\127-\255]') then return python_text(value) end
    return '"' .. value .. '"'
  end
  if kind == 'number' then return string.format('%.14g', value) end
  if kind == 'boolean' then return tostring(value) end
  error('cjson here does not write a ' .. kind)
end
local function encode(record)
  local names = {}
  for name in pairs(record) do names[#names + 1] = name end
  table.sort(names)
  for position, name in ipairs(names) do names[position] = '"' .. name .. '":' .. literal(record[name]) end
  return '{' .. table.concat(names, ',') .. '}'
end
cjson = {decode = decode, encode = encode}
redis = {call = python_call, pcall = python_pcall}
bit = {band = python_band}
"""


class MemoryClient:
    """A connection to a Redis in memory, as far as the store needs one. `redis` holds the data."""

    def __init__(self, now: int) -> None:
        self.redis = MemoryRedis(now)
        self._lua = lupa.LuaRuntime(unpack_returned_tuples=True, encoding="latin-1")
        self._functions: dict[str, Any] = {}
        names = self._lua.globals()
        names.python_call, names.python_pcall = self._call, self._pcall
        names.python_constructor, names.python_text, names.python_band = _constructor, _text, lambda a, b: a & b
        self._lua.execute(_LIBRARY)
        self._globals = names
        self._table = self._lua.table_from
        self.calls = 0
        """The number of scripts that have run."""

    def get_encoder(self) -> Encoder:
        """Return how arguments become bytes."""
        return Encoder("utf-8", "strict", decode_responses=False)  # type: ignore[no-untyped-call] # redis-py has no type for it

    def execute_command(self, name: str, script: str, keys: int, *args: Any) -> Any:
        """Run the script with this text, or with this hash. Raises NoScriptError and ResponseError."""
        return (self.eval if name == "EVAL" else self.evalsha)(script, keys, *args)

    def evalsha(self, sha: str, keys: int, *args: Any) -> Any:
        """Run the script with this hash. Raises NoScriptError and ResponseError."""
        function = self._functions.get(sha)
        if function is None:
            raise NoScriptError("NOSCRIPT No matching script.")
        if keys:
            raise NotImplementedError("The scripts name their keys themselves")
        self.calls += 1
        self._globals.ARGV = self._table([_argument(value) for value in args])
        try:
            return self._answer(function())
        except lupa.LuaError as error:
            raise ResponseError(str(error)) from error

    def eval(self, script: str, keys: int, *args: Any) -> Any:
        """Run the script, and know it by its hash from now on."""
        sha = hashlib.sha1(script.encode()).hexdigest()  # noqa: S324 (Redis names scripts by it)
        self._functions[sha] = self._lua.eval(f"function()\n{script}\nend")
        return self.evalsha(sha, keys, *args)

    def hget(self, key: str, field: str) -> bytes | None:
        """Return a field of a hash."""
        value = self.redis.run("HGET", key, field)
        return value.encode("latin-1") if isinstance(value, str) else None

    def hincrby(self, key: str, field: str, by: int = 1) -> Any:
        """Count in a field of a hash."""
        return self.redis.run("HINCRBY", key, field, by)

    def _call(self, name: str, *args: Any) -> Any:
        return self._to_lua(self.redis.run(name, *args))

    def _pcall(self, name: str, *args: Any) -> Any:
        try:
            return self._call(name, *args)
        except RedisRefusal as error:
            return self._table({"err": str(error)})

    def _to_lua(self, answer: Answer) -> Any:
        if answer is None:
            return False
        if isinstance(answer, list):
            return self._table([False if each is None else each for each in answer])
        return answer

    def _answer(self, value: Any) -> Any:
        """Return what a client would get for a value that a script returned."""
        if isinstance(value, str):
            return value.encode("latin-1")
        if isinstance(value, bool):
            return 1 if value else None
        if isinstance(value, int | float):
            return int(value)
        if value is None:
            return None
        if (error := value["err"]) is not None:
            raise ResponseError(error)
        answers: list[Any] = []
        while (each := value[len(answers) + 1]) is not None:
            answers.append(self._answer(each))
        return answers


def _argument(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return str(value).encode().decode("latin-1")


def _constructor(text: str) -> str:
    """Return the source of a Lua table with what this JSON holds."""
    return _source(json.loads(text.encode("latin-1")))


def _source(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\{byte:03d}" for byte in value.encode()) + '"'
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"[{_source(name)}]={_source(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ",".join(map(_source, value)) + "}"
    raise ValueError("cjson here does not read null")


def _text(value: str) -> str:
    return (
        json.dumps(value.encode("latin-1").decode(errors="surrogateescape"), ensure_ascii=False)
        .encode(errors="surrogateescape")
        .decode("latin-1")
    )
