"""What the groups use of Redis and of the disk, and how much they may.

The bytes of logs are counted by the scripts that write them, for each day, and forgotten with the retention. Files are
measured with each sweep of the disk; uploads count at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis

from psthreads.database.connection import translate_errors
from psthreads.documents.sweeping import DiskUsage
from psthreads.domain.access import Group
from psthreads.domain.config import DAY, Config
from psthreads.domain.errors import QuotaReached

_STORAGE: Final = "ps:storage"
_FIELDS: Final = ("results:bytes", "loading:bytes", "groups:files", "loading:files", "results:files")
_NEAR: Final = 0.8
_REMEMBERED: Final = 1.0  # seconds
_MOST_REMEMBERED: Final = 10_000  # groups


@dataclass(frozen=True, slots=True)
class Use:
    """How much of one quota a group uses, in bytes or files; `most` is 0 for no limit."""

    what: str
    used: int
    most: int
    setting: str

    @property
    def is_reached(self) -> bool:
        """Whether nothing is left."""
        return 0 < self.most <= self.used

    @property
    def is_near(self) -> bool:
        """Whether little is left."""
        return 0 < self.most * _NEAR <= self.used


class Quotas:
    """The use and the quotas of the groups."""

    def __init__(self, redis: Redis, config: Config) -> None:
        self._redis = redis
        self._config = config
        self._roomy: dict[int, float] = {}

    def uses(self, group_id: int) -> tuple[Use, ...]:
        """Return what a group uses: its logs, results, loading zones and files, in one round trip."""
        with translate_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.hmget(_STORAGE, [f"{group_id}:{field}" for field in _FIELDS])
            pipe.hgetall(_logged(group_id))
            stored, days = pipe.execute()
        results, loading, *files = (int(value or 0) for value in stored)
        oldest = (time.time() - self._config.retention) / DAY - 1
        logs = sum(int(size) for day, size in days.items() if int(day) >= oldest)
        config = self._config
        return (
            Use("logs", max(0, logs), config.group_log_bytes, "PSTHREADS_GROUP_LOG_BYTES"),
            Use("results", max(0, results), config.group_result_bytes, "PSTHREADS_GROUP_RESULT_BYTES"),
            Use("loading zones", max(0, loading), config.group_loading_bytes, "PSTHREADS_GROUP_LOADING_BYTES"),
            Use("files", max(0, sum(files)), config.group_files, "PSTHREADS_GROUP_FILES"),
        )

    def check_start(self, group: Group) -> None:
        """Raise QuotaReached where the group's logs, results or files leave no room for another thread.

        A group that is far from every quota is asked about once a second: files are measured less often than that.
        """
        if self._roomy.get(group.id, 0.0) > time.monotonic():
            return
        uses = self.uses(group.id)
        logs, results, _, files = uses
        _refuse(group, logs, "delete threads, or wait until they expire")
        _refuse(group, results, "delete threads with results, or wait until they expire")
        _refuse(group, files, "delete threads with results, or documents")
        if not any(use.is_near for use in uses):
            if len(self._roomy) >= _MOST_REMEMBERED:
                self._roomy.clear()
            self._roomy[group.id] = time.monotonic() + _REMEMBERED

    def check_upload(self, group: Group) -> None:
        """Raise QuotaReached where the group's loading zones or files leave no room for an upload."""
        _, _, loading, files = self.uses(group.id)
        _refuse(group, loading, "load or remove what was uploaded")
        _refuse(group, files, "load or remove what was uploaded, or remove documents")

    def count_upload(self, group: Group, files: int, size: int) -> None:
        """Count files that came into a loading zone of the group, or left it, until they are measured."""
        with translate_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.hincrby(_STORAGE, f"{group.id}:loading:bytes", size)
            pipe.hincrby(_STORAGE, f"{group.id}:loading:files", files)
            pipe.execute()

    def record(self, measured: Iterable[DiskUsage]) -> None:
        """Store what was measured of all groups, in place of what was counted."""
        fields: dict[Any, Any] = {}
        groups = set()
        for usage in measured:
            groups.add(usage.group_id)
            fields[f"{usage.group_id}:{usage.kind}:bytes"] = usage.size
            fields[f"{usage.group_id}:{usage.kind}:files"] = usage.files
        with translate_errors(), self._redis.pipeline() as pipe:
            pipe.delete(_STORAGE)
            if fields:
                pipe.hset(_STORAGE, mapping=fields)
            pipe.execute()
        self._forget_days(groups)

    def near(self) -> Iterator[tuple[int, Use]]:
        """Yield the uses of all groups that have nearly reached their quota. For the doctor: it reads every group's."""
        with translate_errors():
            names: Any = self._redis.hkeys(_STORAGE)
        for group_id in sorted({int(name.partition(b":")[0]) for name in names}):
            for use in self.uses(group_id):
                if use.is_near:
                    yield group_id, use

    def _forget_days(self, groups: Iterable[int]) -> None:
        oldest = (time.time() - self._config.retention) / DAY - 1
        with translate_errors():
            for group_id in groups:
                days: Any = self._redis.hkeys(_logged(group_id))
                if old := [day for day in days if int(day) < oldest]:
                    self._redis.hdel(_logged(group_id), *old)


def _logged(group_id: int) -> str:
    return f"ps:logged:{group_id}"


def _refuse(group: Group, use: Use, remedy: str) -> None:
    if use.is_reached:
        unit = "files" if use.what == "files" else "bytes"
        amount = f"{use.used:,} {unit}" if use.what == "files" else f"{use.used:,} {unit} of {use.what}"
        raise QuotaReached(
            f"Group '{group.name}' has {amount}, and may have {use.most:,}: {remedy}, or have {use.setting} raised."
        )
