"""The settings that must be the same for all processes: kept in Redis once, where the scripts read them.

A setting is in force as soon as no running process is set to another value. As long as two are set differently, the
value that was in force stays, and each process that is set to another one says so. A process whose environment does not
name a setting takes whatever is in force: the value that was last agreed on, even when no process names it any more, or
the default where none ever did.

Each web process and each supervisor of workers is counted as running until a few seconds after its last call of
`SharedSettings.agree`. What is in force stays stored when none is running.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, cast
from uuid import uuid4

from redis import Redis

from psthreads.database.connection import translate_errors
from psthreads.database.scripts import Scripts
from psthreads.domain.config import SETTINGS, Config

NAMES: Final = (
    *("retention", "audit_retention", "idempotency", "lost_after", "outage", "restarts", "log_events"),
    *("log_bytes", "group_threads", "group_changes", "lock_after"),
)
"""The shared settings, by their names in Config. All are numbers."""

AGREE_SECONDS: Final = 3.0
"""How often a running process calls `SharedSettings.agree`."""

_LIFETIME_MS: Final = 10_000
_IN_FORCE: Final = "ps:settings"
_PROCESSES: Final = "ps:settings:processes"
_VARIABLES: Final[Mapping[str, str]] = {each.name: each.metadata["env"] for each in SETTINGS}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting of a process that is not in force. `holders` are the processes that are set otherwise."""

    process: str
    variable: str
    value: str
    in_force: str
    holders: tuple[str, ...]

    def __str__(self) -> str:
        verb = "is" if len(self.holders) == 1 else "are"
        why = f" because {' and '.join(self.holders)} {verb} set otherwise" if self.holders else ""
        return f"{self.variable} is {self.value} for {self.process}, but {self.in_force} is in force{why}."


REMEDY: Final = (
    "Set it to one value for web and workers, and restart those that have another: it takes effect once no running "
    "process is set otherwise."
)
"""What to do about a difference."""


def constants(config: Config) -> dict[str, object]:
    """Return the constants of lua/common.lua: the values of this process, for settings that Redis does not hold."""
    return {"SETTINGS": {name: getattr(config, name) for name in NAMES}}


class SharedSettings:
    """The part of one running process in the shared settings. `program` says what the process is, in messages."""

    def __init__(self, redis: Redis, config: Config, program: str) -> None:
        self._redis = redis
        self._run = Scripts(redis, "psthreads.database", constants(config)).run
        self._config = config
        self._program = program
        self._logged: dict[str, Difference] = {}

    def agree(self) -> None:
        """Count this process as running, and log which of its settings are not in force; raise Unavailable.

        Each difference is logged once, and once more when it ends.
        """
        flat = cast("list[bytes]", self._run("agree", json.dumps(self._record), _LIFETIME_MS))
        in_force = _decoded(dict(zip(flat[::2], flat[1::2], strict=True)))
        running = _running(self._redis) if _differs(self._record, in_force) else []
        current = {each.variable: each for each in _differences([self._record], in_force, running)}
        for variable in current.keys() - self._logged.keys():
            _log.warning("%s %s", current[variable], REMEDY)
        for variable in self._logged.keys() - current.keys():
            _log.warning("%s=%s is in force now.", variable, self._logged[variable].value)
        self._logged = current

    def withdraw(self) -> None:
        """Stop counting this process as running; raise Unavailable."""
        with translate_errors():
            self._redis.zrem(_PROCESSES, json.dumps(self._record))

    @cached_property
    def _record(self) -> dict[str, Any]:
        # Made at first use: a server may make this object before it forks its processes.
        return _record(f"{self._program} {socket.gethostname()}:{os.getpid()}", self._config)


def differences(redis: Redis, config: Config) -> list[Difference]:
    """Return the differences of all running processes, and of this environment; raise Unavailable."""
    with translate_errors():
        in_force = _decoded(cast("dict[bytes, bytes]", redis.hgetall(_IN_FORCE)))
    running = _running(redis)
    return list(_differences([*running, _record("this environment", config)], in_force, running))


def _record(process: str, config: Config) -> dict[str, Any]:
    # The id tells apart processes in containers that have the same host name and process number.
    explicit = {name: _text(getattr(config, name)) for name in NAMES if name in config.explicit}
    return {"id": uuid4().hex, "process": process, "explicit": explicit}


def _text(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def _decoded(stored: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in stored.items()}


def _running(redis: Redis) -> list[dict[str, Any]]:
    with translate_errors():
        seconds, _ = redis.time()
        records = cast("list[bytes]", redis.zrange(_PROCESSES, seconds * 1000, "+inf", byscore=True))
    return [json.loads(record) for record in records]


def _differs(record: dict[str, Any], in_force: Mapping[str, str]) -> bool:
    return any(value != in_force.get(name, value) for name, value in record["explicit"].items())


def _differences(
    records: Iterable[dict[str, Any]], in_force: Mapping[str, str], running: Iterable[dict[str, Any]]
) -> Iterator[Difference]:
    for record in records:
        for name, value in record["explicit"].items():
            current = in_force.get(name, value)
            if value != current:
                holders = {other["process"] for other in running if other["explicit"].get(name, value) != value}
                yield Difference(record["process"], _VARIABLES[name], value, current, tuple(sorted(holders)))
