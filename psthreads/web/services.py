"""What the views need, made once for each web process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from redis import Redis

from psthreads.config import Config
from psthreads.connection import connect
from psthreads.directory import Directory
from psthreads.documents import Documents
from psthreads.engine import Engine
from psthreads.janitor import Janitor
from psthreads.registry import Registry, load
from psthreads.store import ThreadStore


@dataclass(frozen=True, slots=True)
class Services:
    """The layers below the web, put together."""

    config: Config
    redis: Redis
    directory: Directory
    store: ThreadStore
    engine: Engine
    documents: Documents
    registry: Registry
    janitor: Janitor

    @classmethod
    def make(cls, config: Config) -> Self:
        """Put the layers together for these settings. Nothing is sent to Redis yet."""
        redis = connect(config.redis_url)
        store = ThreadStore(redis, config)
        registry = load(config.processes)
        return cls(
            config=config,
            redis=redis,
            directory=Directory(redis),
            store=store,
            engine=Engine(redis, config, store, registry),
            documents=Documents(config.documents),
            registry=registry,
            janitor=Janitor(redis, config, store),
        )
