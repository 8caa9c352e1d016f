"""The cost of the heartbeats of running threads for Redis."""

from __future__ import annotations

import subprocess
import time
from dataclasses import replace

from redis import Redis

from bench.servers import ROOT, redis_server
from psthreads.audit.entries import SETUP
from psthreads.authoring.plugins import load
from psthreads.database.connection import connect
from psthreads.domain.access import Group, Member
from psthreads.local.programs import SUPERVISOR, start
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore

WINDOW_SECONDS = 20.0
GETS = 5_000


def measure() -> dict[str, float]:
    """Measure Redis's time for one heartbeat by that for one GET, and the share of a core for 1,000 threads."""
    with redis_server() as base, connect(base.redis_url) as redis:
        config = replace(base, processes=("bench.threads.sleeper",))
        store = ThreadStore(redis, config)
        engine = Engine(redis, config, store, load(config.processes))
        process = engine.registry.find("sleep")
        assert process is not None
        worker = start(SUPERVISOR, config, folder=ROOT, output=subprocess.DEVNULL, environment={"WORKERS": "1"})
        try:
            idle = spent(redis, WINDOW_SECONDS)
            member, group = Member(1, "bench"), Group(1, "bench")
            seconds = {"seconds": WINDOW_SECONDS + 10}
            thread = engine.start(process, seconds, member=member, by=SETUP, group=group)
            while not store.fetch(thread.id).status.is_running:
                time.sleep(0.1)
            running = spent(redis, WINDOW_SECONDS)
        finally:
            worker.terminate()
            worker.wait()
        redis.set("bare", "x" * 400)
        redis.config_resetstat()
        for _ in range(GETS):
            redis.get("bare")
        one_get = float(redis.info("commandstats")["cmdstat_get"]["usec_per_call"])
    beats = WINDOW_SECONDS / config.heartbeat
    one_beat = (running - idle) / beats
    print(f"  one heartbeat takes Redis {one_beat:.0f} µs, every {config.heartbeat:g} s; one GET {one_get:.1f} µs")
    share = 1_000 * one_beat / 1_000_000 / config.heartbeat
    return {"heartbeat_by_get_in_redis": one_beat / one_get, "heartbeats_of_1000_threads_core_share": share}


def spent(redis: Redis, seconds: float) -> float:
    """Return the microseconds that Redis spends on scripts and transactions, so on heartbeats, in this window."""
    time.sleep(1)  # A worker that has just started, or taken a thread, does more than later.
    redis.config_resetstat()
    time.sleep(seconds)
    stats = redis.info("commandstats")
    return sum(float(stats[name]["usec"]) for name in ("cmdstat_evalsha", "cmdstat_exec") if name in stats)
