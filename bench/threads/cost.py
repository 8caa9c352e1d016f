"""What one thread costs Redis, from the queue to its end and for as long as it is kept, and what an idle worker holds.

Trips, commands and bytes are nearly the same each time and on every machine: `make bench-check` compares them.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import psutil
from redis import Redis

from bench.servers import ROOT, redis_server
from psthreads.audit.entries import SETUP
from psthreads.authoring.plugins import load
from psthreads.database.connection import connect
from psthreads.domain.access import Group, Member, Role
from psthreads.domain.config import Config
from psthreads.identity.directory import Directory
from psthreads.local.programs import SUPERVISOR, start
from psthreads.threads.engine import Engine
from psthreads.threads.scripts import ThreadScripts
from psthreads.threads.store import ThreadStore
from psthreads.web.app import create_app

FEW, MANY = 600, 10_000
FIRST = 20  # threads until the worker has loaded its scripts
WATCHED = 50
REQUESTS = 50
SECONDS = 600.0
IDLE_SECONDS = 3.0
_ID = re.compile(r"[0-9]+\Z|[0-9a-f]{32}\Z")
PROCESSES = ("psthreads.processes", "bench.threads.nothing")


@dataclass
class Run:
    """A Redis with so many threads, which wait for workers that are not started yet."""

    config: Config
    redis: Redis
    store: ThreadStore
    count: int = 0

    def queue(self, count: int) -> None:
        """Queue so many threads more, which do nothing."""
        registry = load(self.config.processes)
        engine, process = Engine(self.redis, self.config, self.store, registry), registry.find("nothing")
        assert process is not None
        for _ in range(count):
            engine.start(process, {}, member=Member(1, "bench"), by=SETUP, group=Group(1, "bench"))
        self.count += count

    @property
    def ended(self) -> int:
        """The number of threads that have ended."""
        return self.store.count("finished")

    @contextmanager
    def workers(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run the workers for the block."""
        supervisor = start(SUPERVISOR, self.config, folder=ROOT, output=subprocess.DEVNULL)
        try:
            yield supervisor
        finally:
            supervisor.terminate()
            supervisor.wait()


def _await(condition: Callable[[], bool]) -> int:
    """Wait for the condition; return how often it was looked at."""
    deadline, looks = time.monotonic() + SECONDS, 1
    while not condition():
        assert time.monotonic() < deadline, "the threads do not end"
        time.sleep(0.1)
        looks += 1
    return looks


def _commands(redis: Redis, act: Callable[[], object]) -> int:
    """Return the commands in Redis that an act takes, those of its scripts included."""
    act()
    before = int(redis.info("stats")["total_commands_processed"])
    act()
    return int(redis.info("stats")["total_commands_processed"]) - before - 1


@contextmanager
def queued(count: int, workers: int) -> Iterator[Run]:
    """Queue threads that do nothing, and yield where they wait. No heartbeat falls into what is measured."""
    with redis_server("--appendfsync", "everysec") as base, connect(base.redis_url) as redis:
        config = replace(base, processes=PROCESSES, workers=workers, heartbeat=60, lost_after=600)
        run = Run(config, redis, ThreadStore(redis, config))
        run.queue(count)
        yield run


def measure_cheap(count: int = FEW, watched: int = WATCHED) -> dict[str, float]:
    """Measure the trips, commands and bytes of a thread, and the trips of the requests that start and follow it."""
    with queued(count, workers=1) as run:
        figures = _of_a_thread(run, watched) | _of_a_kept_thread(run)
    return figures | _of_requests()


def measure() -> dict[str, float]:
    """Measure the same, the bytes of 10,000 kept threads, and the memory of an idle worker."""
    figures = measure_cheap()
    with queued(MANY, workers=2) as run, run.workers() as warden:
        _await(lambda: run.ended == MANY)
        figures |= {f"{name}_of_{MANY}": size for name, size in _of_a_kept_thread(run).items()}
        time.sleep(IDLE_SECONDS)
        sizes = [_proportional(worker) / 1e6 for worker in psutil.Process(warden.pid).children()[0].children()]
    print(f"  idle workers, each with its horse: {', '.join(f'{size:.1f} MB' for size in sizes)}")
    return figures | {"idle_worker_pss_mb": max(sizes)}


def _of_a_thread(run: Run, watched: int) -> dict[str, float]:
    """Return what a thread costs, measured over most of them, and print what so many further ones send to Redis."""
    redis = run.redis
    own = _commands(redis, lambda: run.ended)  # of each look at how many have ended
    with run.workers():
        _await(lambda: run.ended >= FIRST)
        first = run.ended
        redis.config_resetstat()
        looks = _await(lambda: run.ended >= run.count - 3 * watched)
        info = redis.info("everything")
        last = run.ended
        sent = _sent(run, watched)
        _await(lambda: run.ended == run.count)
    threads = last - first
    stats = {name.removeprefix("cmdstat_"): each for name, each in info.items() if name.startswith("cmdstat_")}
    # The time of a script or of a transaction has that of its commands in it.
    times = {name: each["usec_per_call"] for name, each in stats.items()}
    print(f"  {'sent to Redis for a thread':<40} {'times':>5}")
    for name, number in sent.most_common():
        print(f"  {name:<40} {number / watched:5.2f}")
    return {
        "thread_trips": (info["total_reads_processed"] - looks) / threads,
        "thread_commands": (info["total_commands_processed"] - looks * own) / threads,
        "thread_redis_us": sum(number * times.get(name.split()[0], 0) for name, number in sent.items()) / watched,
    }


def _sent(run: Run, count: int) -> Counter[str]:
    """Return how often what is sent for so many threads, from the end of one to that of another."""
    scripts = ThreadScripts(run.redis, Config.from_env(run.config.to_env()))
    names = {script.sha: name for name, script in scripts._scripts.items()}  # noqa: SLF001 (to print them by name)
    sent: Counter[str] = Counter()
    ended, is_in_transaction = -1, False
    with run.redis.monitor() as monitor:  # type: ignore[no-untyped-call] # redis-py's own
        run.queue(2 * count)  # now: of those before, all may have ended meanwhile
        while ended < count:
            entry: dict[str, Any] = monitor.next_command()
            if entry["client_type"] == "lua":
                continue
            name, _, rest = entry["command"].lower().partition(" ")
            script = names.get(rest.partition(" ")[0], "")
            is_in_transaction = (is_in_transaction or name == "multi") and name != "exec"
            if ended >= 0 and not is_in_transaction and script != "start":
                sent[f"{name} {script}".strip()] += 1
            ended += script == "finish"
    return sent


def _of_a_kept_thread(run: Run) -> dict[str, float]:
    """Return the bytes in Redis for each of the threads, which have ended, and print what holds them."""
    count = run.count
    sizes: Counter[str] = Counter()
    for key in run.redis.scan_iter(count=1_000):
        kind = ":".join(part for part in key.decode().split(":") if not _ID.match(part))
        sizes[kind] += run.redis.memory_usage(key, samples=0) or 0
    feed, audit = sizes.pop("ps:feed", 0), sizes.pop("ps:audit", 0)
    for kind, size in sizes.most_common():
        if size >= count:
            print(f"  {kind:<40} {size / count:5.0f} bytes for each of {count:,} ended threads")
    print(f"  {'ps:feed, which is capped':<40} {feed:9,.0f} bytes in all")
    return {"kept_thread_bytes": sizes.total() / count, "kept_thread_audit_bytes": audit / count}


def _of_requests() -> dict[str, float]:
    """Return the trips of a request that starts a thread, and of one for its progress."""
    with redis_server() as base, connect(base.redis_url) as redis:
        setup = Directory(redis).by(SETUP)
        member, group = setup.add_member("bench", uuid4().hex), setup.add_group("bench")
        setup.set_membership(member, group, Role.CONTRIBUTOR)
        headers = {"Authorization": f"Bearer {setup.create_token(member, 'bench')}"}
        client = create_app(replace(base, processes=PROCESSES)).test_client(use_cookies=False)
        path = "/members/bench/groups/bench/bench/nothing"
        progress = client.post(path, headers=headers).headers["Location"]
        return {
            "start_trips": _trips(redis, lambda: client.post(path, headers=headers).status),
            "progress_trips": _trips(redis, lambda: client.get(progress, headers=headers).status),
        }


def _trips(redis: Redis, request: Callable[[], str]) -> float:
    request()
    before = redis.info("stats")["total_reads_processed"]
    answers = {request() for _ in range(REQUESTS)}
    assert answers <= {"200 OK", "202 ACCEPTED"}, answers
    return float(redis.info("stats")["total_reads_processed"] - before - 1) / REQUESTS


def _proportional(worker: psutil.Process) -> int:
    """Return the bytes of memory of a worker and its horse; what processes share counts in part for each."""
    processes = [worker, *worker.children(recursive=True)]
    return sum(process.memory_full_info().pss for process in processes)
