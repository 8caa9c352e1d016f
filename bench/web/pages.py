"""The dashboard's pages among few and among many finished threads: how long they take, and how heavy they are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from uuid import uuid4

import requests
from redis import Redis

from bench.servers import gunicorn, redis_server
from bench.threads.stored import fill, store_meta
from psthreads.audit.entries import SETUP
from psthreads.authoring.plugins import load as load_processes
from psthreads.database.connection import connect
from psthreads.domain.config import Config
from psthreads.domain.model import Level, Line, Outcome, Report, Status
from psthreads.identity.directory import Directory
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore

FEW, MANY = 1_000, 1_000_000
ROUNDS = 25


def measure() -> dict[str, float]:
    """Measure each page among many threads by the same among few; the longest median (ms) and page (bytes) of all."""
    with _site(FEW) as (few, thread), _site(MANY) as (many, other):
        paths = {
            "overview": "/dashboard",
            "active": "/dashboard/threads",
            "finished": "/dashboard/threads?status=finished",
            "filtered": "/dashboard/threads?status=finished&group=bench&process=validate&member=bench",
            "found": "/dashboard/threads?status=finished&text=valid",
            "sought": "/dashboard/threads?status=finished&text=nowhere",
            "thread": "/dashboard/threads/{}",
            "log": "/dashboard/threads/{}/log",
            "group": "/dashboard/groups/bench",
            "start": "/dashboard/start",
            "members": "/dashboard/members",
            "audit": "/dashboard/audit",
        }
        times: dict[tuple[str, str], list[float]] = {}
        sizes: dict[str, int] = {}
        for _ in range(ROUNDS):
            for name, path in paths.items():
                for which, site, thread_id in (("few", few, thread), ("many", many, other)):
                    begin = time.perf_counter()
                    answer = site.get(path.format(thread_id))
                    times.setdefault((name, which), []).append((time.perf_counter() - begin) * 1000)
                    answer.raise_for_status()
                    sizes[name] = max(sizes.get(name, 0), len(answer.content))
    figures = {}
    for name in paths:
        quick, slow = median(times[name, "few"]), median(times[name, "many"])
        print(f"  {name:<10} {quick:6.1f} ms among {FEW:,}, {slow:6.1f} ms among {MANY:,}, {sizes[name]:6,} bytes")
        figures[f"page_{name}_of_{MANY}_by_{FEW}"] = slow / quick
    slowest = max(median(each) for (_, which), each in times.items() if which == "many")
    return figures | {"slowest_page_ms": slowest, "heaviest_page_bytes": max(sizes.values())}


class _Browser:
    """Asks for pages as an administrator."""

    def __init__(self, port: int, token: str) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str) -> requests.Response:
        return self._session.get(self._base + path, timeout=30)


@contextmanager
def _site(stored: int) -> Iterator[tuple[_Browser, str]]:
    """Run a web process with `stored` finished threads; yield a browser and the id of a thread with a log."""
    with redis_server() as config, connect(config.redis_url) as redis:
        redis.config_set("appendonly", "no")  # How fast the threads are put in is not measured.
        directory = Directory(redis)
        member = directory.by(SETUP).add_member("bench", uuid4().hex, admin=True)
        token = directory.by(SETUP).create_token(member, "bench")
        thread_id = _fill(redis, config, directory, stored)
        with gunicorn(config, "app:app") as port:
            browser = _Browser(port, token)
            browser.get("/dashboard").raise_for_status()
            yield browser, thread_id


def _fill(redis: Redis, config: Config, directory: Directory, stored: int) -> str:
    group, member = directory.by(SETUP).add_group("bench"), directory.find_member("bench")
    store, registry = ThreadStore(redis, config), load_processes(config.processes)
    process = registry.find("validate")
    assert process is not None
    engine = Engine(redis, config, store, registry)
    for number in range(60):
        thread = engine.start(process, {"path": "/", "warn": False}, member=member, by=SETUP, group=group)
        if number:
            continue  # The others wait, so that pages of active threads are full.
        assert store.claim(thread.id, "t", "w")
        lines = tuple(Line(1_652_667_241_924, Level.INFO, f"Document /{each}.psml is valid.") for each in range(5_000))
        store.report(thread.id, "t", Report(1, xml='<progress total="5000" current="5000"/>', lines=lines))
        store.finish(thread.id, "t", Outcome(Status.COMPLETED, "5000 documents are valid"))
        ended = thread.id
    fill(redis, store_meta(redis, ended), group.id, stored)
    return ended
