"""Whether the proxies that there are, as requests show them, are those of the settings, for the log and the doctor.

A wrong number of proxies is seen nowhere else: limits and locks then count the proxy as everybody's address, or
whatever a client writes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

_FORWARDED: Final = frozenset(("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_FORWARDED"))
_DIRECT: Final = ("/healthz", "/readyz", "/metrics")  # Probes and monitors come without the proxy.
_KEY: Final = "ps:forwarding"
_KEPT_SECONDS: Final = 86_400
_AGAIN_SECONDS: Final = 3_600.0
_log = logging.getLogger(__name__)


class ForwardingFault(StrEnum):
    """What does not fit."""

    MISSING = "missing"
    UNDECLARED = "undeclared"

    @property
    def what(self) -> str:
        """A sentence that says what was seen."""
        if self is ForwardingFault.MISSING:
            return (
                "PSTHREADS_PROXIES is set, but a request came without X-Forwarded-For: a proxy does not send it, or "
                "somebody reaches the web process without the proxy."
            )
        return (
            "A request came with X-Forwarded headers, but PSTHREADS_PROXIES is not set: they are ignored, and all who "
            "come through a proxy count as one address. Or a client made them up."
        )

    @property
    def remedy(self) -> str:
        """What to do about it."""
        if self is ForwardingFault.MISSING:
            return "Have the proxy set X-Forwarded-For, -Proto and -Host, and nobody else reach the web process."
        return "Set PSTHREADS_PROXIES to the number of proxies, if there is one."


class Forwarding:
    """Looks at the headers of requests as they come. Each fault is logged once, and noted for the doctor for a day."""

    def __init__(self, redis: Redis, proxies: int) -> None:
        self._redis = redis
        self._fault = ForwardingFault.MISSING if proxies else ForwardingFault.UNDECLARED
        self._is_logged = False
        self._again_at = 0.0

    def look(self, environ: Mapping[str, Any]) -> None:
        """Note where a request lacks the headers that it should have, or has those that it should not."""
        is_forwarded = not _FORWARDED.isdisjoint(environ)
        if is_forwarded is (self._fault is ForwardingFault.MISSING) or environ["PATH_INFO"].endswith(_DIRECT):
            return
        if (now := time.monotonic()) < self._again_at:
            return
        self._again_at = now + _AGAIN_SECONDS
        if not self._is_logged:
            self._is_logged = True
            _log.warning("%s %s", self._fault.what, self._fault.remedy)
        with suppress(RedisError):
            self._redis.hset(_KEY, self._fault, int(time.time()))
            self._redis.expire(_KEY, _KEPT_SECONDS)


def faults(redis: Redis, proxies: int) -> list[ForwardingFault]:
    """Return what web processes have seen within a day, of what these settings would have them note."""
    noted = redis.hgetall(_KEY)
    fault = ForwardingFault.MISSING if proxies else ForwardingFault.UNDECLARED
    seen = float(noted.get(fault.encode(), 0))
    return [fault] if seen > time.time() - _KEPT_SECONDS else []
