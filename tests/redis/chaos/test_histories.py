"""The storm's own clients: their histories fit one order, unless something between them and the service is stale."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from redis import Redis
from werkzeug.serving import make_server

from chaos.clients import Clients
from chaos.history.calls import Kind
from chaos.history.order import misfits
from psthreads.audit.entries import SETUP
from psthreads.domain.access import Role
from psthreads.domain.config import Config
from psthreads.domain.model import Outcome, Report, Status
from psthreads.identity.directory import Directory
from psthreads.threads.store import ThreadStore
from psthreads.web.app import create_app
from tests.support.waiting import wait_for

COUNT = 12
STALE_SECONDS = 0.5
Wsgi = Callable[..., Iterable[bytes]]


class StaleCaches:
    """Two caches before the service, as of two proxies, which keep an answer about progress for half a second."""

    def __init__(self, service: Wsgi) -> None:
        self._service = service
        self._kept: dict[tuple[int, str], tuple[float, tuple[Any, ...], list[bytes]]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        key = (random.randrange(2), environ["PATH_INFO"])  # noqa: S311 (as a load balancer chooses)
        if not key[1].endswith("/progress"):
            return self._service(environ, start_response)
        at, head, body = self._kept.get(key, (0.0, (), []))
        if time.monotonic() - at > STALE_SECONDS:
            heads: list[tuple[Any, ...]] = []
            body = list(self._service(environ, lambda *head: heads.append(head)))
            head = heads[-1]
            self._kept[key] = (time.monotonic(), head, body)
        start_response(*head)
        return body


@contextmanager
def served(service: Wsgi) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, service, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def working(store: ThreadStore) -> Iterator[None]:
    """Run what is queued, as a worker does, one thread after the other."""
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            if thread_id := store.take(0.1):
                store.claim(thread_id, "token", "worker")
                for number, status in enumerate((Status.WARNING, Status.INPROGRESS), 1):
                    store.report(thread_id, "token", Report(number, status=status, message=f"Step {number}"))
                    ended.wait(0.05)
                store.finish(thread_id, "token", Outcome(Status.COMPLETED, "Done"))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def storm(redis: Redis, config: Config, folder: Path, wrap: Callable[[Wsgi], Wsgi]) -> Clients:
    """Let the storm's clients start some threads through what `wrap` puts before the service, and see them end."""
    config = replace(config, processes=("chaos.processes",), starts_per_member="off", group_threads=2)
    directory = Directory(redis).by(SETUP)
    member, group = directory.add_member("storm", "a password for a storm"), directory.add_group("storm")
    directory.set_membership(member, group, Role.MANAGER)
    store = ThreadStore(redis, config)
    with served(wrap(create_app(config))) as address, working(store):
        token = directory.create_token(member, "storm")
        clients = Clients(
            address, token, folder, COUNT, 7, 1.0, delete=lambda thread_id: store.delete(thread_id, SETUP)
        )
        clients.start()
        clients.wait_for_starts()
        wait_for(lambda: len(clients.seen.final) == COUNT)
        wait_for(lambda: clients.seen.deleted)
        clients.end()
        clients.look_again()
    assert not clients.seen.wrong
    return clients


def test_the_answers_of_the_service_fit_one_order_of_events(redis: Redis, config: Config, tmp_path: Path) -> None:
    history = storm(redis, config, tmp_path, lambda service: service).history.calls
    assert [str(misfit) for misfit in misfits(history)] == []
    assert len(history) == COUNT
    assert {call.kind for calls in history.values() for call in calls} == set(Kind)


def test_a_cache_that_serves_what_is_stale_is_found(redis: Redis, config: Config, tmp_path: Path) -> None:
    history = storm(redis, config, tmp_path, StaleCaches).history.calls
    assert list(misfits(history))
