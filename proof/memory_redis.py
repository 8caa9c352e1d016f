"""A Redis in memory, with the commands that the scripts of threads use; it refuses all others.

tests/redis/proof/test_memory_redis.py compares it with a real server.
"""

from __future__ import annotations

from collections.abc import Sequence

from proof.memory_values import (
    Hash,
    RedisRefusal,
    SortedSet,
    Stream,
    V,
    Value,
    Values,
    between,
    need,
    number,
    ordered,
    part,
    score,
    text,
)

Answer = str | int | None | list["str | None"]


class MemoryRedis:
    """One database. `expiring` (keys with a time to live) is replaced, never changed."""

    def __init__(self, now: int) -> None:
        self.values = Values()
        self.expiring: frozenset[str] = frozenset()
        self.now = now
        """The time, in milliseconds."""

    def run(self, name: str, *args: str | float) -> Answer:
        """Run a command, as `redis.call` does. Raises RedisRefusal."""
        command = getattr(self, f"_do_{name.lower()}", None)
        if command is None:
            raise RedisRefusal(f"ERR unknown command '{name}'")
        answer: Answer = command(*map(text, args))
        return answer

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

    # Texts and keys.

    def _do_time(self) -> Answer:
        return [str(self.now // 1000), str(self.now % 1000 * 1000)]

    def _do_get(self, key: str) -> Answer:
        return self.read(key, str)

    def _do_set(self, key: str, value: str, *lifetime: str) -> Answer:
        need(not lifetime or lifetime[0] == "PX")
        self.values[key] = value
        self.expiring = self.expiring | {key} if lifetime else self.expiring - {key}
        return "OK"

    def _do_incr(self, key: str) -> Answer:
        value = number(self.read(key, str) or "0") + 1
        self.write(key, str(value))
        return value

    def _do_exists(self, *keys: str) -> Answer:
        return sum(key in self.values for key in keys)

    def _do_del(self, *keys: str) -> Answer:
        return sum(self.remove(key) for key in keys)

    def _do_expire(self, key: str, lifetime: str) -> Answer:
        if key not in self.values:
            return 0
        if number(lifetime) <= 0:
            self.remove(key)
        else:
            self.expiring |= {key}
        return 1

    def _do_persist(self, key: str) -> Answer:
        had = key in self.values and key in self.expiring
        self.expiring -= {key}
        return int(had)

    _do_pexpire = _do_expire

    # Hashes.

    def _do_hget(self, key: str, field: str) -> Answer:
        return (self.read(key, Hash) or Hash()).get(field)

    def _do_hmget(self, key: str, *fields: str) -> Answer:
        value = self.read(key, Hash) or Hash()
        return [value.get(field) for field in fields]

    def _do_hgetall(self, key: str) -> Answer:
        return [part for pair in (self.read(key, Hash) or {}).items() for part in pair]

    def _do_hset(self, key: str, *pairs: str) -> Answer:
        need(pairs and len(pairs) % 2 == 0)
        before = self.read(key, Hash) or Hash()
        self.write(key, after := Hash({**before, **dict(zip(pairs[::2], pairs[1::2], strict=True))}))
        return len(after) - len(before)

    def _do_hdel(self, key: str, *fields: str) -> Answer:
        before = self.read(key, Hash) or Hash()
        after = Hash({field: value for field, value in before.items() if field not in fields})
        self.write(key, after)
        return len(before) - len(after)

    def _do_hincrby(self, key: str, field: str, by: str) -> Answer:
        before = self.read(key, Hash) or Hash()
        value = number(before.get(field, "0")) + number(by)
        self.write(key, Hash({**before, field: str(value)}))
        return value

    # Lists.

    def _do_rpush(self, key: str, *values: str) -> Answer:
        self.write(key, after := (self.read(key, tuple) or ()) + values)
        return len(after)

    def _do_lpush(self, key: str, *values: str) -> Answer:
        self.write(key, after := values[::-1] + (self.read(key, tuple) or ()))
        return len(after)

    def _do_lpop(self, key: str, *count: str) -> Answer:
        values = self.read(key, tuple)
        if values is None:
            return None
        many = number(count[0]) if count else 1
        self.write(key, values[many:])
        return list(values[:many]) if count else values[0]

    def _do_lindex(self, key: str, index: str) -> Answer:
        values = self.read(key, tuple) or ()
        position = number(index)
        return values[position] if -len(values) <= position < len(values) else None

    def _do_llen(self, key: str) -> Answer:
        return len(self.read(key, tuple) or ())

    def _do_lrange(self, key: str, first: str, last: str) -> Answer:
        return list(part(self.read(key, tuple) or (), first, last))

    def _do_ltrim(self, key: str, first: str, last: str) -> Answer:
        self.write(key, tuple(part(self.read(key, tuple) or (), first, last)))
        return "OK"

    def _do_lrem(self, key: str, count: str, value: str) -> Answer:
        need(count == "0")
        before = self.read(key, tuple) or ()
        after = tuple(each for each in before if each != value)
        self.write(key, after)
        return len(before) - len(after)

    def _do_lpos(self, key: str, value: str, *most: str) -> Answer:
        need(not most or most[0] == "MAXLEN")
        values = self.read(key, tuple) or ()
        if most:
            values = values[: number(most[1]) or None]
        return values.index(value) if value in values else None

    def _do_lmove(self, source: str, target: str, *sides: str) -> Answer:
        need(sides == ("LEFT", "RIGHT"))
        if self.read(source, tuple) is not None:
            self.read(target, tuple)  # It refuses one of another kind before it takes anything.
        value = self._do_lpop(source)
        if isinstance(value, str):
            self._do_rpush(target, value)
        return value

    # Sets.

    def _do_sadd(self, key: str, *members: str) -> Answer:
        before = self.read(key, frozenset) or frozenset()
        self.write(key, after := before | set(members))
        return len(after) - len(before)

    def _do_srem(self, key: str, *members: str) -> Answer:
        before = self.read(key, frozenset) or frozenset()
        self.write(key, after := before - set(members))
        return len(before) - len(after)

    def _do_scard(self, key: str) -> Answer:
        return len(self.read(key, frozenset) or ())

    def _do_sismember(self, key: str, member: str) -> Answer:
        return int(member in (self.read(key, frozenset) or ()))

    def _do_smembers(self, key: str, *count: str) -> Answer:
        members = sorted(self.read(key, frozenset) or ())
        return members[: number(count[0])] if count else members

    _do_srandmember = _do_smembers

    # Sorted sets.

    def _do_zadd(self, key: str, *entries: str) -> Answer:
        need(len(entries) % 2 == 0)
        before = self.read(key, SortedSet) or SortedSet()
        added = {member: float(at) for at, member in zip(entries[::2], entries[1::2], strict=True)}
        self.write(key, after := SortedSet({**before, **added}))
        return len(after) - len(before)

    def _do_zrem(self, key: str, *members: str) -> Answer:
        before = self.read(key, SortedSet) or SortedSet()
        after = SortedSet({member: at for member, at in before.items() if member not in members})
        self.write(key, after)
        return len(before) - len(after)

    def _do_zremrangebyscore(self, key: str, least: str, most: str) -> Answer:
        expired = [member for member, _ in between(self.read(key, SortedSet) or SortedSet(), least, most)]
        return self._do_zrem(key, *expired) if expired else 0

    def _do_zscore(self, key: str, member: str) -> Answer:
        at = (self.read(key, SortedSet) or SortedSet()).get(member)
        return None if at is None else score(at)

    def _do_zcard(self, key: str) -> Answer:
        return len(self.read(key, SortedSet) or ())

    def _do_zcount(self, key: str, least: str, most: str) -> Answer:
        return len(between(self.read(key, SortedSet) or SortedSet(), least, most))

    def _do_zrevrank(self, key: str, member: str) -> Answer:
        members = [each for each, _ in ordered(self.read(key, SortedSet) or SortedSet())][::-1]
        return members.index(member) if member in members else None

    def _do_zrange(self, key: str, first: str, last: str, *options: str) -> Answer:
        members = self.read(key, SortedSet) or SortedSet()
        words, limit = list(options), None
        if "LIMIT" in words:
            at = words.index("LIMIT")
            limit = slice(number(words[at + 1]), number(words[at + 1]) + number(words[at + 2]))
            del words[at : at + 3]
        need(set(words) <= {"REV", "BYSCORE", "WITHSCORES"})
        is_reverse = "REV" in words
        entries: Sequence[tuple[str, float]]
        if "BYSCORE" in words:
            entries = between(members, *((last, first) if is_reverse else (first, last)))
            entries = entries[::-1] if is_reverse else entries
            entries = entries[limit] if limit else entries
        else:
            need(limit is None)
            entries = part(ordered(members)[::-1] if is_reverse else ordered(members), first, last)
        if "WITHSCORES" in words:
            return [part for member, at in entries for part in (member, score(at))]
        return [member for member, _ in entries]

    # Streams.

    def _do_xadd(self, key: str, *fields: str) -> Answer:
        self.read(key, Stream)
        self.write(key, Stream(fields[fields.index("*") + 1 :]))
        return f"{self.now}-0"
