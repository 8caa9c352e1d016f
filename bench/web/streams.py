"""A thousand event streams of one web process: their memory, how late they are, and what else still gets done."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from statistics import median
from uuid import uuid4

import psutil

from bench.servers import ROOT, gunicorn, load, redis_server
from psthreads.audit.entries import SETUP
from psthreads.authoring.plugins import load as load_processes
from psthreads.database.connection import connect
from psthreads.domain.access import Role
from psthreads.domain.model import Level, Line, Report
from psthreads.identity.directory import Directory
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore

STREAMS = 1_000
THREADS = 100
EVENTS_PER_SECOND = 100
SECONDS = 17.0
SETTLE_SECONDS = 2.0
LOAD_SECONDS = 3.0


def measure() -> dict[str, float]:
    """Measure the memory of a stream (kB), the time from a report to the client (ms), and progress requests."""
    with redis_server() as base, connect(base.redis_url) as redis:
        # Nobody renews the leases here, and all threads run.
        config = replace(
            base, lost_after=3_600, group_threads=THREADS, connections_per_address=0, streams_per_member=STREAMS
        )
        directory = Directory(redis)
        member = directory.by(SETUP).add_member("bench", uuid4().hex)
        group = directory.by(SETUP).add_group("bench")
        directory.by(SETUP).set_membership(member, group, Role.CONTRIBUTOR)
        token = directory.by(SETUP).create_token(member, "bench")
        store = ThreadStore(redis, config)
        engine = Engine(redis, config, store, load_processes(config.processes))
        process = engine.registry.find("validate")
        assert process is not None
        ids = []
        for _ in range(THREADS):
            thread = engine.start(process, {"path": "/", "warn": False}, member=member, by=SETUP, group=group)
            assert store.claim(thread.id, "t", "w")
            ids.append(thread.id)
        headers = f"Host: bench\r\nAuthorization: Bearer {token}\r\n\r\n"
        progress_request = f"GET /groups/bench/threads/{ids[0]}/progress HTTP/1.1\r\n{headers}".encode()
        with gunicorn(config, "app:app") as port:
            (server,) = psutil.Process().children(recursive=True)[-1:]
            load(port, progress_request, 1)
            alone, slowest_alone = load(port, progress_request, LOAD_SECONDS)
            before = server.memory_info().rss
            with _clients(port, ids, headers) as clients:
                assert clients.stdout is not None
                assert clients.stdout.readline() == "ready\n"
                time.sleep(SETTLE_SECONDS)  # A thousand streams that have just begun are another measurement.
                memory = server.memory_info().rss - before
                stopped = threading.Event()
                reports = threading.Thread(target=_report, args=(store, ids, stopped))
                reports.start()
                time.sleep((SECONDS - SETTLE_SECONDS) / 2)
                loaded = time.monotonic()
                beside, slowest = load(port, progress_request, LOAD_SECONDS)
                arrived = json.loads(clients.stdout.readline())
                stopped.set()
                reports.join()
    times = sorted(late for sent, late in arrived if sent < loaded)
    busy = sorted(late for sent, late in arrived if loaded <= sent < loaded + LOAD_SECONDS)
    assert len(times) > STREAMS, "hardly anything arrived"
    p50, p99 = median(times), times[int(len(times) * 0.99)]
    print(f"  {STREAMS:,} streams of {THREADS} threads: {memory / 1e6:.1f} MB, {len(arrived):,} events arrived")
    print(f"  from the report to the client: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    print(f"  under a full load of requests: p50 {median(busy):.1f} ms, p99 {busy[int(len(busy) * 0.99)]:.1f} ms")
    print(
        f"  progress: {alone:.0f}/s alone, p99 {slowest_alone:.0f} ms; {beside:.0f}/s beside them, p99 {slowest:.0f} ms"
    )
    return {
        "stream_memory_kB": memory / STREAMS / 1_000,
        "stream_p50_ms": p50,
        "stream_p99_ms": p99,
        "progress_rate_beside_1000_streams_by_alone": beside / alone,
    }


@contextmanager
def _clients(port: int, ids: list[str], headers: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "bench.web.follow", str(port), str(SECONDS)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as clients:
        assert clients.stdin is not None
        for number in range(STREAMS):
            path = f"/groups/bench/threads/{ids[number % len(ids)]}/events"
            clients.stdin.write(json.dumps(f"GET {path} HTTP/1.1\r\n{headers}") + "\n")
        clients.stdin.close()
        clients.stdin = None
        try:
            yield clients
        finally:
            clients.kill()


def _report(store: ThreadStore, ids: list[str], stopped: threading.Event) -> None:
    """Log a line for one thread after the other; each line names the time when it is sent."""
    number = 0
    while not stopped.wait(1 / EVENTS_PER_SECOND):
        line = Line(1_652_667_241_924, Level.INFO, f"sent {time.monotonic():.6f}")
        store.report(ids[number % len(ids)], "t", Report(number // len(ids) + 1, lines=(line,)))
        number += 1
