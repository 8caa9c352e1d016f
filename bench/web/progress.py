"""Progress requests of one web process, signed in with a token, beside bare Flask views with one Redis GET."""

from __future__ import annotations

import threading
from statistics import median
from uuid import uuid4

from bench.servers import gunicorn, load, redis_server
from psthreads.audit.entries import SETUP
from psthreads.authoring.plugins import load as load_processes
from psthreads.database.connection import connect
from psthreads.domain.access import Role
from psthreads.domain.model import Report
from psthreads.identity.directory import Directory
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore

ROUNDS = 15
SECONDS = 1.5


def _report(store: ThreadStore, thread_id: str, stopped: threading.Event) -> None:
    number = 0
    while not stopped.wait(0.5):
        number += 1
        xml = f'<progress total="1000000" current="{number}"/>'
        store.report(thread_id, "t", Report(number, message=f"Document /{number}.psml is valid.", xml=xml))


def measure() -> dict[str, float]:
    """Measure the rate of progress requests by that of the bare views, and the same for the 99th percentile."""
    with redis_server() as config, connect(config.redis_url) as redis:
        directory = Directory(redis)
        member = directory.by(SETUP).add_member("bench", uuid4().hex)
        group = directory.by(SETUP).add_group("bench")
        directory.by(SETUP).set_membership(member, group, Role.CONTRIBUTOR)
        token = directory.by(SETUP).create_token(member, "bench")
        store = ThreadStore(redis, config)
        registry = load_processes(config.processes)
        engine = Engine(redis, config, store, registry)
        process = registry.find("validate")
        assert process is not None
        thread = engine.start(process, {"path": "/", "warn": False}, member=member, by=SETUP, group=group)
        assert store.claim(thread.id, "t", "w")
        store.report(
            thread.id, "t", Report(1, message="Document /a.psml is valid.", xml='<progress total="9" current="1"/>')
        )
        redis.set("bare", "<thread/>" * 40)  # about as long as a thread's XML
        headers = f"Host: bench\r\nAuthorization: Bearer {token}\r\nAccept: application/xml\r\n\r\n"
        ours = f"GET /groups/bench/threads/{thread.id}/progress HTTP/1.1\r\n{headers}".encode()
        bare, lean = (f"GET {path} HTTP/1.1\r\n{headers}".encode() for path in ("/", "/lean"))
        rates: list[float] = []
        lean_rates: list[float] = []
        slowest: list[float] = []
        # The thread changes as often as a thread may, so that no answer is the same for long.
        reports = threading.Thread(target=_report, args=(store, thread.id, stopped := threading.Event()))
        reports.start()
        with gunicorn(config, "app:app") as our_port, gunicorn(config, "bench.web.bare:app") as bare_port:
            load(our_port, ours, 1)
            load(bare_port, bare, 1)
            load(bare_port, lean, 1)
            for _ in range(ROUNDS):
                our_rate, our_slowest = load(our_port, ours, SECONDS)
                bare_rate, bare_slowest = load(bare_port, bare, SECONDS)
                lean_rate, _slowest = load(bare_port, lean, SECONDS)
                print(
                    f"  ours {our_rate:7.0f}/s {our_slowest:6.1f} ms   bare {bare_rate:7.0f}/s {bare_slowest:6.1f} ms"
                    f"   with the client of psthreads {lean_rate:7.0f}/s"
                )
                rates.append(our_rate / bare_rate)
                lean_rates.append(our_rate / lean_rate)
                slowest.append(our_slowest / bare_slowest)
        stopped.set()
        reports.join()
    return {
        "progress_rate_by_bare_get": median(rates),
        "progress_rate_by_lean_get": median(lean_rates),
        "progress_p99_by_bare_get": median(slowest),
    }
