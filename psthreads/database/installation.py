"""What Redis knows of the installation: its id, and a count that only grows.

documents/installation.py compares it with what the documents' store knows.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from redis import Redis

from psthreads.database import shared_settings
from psthreads.database.connection import translate_errors
from psthreads.database.scripts import Scripts
from psthreads.domain.config import Config

_KEY: Final = "ps:installation"
_REFUSALS: Final = "ps:installation:refusals"
_REFUSAL_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class RedisRecord:
    """The record that Redis has of its installation.

    `id` is empty for a Redis that belongs to none, `was_used` whether it held members or threads before. `ticks` only
    grow. `refusal` says why some process does not work here, or is empty. `last_ids` are the highest ids that it gave
    out, by "group" and "member". `noted` is the highest tick that a janitor's store was seen to have noted.
    `claims` counts the threads that workers took.
    """

    id: str
    ticks: int
    was_used: bool
    refusal: str
    last_ids: Mapping[str, int]
    noted: int
    claims: int


class InstallationRecord:
    """The installation's record in Redis. Its methods raise Unavailable. `program` says what this process is."""

    def __init__(self, redis: Redis, config: Config, program: str) -> None:
        self._redis = redis
        constants, confirmed = shared_settings.constants(config), config.replicas
        # A count that a failover undoes must not have been seen by anybody.
        self._run = Scripts(redis, "psthreads.database", constants, replicas=confirmed, unconfirmed=("refuse",)).run
        self._program = program

    def read(self, installation: str = "", seen: int = 0, noted: int = 0, *, count: bool = False) -> RedisRecord:
        """Return the record; with `count`, count one more tick, if it is this installation's and has lost none.

        `noted` is what the caller's store has noted, which is then written down, too.
        """
        known, ticks, was_used, refusal, group, member, highest, claims = self._run(
            "tick", installation, seen, int(count), noted, even_full=True
        )
        sentence = json.loads(refusal)["brief"] if refusal else ""
        last_ids = {"group": int(group), "member": int(member)}
        return RedisRecord(known.decode(), int(ticks), bool(was_used), sentence, last_ids, int(highest), int(claims))

    def pair(self, installation: str) -> None:
        """Give Redis this id, unless it has one."""
        with translate_errors():
            self._redis.hsetnx(_KEY, "id", installation)

    def replace(self, installation: str, ticks: int, last_ids: Mapping[str, int]) -> None:
        """Give Redis this id, so many ticks and these highest ids of groups and members, whatever it had."""
        with translate_errors(), self._redis.pipeline() as pipeline:
            pipeline.hset(_KEY, mapping={"id": installation, "ticks": ticks, "noted": 0})
            for kind, last in last_ids.items():
                pipeline.set(f"ps:last-id:{kind}", last)
            pipeline.execute()

    def refuse(self, why: str, brief: str) -> None:
        """Say for ten seconds that this process does not work here, and why; in brief to everybody."""
        process = f"{self._program} {socket.gethostname()}:{os.getpid()}"
        self._run("refuse", json.dumps({"why": f"{process}: {why}", "brief": brief}), _REFUSAL_MS, even_full=True)

    def refusals(self) -> list[str]:
        """Return why processes do not work here, a sentence for each."""
        with translate_errors():
            seconds, _ = self._redis.time()
            lines = cast("list[bytes]", self._redis.zrange(_REFUSALS, seconds * 1000, "+inf", byscore=True))
        return [json.loads(line)["why"] for line in lines]
