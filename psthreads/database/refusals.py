"""The reasons why Redis refuses or does not answer, each as an error of the domain with a sentence of its own."""

from __future__ import annotations

import re
from typing import Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from psthreads.domain.errors import StoreFull, StoreRefuses, Unavailable

_AGAIN: Final = "try again in a few seconds."
_CLUSTER: Final = StoreRefuses("This Redis is a cluster, which psthreads cannot use: name a single Redis in REDIS_URL.")
_ACL: Final = StoreRefuses(
    "Redis refuses this user: load deploy/psthreads.acl again, and check which user REDIS_URL names."
)

_BY_CODE: Final = {
    "READONLY": Unavailable(f"Redis is read-only (a replica), so that nothing can be changed: {_AGAIN}"),
    "NOREPLICAS": Unavailable(f"Redis takes no writes, since too few of its replicas follow it: {_AGAIN}"),
    "UNBLOCKED": Unavailable(f"Redis has become a replica: {_AGAIN}"),
    "MASTERDOWN": Unavailable(f"Redis is a replica that has lost its primary: {_AGAIN}"),
    "BEHIND": Unavailable(
        "This is not the Redis that the service had before, or an older copy of it: `psthreads doctor` says what to do."
    ),
    "LOADING": Unavailable(f"Redis is loading its data after a start: {_AGAIN}"),
    "BUSY": Unavailable(f"Redis is busy with a long script: {_AGAIN}"),
    "MISCONF": Unavailable(
        "Redis takes no writes, since it cannot save them: its administrator should see whether its disk is full."
    ),
    "OOM": StoreFull("Redis is full: delete threads that nobody needs any more, or have its maxmemory raised."),
    "NOPERM": _ACL,
    "NOAUTH": StoreRefuses("Redis asks for a password: give it in REDIS_URL."),
    "WRONGPASS": StoreRefuses("Redis refuses the user or the password in REDIS_URL: check both."),
    "DENIED": StoreRefuses("Redis is in protected mode and refuses other machines: give it a password."),
    **dict.fromkeys(("CLUSTERDOWN", "MOVED", "ASK", "CROSSSLOT", "TRYAGAIN"), _CLUSTER),
}
_BY_TEXT: Final = (
    (
        "the Sentinels refuse the password",
        StoreRefuses(
            "The Sentinels refuse the password: give sentinel_password, and perhaps sentinel_username, in REDIS_URL."
        ),
    ),
    (
        "No master found",
        Unavailable(
            f"The Sentinels name no primary that answers, as in a failover: {_AGAIN} If it stays so, check the name "
            "and the hosts in REDIS_URL."
        ),
    ),
    (
        "max number of clients",
        Unavailable(f"Redis has as many clients as it may: {_AGAIN} Its maxclients can be raised."),
    ),
    ("No connection available", Unavailable(f"All connections of this program to Redis are in use: {_AGAIN}")),
    ("The user executing the script can't", _ACL),
    ("ACL failure in script", _ACL),
    ("not allowed in cluster mode", _CLUSTER),
    ("DB index is out of range", StoreRefuses("REDIS_URL names the number of a database that Redis does not have.")),
    ("invalid password", _BY_CODE["WRONGPASS"]),
    (
        "nknown command",
        StoreRefuses(
            "Redis does not know a command that psthreads needs: use Redis 7.0 or newer, or Valkey, and rename none."
        ),
    ),
)
_BY_CLASS: Final = (
    (RedisTimeoutError, Unavailable(f"Redis does not answer in time: {_AGAIN}")),
    (InvalidResponse, StoreRefuses("What answers at REDIS_URL is no Redis: check the address.")),
    (RedisConnectionError, Unavailable()),
)
# redis-py takes the code of some errors off their text, and writes before it which command of a pipeline failed.
_CODE: Final = re.compile(r"(?:Command # \d+ .* of pipeline caused error: )?([A-Z]+)\b", re.DOTALL)
_MISDIRECTED: Final = frozenset(("READONLY", "NOREPLICAS", "MASTERDOWN", "UNBLOCKED"))


def explain(error: RedisError) -> Unavailable | None:
    """Return the error of the domain with the reason as its message; None where a mistake of ours is the reason."""
    problem = _BY_CODE.get(_code(error)) or next((it for text, it in _BY_TEXT if text in str(error)), None)
    if problem is None:
        problem = next((it for kind, it in _BY_CLASS if isinstance(error, kind)), None)
    return None if problem is None else type(problem)(problem.message)


def is_misdirected(error: RedisError) -> bool:
    """Return whether the server that the connection leads to is not the one that takes writes."""
    return _code(error) in _MISDIRECTED


def _code(error: RedisError) -> str:
    if code := getattr(error, "status_code", None):
        return str(code)
    match = _CODE.match(str(error))
    return match[1] if match else ""
