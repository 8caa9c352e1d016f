"""A real web process, and threads behind it that the tests follow."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests
from redis import Redis

from psthreads.domain.config import Config
from psthreads.domain.model import Level, Line, Outcome, Report, Status, Thread
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.people import People
from tests.support.threads import start
from tests.support.waiting import wait_for
from tests.system.stack import Program, web
from tests.system.web.sse import Stream


@dataclass
class Site:
    """A real web process, and what is needed to start threads behind it."""

    config: Config
    people: People
    engine: Engine
    store: ThreadStore
    web: Program

    def stream(self, path: str, who: str = "contributor", last: str = "", limit: int = 0) -> Stream:
        return Stream(self.config.port, path, self.people.bearer(who), last, limit)

    def events(self, thread: Thread, who: str = "contributor", last: str = "", limit: int = 0) -> Stream:
        return self.stream(f"/groups/acme/threads/{thread.id}/events", who, last, limit)

    def get(self, path: str, who: str = "contributor", **headers: str) -> requests.Response:
        url = f"http://127.0.0.1:{self.config.port}{path}"
        return requests.get(url, headers={**self.people.bearer(who), **headers}, timeout=60)

    def running(self, name: str = "count") -> Thread:
        """A thread that runs, with us for a worker."""
        thread = start(self.engine, name, group=self.people.acme)
        assert self.store.claim(thread.id, "t", "w")
        return self.store.fetch(thread.id)

    def log(self, thread: Thread, number: int, *texts: str, message: str | None = None, xml: str | None = None) -> None:
        lines = tuple(Line(1_652_667_241_924, Level.INFO, text) for text in texts)
        self.store.report(thread.id, "t", Report(number, message=message, xml=xml, lines=lines))
        self.renew(thread)

    def renew(self, thread: Thread) -> bool:
        """Renew the lease, as a worker would."""
        return bool(self.store.beat(thread.id, "t").ownership)

    def finish(self, thread: Thread) -> None:
        self.store.finish(thread.id, "t", Outcome(Status.COMPLETED, "Done"))


@pytest.fixture
def site(redis: Redis, config: Config, people: People, engine: Engine, store: ThreadStore) -> Iterator[Site]:
    with web(config) as program:
        wait_for(lambda: is_up(config.port))
        yield Site(config, people, engine, store, program)


def is_up(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
