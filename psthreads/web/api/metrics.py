"""The metrics of the whole service, for a monitor that has the token or an address of its own."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Final

from flask import Blueprint, Response, request
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry
from redis.exceptions import RedisError

from psthreads.database.connection import memory
from psthreads.domain.config import Config
from psthreads.domain.errors import NotAllowed, NotSignedIn, Unavailable
from psthreads.threads import crew
from psthreads.threads.figures import figures
from psthreads.web.auth.guard import Guard
from psthreads.web.services import Services
from psthreads.web.telemetry import exposition

_BEARER: Final = "Bearer "
_OFF: Final = (
    "Metrics are for monitors: set PSTHREADS_METRICS_TOKEN or PSTHREADS_METRICS_ADDRESSES to let one read them."
)
_FORWARDED: Final = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED")


def make_blueprint(services: Services, _guard: Guard) -> Blueprint:
    """Return the route, which no member may read, an administrator included: a monitor has no member's rights."""
    blueprint = Blueprint("metrics", __name__)
    blueprint.before_request(_MonitorCheck(services.config))

    @blueprint.get("/metrics")
    def metrics() -> Response:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Scrape(services))
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return Response(encode(registry), content_type=content_type)

    return blueprint


class _MonitorCheck:
    """Lets a request in that has the token, or that comes from one of the addresses."""

    def __init__(self, config: Config) -> None:
        self._token = config.metrics_token.encode()
        self._networks = [ip_network(network) for network in config.metrics_addresses]
        self._is_behind_proxies = config.proxies > 0

    def __call__(self) -> None:
        if not (self._token or self._networks):
            raise NotAllowed(_OFF)
        credential = request.headers.get("Authorization", "")
        if self._token and credential.startswith(_BEARER):
            sent = credential[len(_BEARER) :].strip().encode("latin-1", "replace")
            if hmac.compare_digest(sent, self._token):
                return
        if self._is_near():
            return
        if self._token:
            raise NotSignedIn("Metrics need the token of PSTHREADS_METRICS_TOKEN, as Authorization: Bearer.")
        raise NotAllowed("Metrics are not for your address: see PSTHREADS_METRICS_ADDRESSES.")

    def _is_near(self) -> bool:
        """Return whether the address counts. That of a proxy which is not declared does not: it stands for anybody."""
        if not self._is_behind_proxies and any(name in request.environ for name in _FORWARDED):
            return False
        try:
            address = ip_address((request.remote_addr or "").partition("%")[0])
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._networks)


class _Scrape(Collector):
    """Reads all figures of this moment. What it costs does not grow with the number of threads."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; where Redis does not answer, those that do without it."""
        try:
            of_redis = list(self._read())
        except (RedisError, Unavailable):
            of_redis = []
        yield from exposition.build()
        yield from exposition.reach(is_up=bool(of_redis))
        yield from of_redis

    def _read(self) -> Iterator[Metric]:
        services, config = self._services, self._services.config
        most = config.metrics_groups
        groups = services.directory.find_groups(size=most).items if most else ()
        processes = [process.name for process in services.registry]
        names = {group.id: group.name for group in groups}
        yield from exposition.of_threads(figures.read(services.scripts, processes, names))
        yield from exposition.of_workers(crew.look(services.redis, config))
        yield from exposition.of_redis(memory(services.redis))
        yield from exposition.of_requests(*services.request_counts.read())
