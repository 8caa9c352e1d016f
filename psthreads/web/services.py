"""The objects that views need, made once for each web process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from redis import Redis

from psthreads.audit.entries import REFUSED_KEY, Audit
from psthreads.authoring.plugins import load_all
from psthreads.authoring.registry import Registry
from psthreads.database.connection import connect
from psthreads.database.shared_settings import SharedSettings
from psthreads.documents.installation import Installation
from psthreads.documents.layout import open_storage
from psthreads.documents.storage import Storage
from psthreads.domain.config import Config
from psthreads.identity.directory import Directory
from psthreads.identity.quotas import Quotas
from psthreads.identity.throttles import Throttles
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

    config: Config
    redis: Redis
    directory: Directory
    audit: Audit
    security_log: Audit
    throttles: Throttles
    store: ThreadStore
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
    def make(cls, config: Config) -> Self:
        """Return the layers for these settings. Nothing is sent to Redis yet."""
        redis = connect(config.redis_url)
        scripts = ThreadScripts(redis, config)
        store = ThreadStore(redis, config, scripts, watch=CrewWatch(redis, config.queue))
        throttles = Throttles(redis, config)
        installation = Installation(redis, config, "web")
        registry = load_all(config.processes)
        stream_limit = StreamLimit(config.streams, config.streams_per_member)
        return cls(
            config=config,
            redis=redis,
            directory=Directory(redis, throttles=throttles, config=config, seen=lambda: installation.seen),
            audit=Audit(redis),
            security_log=Audit(redis, REFUSED_KEY),
            throttles=throttles,
            store=store,
            search=ThreadSearch(scripts, store.annotate),
            engine=Engine(redis, config, store, registry),
            feed=Feed(redis, store),
            installation=installation,
            documents=open_storage(config, installation.require),
            registry=registry,
            downloads=Downloads(),
            stream_limit=stream_limit,
            scripts=scripts,
            request_counts=RequestCounts(redis, lambda: stream_limit.open),
            heavy_work=HeavyWork(),
            quotas=Quotas(redis, config),
            origins=Origins(config.origins),
            janitor=Janitor(redis, config, store, SharedSettings(redis, config, "web"), installation),
        )
