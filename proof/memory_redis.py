"""A Redis in memory, with the commands that the scripts of threads use; it refuses all others.

Values are never changed, only replaced, so that a copy of the dictionary that holds them is a whole copy. Texts hold a
byte in each character (Latin-1). tests/redis/proof/test_memory_redis.py compares it with a real server.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

Answer = str | int | None | list["str | None"]
Command = Callable[..., Answer]
V = TypeVar("V")


class RedisRefusal(Exception):
    """An error that Redis would answer with."""


class Hash(dict[str, str]):
    """The value of a hash."""


class SortedSet(dict[str, float]):
    """The value of a sorted set: scores by members."""


class Stream(tuple[str, ...]):
    """The value of a stream: nothing but its last fields, which nobody reads here."""

    __slots__ = ()


Value = str | tuple[str, ...] | frozenset[str] | Hash | SortedSet | Stream


class Values(dict[str, Value]):
    """The values by their keys. `touched` are the keys that were read or written, in the order of their first time."""

    def __init__(self, values: Mapping[str, Value] | Iterable[tuple[str, Value]] = ()) -> None:
        super().__init__(values)
        self.touched: dict[str, None] = {}

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value, `default` where there is none."""
        self.touched[key] = None
        return super().get(key, default)

    def pop(self, key: str, default: Any = None) -> Any:
        """Remove and return the value, `default` where there is none."""
        self.touched[key] = None
        return super().pop(key, default)

    def __contains__(self, key: object) -> bool:
        self.touched[str(key)] = None
        return super().__contains__(key)

    def __setitem__(self, key: str, value: Value) -> None:
        self.touched[key] = None
        super().__setitem__(key, value)


class MemoryRedis:
    """One database. `expiring` (keys with a time to live) is replaced, never changed."""

    def __init__(self, now: int) -> None:
        self.values = Values()
        self.expiring: frozenset[str] = frozenset()
        self.now = now
        """The time, in milliseconds."""

    def run(self, name: str, *args: str | float) -> Answer:
        """Run a command, as `redis.call` does. Raises RedisRefusal."""
        command = COMMANDS.get(name.upper())
        if command is None:
            raise RedisRefusal(f"ERR unknown command '{name}'")
        return command(self, *map(text, args))

    def read(self, key: str, kind: type[V]) -> V | None:
        """Return the value, None where there is none. Raises RedisRefusal for one of another kind."""
        value = self.values.get(key)
        if value is not None and type(value) is not kind:
            raise RedisRefusal("WRONGTYPE Operation against a key holding the wrong kind of value")
        return value

    def write(self, key: str, value: Value) -> None:
        """Put the value in the place of the last one. One without elements removes the key."""
        if value or type(value) in {str, Stream}:
            self.values[key] = value
        else:
            self.remove(key)

    def remove(self, key: str) -> bool:
        """Remove the key; return whether there was one."""
        self.expiring -= {key}
        return self.values.pop(key, None) is not None


def text(value: str | float) -> str:
    """Return an argument as Redis reads it: numbers as Lua writes them."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) or (value == math.floor(value) and abs(value) < 1e15):  # noqa: PLR2004 (Lua writes 14 digits)
        return str(int(value))
    return f"{value:.14g}"


def score(value: float) -> str:
    """Return a score as Redis writes it."""
    return str(int(value)) if value == math.floor(value) and math.isfinite(value) else f"{value:.17g}"


def _number(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise RedisRefusal("ERR value is not an integer or out of range") from None


def _limit(value: str) -> tuple[float, bool]:
    """Return a limit of scores, and whether it is left out itself."""
    is_open = value.startswith("(")
    try:
        return float(value[is_open:]), is_open
    except ValueError:
        raise RedisRefusal("ERR min or max is not a float") from None


def _between(members: SortedSet, least: str, most: str) -> list[tuple[str, float]]:
    """Return the members with scores between the limits, in order."""
    (low, over), (high, under) = _limit(least), _limit(most)
    return [
        (member, at)
        for member, at in _ordered(members)
        if (at > low if over else at >= low) and (at < high if under else at <= high)
    ]


def _ordered(members: SortedSet) -> list[tuple[str, float]]:
    return sorted(members.items(), key=lambda entry: (entry[1], entry[0]))


def _part(values: Sequence[V], first: str, last: str) -> Sequence[V]:
    """Return the elements from one index to another, both included; negative ones count from the end."""
    begin, end = _number(first), _number(last)
    begin = max(0, begin + len(values)) if begin < 0 else begin
    end = end + len(values) if end < 0 else end
    return values[begin : end + 1] if end >= 0 else values[:0]


def _need(condition: object) -> None:
    if not condition:
        raise RedisRefusal("ERR not among the forms that are known here")


# Texts and keys.


def _time(redis: MemoryRedis) -> Answer:
    return [str(redis.now // 1000), str(redis.now % 1000 * 1000)]


def _get(redis: MemoryRedis, key: str) -> Answer:
    return redis.read(key, str)


def _set(redis: MemoryRedis, key: str, value: str, *lifetime: str) -> Answer:
    _need(not lifetime or lifetime[0] == "PX")
    redis.values[key] = value
    redis.expiring = redis.expiring | {key} if lifetime else redis.expiring - {key}
    return "OK"


def _incr(redis: MemoryRedis, key: str) -> Answer:
    value = _number(redis.read(key, str) or "0") + 1
    redis.write(key, str(value))
    return value


def _exists(redis: MemoryRedis, *keys: str) -> Answer:
    return sum(key in redis.values for key in keys)


def _del(redis: MemoryRedis, *keys: str) -> Answer:
    return sum(redis.remove(key) for key in keys)


def _expire(redis: MemoryRedis, key: str, lifetime: str) -> Answer:
    if key not in redis.values:
        return 0
    if _number(lifetime) <= 0:
        redis.remove(key)
    else:
        redis.expiring |= {key}
    return 1


def _persist(redis: MemoryRedis, key: str) -> Answer:
    had = key in redis.values and key in redis.expiring
    redis.expiring -= {key}
    return int(had)


# Hashes.


def _hget(redis: MemoryRedis, key: str, field: str) -> Answer:
    return (redis.read(key, Hash) or Hash()).get(field)


def _hmget(redis: MemoryRedis, key: str, *fields: str) -> Answer:
    value = redis.read(key, Hash) or Hash()
    return [value.get(field) for field in fields]


def _hgetall(redis: MemoryRedis, key: str) -> Answer:
    return [part for pair in (redis.read(key, Hash) or {}).items() for part in pair]


def _hset(redis: MemoryRedis, key: str, *pairs: str) -> Answer:
    _need(pairs and len(pairs) % 2 == 0)
    before = redis.read(key, Hash) or Hash()
    redis.write(key, after := Hash({**before, **dict(zip(pairs[::2], pairs[1::2], strict=True))}))
    return len(after) - len(before)


def _hdel(redis: MemoryRedis, key: str, *fields: str) -> Answer:
    before = redis.read(key, Hash) or Hash()
    after = Hash({field: value for field, value in before.items() if field not in fields})
    redis.write(key, after)
    return len(before) - len(after)


def _hincrby(redis: MemoryRedis, key: str, field: str, by: str) -> Answer:
    before = redis.read(key, Hash) or Hash()
    value = _number(before.get(field, "0")) + _number(by)
    redis.write(key, Hash({**before, field: str(value)}))
    return value


# Lists.


def _rpush(redis: MemoryRedis, key: str, *values: str) -> Answer:
    redis.write(key, after := (redis.read(key, tuple) or ()) + values)
    return len(after)


def _lpush(redis: MemoryRedis, key: str, *values: str) -> Answer:
    redis.write(key, after := values[::-1] + (redis.read(key, tuple) or ()))
    return len(after)


def _lpop(redis: MemoryRedis, key: str, *count: str) -> Answer:
    values = redis.read(key, tuple)
    if values is None:
        return None
    many = _number(count[0]) if count else 1
    redis.write(key, values[many:])
    return list(values[:many]) if count else values[0]


def _lindex(redis: MemoryRedis, key: str, index: str) -> Answer:
    values = redis.read(key, tuple) or ()
    position = _number(index)
    return values[position] if -len(values) <= position < len(values) else None


def _llen(redis: MemoryRedis, key: str) -> Answer:
    return len(redis.read(key, tuple) or ())


def _lrange(redis: MemoryRedis, key: str, first: str, last: str) -> Answer:
    return list(_part(redis.read(key, tuple) or (), first, last))


def _lrem(redis: MemoryRedis, key: str, count: str, value: str) -> Answer:
    _need(count == "0")
    before = redis.read(key, tuple) or ()
    after = tuple(each for each in before if each != value)
    redis.write(key, after)
    return len(before) - len(after)


def _lpos(redis: MemoryRedis, key: str, value: str, *most: str) -> Answer:
    _need(not most or most[0] == "MAXLEN")
    values = redis.read(key, tuple) or ()
    if most:
        values = values[: _number(most[1]) or None]
    return values.index(value) if value in values else None


def _lmove(redis: MemoryRedis, source: str, target: str, *sides: str) -> Answer:
    _need(sides == ("LEFT", "RIGHT"))
    if redis.read(source, tuple) is not None:
        redis.read(target, tuple)  # It refuses one of another kind before it takes anything.
    value = _lpop(redis, source)
    if isinstance(value, str):
        _rpush(redis, target, value)
    return value


# Sets.


def _sadd(redis: MemoryRedis, key: str, *members: str) -> Answer:
    before = redis.read(key, frozenset) or frozenset()
    redis.write(key, after := before | set(members))
    return len(after) - len(before)


def _srem(redis: MemoryRedis, key: str, *members: str) -> Answer:
    before = redis.read(key, frozenset) or frozenset()
    redis.write(key, after := before - set(members))
    return len(before) - len(after)


def _scard(redis: MemoryRedis, key: str) -> Answer:
    return len(redis.read(key, frozenset) or ())


def _sismember(redis: MemoryRedis, key: str, member: str) -> Answer:
    return int(member in (redis.read(key, frozenset) or ()))


def _smembers(redis: MemoryRedis, key: str, *count: str) -> Answer:
    members = sorted(redis.read(key, frozenset) or ())
    return members[: _number(count[0])] if count else members


# Sorted sets.


def _zadd(redis: MemoryRedis, key: str, *entries: str) -> Answer:
    _need(len(entries) % 2 == 0)
    before = redis.read(key, SortedSet) or SortedSet()
    added = {member: float(at) for at, member in zip(entries[::2], entries[1::2], strict=True)}
    redis.write(key, after := SortedSet({**before, **added}))
    return len(after) - len(before)


def _zrem(redis: MemoryRedis, key: str, *members: str) -> Answer:
    before = redis.read(key, SortedSet) or SortedSet()
    after = SortedSet({member: at for member, at in before.items() if member not in members})
    redis.write(key, after)
    return len(before) - len(after)


def _zremrangebyscore(redis: MemoryRedis, key: str, least: str, most: str) -> Answer:
    expired = [member for member, _ in _between(redis.read(key, SortedSet) or SortedSet(), least, most)]
    return _zrem(redis, key, *expired) if expired else 0


def _zscore(redis: MemoryRedis, key: str, member: str) -> Answer:
    at = (redis.read(key, SortedSet) or SortedSet()).get(member)
    return None if at is None else score(at)


def _zcard(redis: MemoryRedis, key: str) -> Answer:
    return len(redis.read(key, SortedSet) or ())


def _zcount(redis: MemoryRedis, key: str, least: str, most: str) -> Answer:
    return len(_between(redis.read(key, SortedSet) or SortedSet(), least, most))


def _zrevrank(redis: MemoryRedis, key: str, member: str) -> Answer:
    members = [each for each, _ in _ordered(redis.read(key, SortedSet) or SortedSet())][::-1]
    return members.index(member) if member in members else None


def _zrange(redis: MemoryRedis, key: str, first: str, last: str, *options: str) -> Answer:
    members = redis.read(key, SortedSet) or SortedSet()
    words, limit = list(options), None
    if "LIMIT" in words:
        at = words.index("LIMIT")
        limit = slice(_number(words[at + 1]), _number(words[at + 1]) + _number(words[at + 2]))
        del words[at : at + 3]
    _need(set(words) <= {"REV", "BYSCORE", "WITHSCORES"})
    is_reverse = "REV" in words
    entries: Sequence[tuple[str, float]]
    if "BYSCORE" in words:
        entries = _between(members, *((last, first) if is_reverse else (first, last)))
        entries = entries[::-1] if is_reverse else entries
        entries = entries[limit] if limit else entries
    else:
        _need(limit is None)
        entries = _part(_ordered(members)[::-1] if is_reverse else _ordered(members), first, last)
    if "WITHSCORES" in words:
        return [part for member, at in entries for part in (member, score(at))]
    return [member for member, _ in entries]


# Streams.


def _xadd(redis: MemoryRedis, key: str, *fields: str) -> Answer:
    redis.read(key, Stream)
    redis.write(key, Stream(fields[fields.index("*") + 1 :]))
    return f"{redis.now}-0"


COMMANDS: Final[dict[str, Command]] = {
    name.removeprefix("_").upper(): function
    for name, function in list(globals().items())
    if callable(function)
    and name
    in {
        *("_time", "_get", "_set", "_incr", "_exists", "_del", "_persist", "_hget", "_hmget", "_hgetall", "_hset"),
        *("_hdel", "_hincrby", "_rpush", "_lpush", "_lpop", "_lindex", "_llen", "_lrange", "_lrem", "_lpos", "_lmove"),
        *("_sadd", "_srem", "_scard", "_sismember", "_smembers", "_zadd", "_zrem", "_zremrangebyscore", "_zscore"),
        *("_zcard", "_zcount", "_zrevrank", "_zrange", "_xadd"),
    }
} | {"PEXPIRE": _expire, "EXPIRE": _expire, "SRANDMEMBER": _smembers}
