"""Counts requests in memory, and adds them every few seconds to what all web processes have counted, in Redis.

So any web process of any machine answers for all of them, a process that died takes nothing back, and a request costs
no trip to Redis. A process that is killed loses the counts of a few seconds.
"""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final, cast

from redis import Redis
from redis.exceptions import RedisError

LIMITS: Final = tuple(4**step / 1000 for step in range(8))
"""The upper limits of the steps of a request's time, in seconds; the last step has none."""

_REQUESTS: Final = "ps:requests"
_STREAMS: Final = "ps:streams"
_SECONDS: Final = 5.0
_KEPT_SECONDS: Final = 3 * _SECONDS
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"))

Request = tuple[str, str, int, int]
"""The part of the service, the method, the status, and the step of the time that it took."""


class RequestCounts:
    """The counts of one web process, and of all. `streams` says how many event streams this one has open."""

    def __init__(self, redis: Redis, streams: Callable[[], int]) -> None:
        self._redis = redis
        self._streams = streams
        self._name = os.urandom(8).hex()
        self._counts: Counter[Request] = Counter()
        self._stopped = threading.Event()

    def add(self, part: str, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        step = bisect_right(LIMITS, seconds)
        self._counts[part, method if method in _METHODS else "other", status, step] += 1

    def start(self) -> None:
        """Add the counts to those in Redis now and then, until `stop`."""
        threading.Thread(target=self._run, name="request-counts", daemon=True).start()

    def stop(self) -> None:
        """Add the last counts, and take the streams of this process off."""
        self._stopped.set()
        with suppress(RedisError):
            self.flush()
            self._redis.hdel(_STREAMS, self._name)

    def flush(self) -> None:
        """Add the counts to those in Redis. Raises RedisError; nothing is lost then."""
        counts, self._counts = self._counts, Counter()
        try:
            with self._redis.pipeline() as writes:
                for request, count in counts.items():
                    writes.hincrby(_REQUESTS, "|".join(map(str, request)), count)
                writes.hset(_STREAMS, self._name, f"{time.time() + _KEPT_SECONDS:.0f}|{self._streams()}")
                writes.execute()
        except RedisError:
            self._counts.update(counts)
            raise

    def read(self) -> tuple[Counter[Request], int]:
        """Return what all web processes have counted, and how many streams those that live have open.

        Raises RedisError.
        """
        with suppress(RedisError):
            self.flush()  # A Redis that is full can still be read.
        with self._redis.pipeline(transaction=False) as reads:
            reads.hgetall(_REQUESTS)
            reads.hgetall(_STREAMS)
            requests, streams = cast("list[dict[bytes, bytes]]", reads.execute())
        counts: Counter[Request] = Counter()
        for field, count in requests.items():
            part, method, status, step = field.decode().split("|")
            counts[part, method, int(status), int(step)] += int(count)
        return counts, self._open(streams)

    def _open(self, streams: dict[bytes, bytes]) -> int:
        total, gone = 0, []
        for name, value in streams.items():
            until, _, number = value.partition(b"|")
            if float(until) < time.time():
                gone.append(name)
            else:
                total += int(number)
        if gone:
            with suppress(RedisError):
                self._redis.hdel(_STREAMS, *gone)
        return total

    def _run(self) -> None:
        while not self._stopped.wait(_SECONDS):
            with suppress(RedisError):
                self.flush()
