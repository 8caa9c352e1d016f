"""A thread with a file that it made, for the tests of downloads."""

from __future__ import annotations

import os

import pytest
from redis import Redis

from psthreads.documents.layout import open_storage
from psthreads.domain.config import Config
from psthreads.threads.store import ThreadStore
from tests.support.people import People
from tests.support.threads import new_thread

CONTENT = os.urandom(3_000_000)


class Made:
    """A thread of group acme, with a file that it made."""

    def __init__(self, people: People, config: Config, redis: Redis, store: ThreadStore) -> None:
        self.people = people
        self.documents = open_storage(config)
        self.thread = store.create(new_thread(redis, group=people.acme))
        self.name = f"result-{self.thread}.zip"
        self.write(CONTENT)

    def write(self, content: bytes) -> None:
        with self.documents.results(self.people.acme.id).write(self.name) as file:
            file.write(content)


@pytest.fixture
def made(people: People, config: Config, redis: Redis, store: ThreadStore) -> Made:
    return Made(people, config, redis, store)
