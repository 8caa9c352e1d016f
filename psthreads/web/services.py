"""The objects that views need, made once for each web process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from redis import Redis

from psthreads.audit.entries import REFUSED_KEY, Audit
from psthreads.authoring.registry import Registry
from psthreads.database.shared_settings import SharedSettings
from psthreads.documents.installation import Installation
from psthreads.documents.storage import Storage
from psthreads.domain.config import Config
from psthreads.identity.directory import Directory
from psthreads.identity.quotas import Quotas
from psthreads.identity.start_limits import StartLimits
from psthreads.identity.throttles import Throttles
from psthreads.service.service import Service
from psthreads.threads.crew import CrewWatch
from psthreads.threads.engine import Engine
from psthreads.threads.feed import Feed
from psthreads.threads.janitor import Janitor
from psthreads.threads.scripts import ThreadScripts
from psthreads.threads.search import ThreadSearch
from psthreads.threads.store import ThreadStore
from psthreads.web.http.heavy_work import HeavyWork
from psthreads.web.http.origins import Origins
from psthreads.web.http.stream_limit import Downloads, StreamLimit
from psthreads.web.telemetry.request_counts import RequestCounts


@dataclass(frozen=True, slots=True)
class Services:
    """The layers below the web."""

    service: Service
    config: Config
    redis: Redis
    directory: Directory
    audit: Audit
    security_log: Audit
    throttles: Throttles
    start_limits: StartLimits
    store: ThreadStore
    crew: CrewWatch
    search: ThreadSearch
    engine: Engine
    feed: Feed
    installation: Installation
    documents: Storage
    registry: Registry
    janitor: Janitor
    stream_limit: StreamLimit
    downloads: Downloads
    heavy_work: HeavyWork
    quotas: Quotas
    origins: Origins
    scripts: ThreadScripts
    request_counts: RequestCounts

    @classmethod
    def make(cls, config: Config, program: str = "web") -> Self:
        """Return the layers for these settings, of a program of this name. Nothing is sent to Redis yet."""
        service = Service.make(config, program)
        redis, store = service.redis, service.store
        stream_limit = StreamLimit(config.streams, config.streams_per_member)
        return cls(
            service=service,
            config=config,
            redis=redis,
            directory=service.directory,
            audit=Audit(redis),
            crew=service.crew,
            security_log=Audit(redis, REFUSED_KEY),
            throttles=service.throttles,
            start_limits=StartLimits(config),
            store=store,
            search=ThreadSearch(service.scripts, store.annotate),
            engine=service.engine,
            feed=service.feed,
            installation=service.installation,
            documents=service.documents,
            registry=service.registry,
            downloads=Downloads(),
            stream_limit=stream_limit,
            scripts=service.scripts,
            request_counts=RequestCounts(redis, lambda: stream_limit.open),
            heavy_work=HeavyWork(),
            quotas=service.quotas,
            origins=Origins(config.origins),
            janitor=Janitor(redis, config, store, SharedSettings(redis, config, "web"), service.installation),
        )
