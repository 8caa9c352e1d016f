"""Fail Redis over again and again while threads run, with PSTHREADS_REPLICAS=1 and then without it.

The exit code is 1 where anything was lost, ran twice or was answered wrongly although replicas had to confirm it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chaos.failover.clients import FailoverClients
from chaos.failover.replicated_redis import wait_until
from chaos.failover.world import FailoverWorld
from chaos.trails import executions
from psthreads.audit.entries import SETUP
from psthreads.database.connection import connect
from psthreads.domain.access import Role
from psthreads.domain.errors import ThreadNotFound
from psthreads.domain.model import Thread
from psthreads.identity.directory import Directory
from psthreads.threads import crew
from psthreads.threads.store import ThreadStore
from psthreads.worker.horse.performance import persistently

_READY_SECONDS: Final = 60.0
_STILL_SECONDS: Final = 90.0
_LULL_SECONDS: Final = 4.0
_SECONDS_EACH: Final = 0.35
_LEAST_SECONDS: Final = 70.0
_TARGET: Final = Path("var/failover.json")
_KEPT: Final = Path("var/failover")
# How far the replica is behind when its primary is killed, in seconds; None for a planned failover.
_TURNS: Final = (1.0, None, 3.0)
PROMISES: Final = ("lost", "ran twice", "stuck", "flipped", "answers 500")


@dataclass(frozen=True, slots=True)
class Fault:
    """A failover that took place. `at` is on the monotonic clock."""

    at: float
    is_planned: bool


def main() -> int:
    """Run the storm once with replicas and once without, and print both; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make chaos FAILOVER=1", description=__doc__)
    parser.add_argument("--threads", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--seconds", type=float, default=0, help="over which the starts are spread")
    parser.add_argument("--only", type=int, choices=(0, 1), help="this number of replicas alone")
    arguments = parser.parse_args()
    arguments.seconds = arguments.seconds or max(_LEAST_SECONDS, _SECONDS_EACH * arguments.threads)
    logging.getLogger("psthreads").addHandler(logging.NullHandler())
    results: dict[str, dict[str, float]] = {}
    for replicas in (1, 0) if arguments.only is None else (arguments.only,):
        name = f"PSTHREADS_REPLICAS={replicas}"
        print(f"{arguments.threads} threads through failovers, {name}, seed {arguments.seed}.", flush=True)
        with tempfile.TemporaryDirectory(prefix="psthreads-failover-") as folder:
            results[name] = figures = _blow(Path(folder), replicas, arguments)
            if replicas and any(figures[promise] for promise in PROMISES):
                shutil.rmtree(_KEPT, ignore_errors=True)
                shutil.copytree(folder, _KEPT, ignore=shutil.ignore_patterns("*.sock"))
        width = max(map(len, figures))
        for figure, value in figures.items():
            print(f"  {figure:<{width}}  {value:g}")
    _TARGET.parent.mkdir(exist_ok=True)
    _TARGET.write_text(json.dumps({"seed": arguments.seed, **results}, indent=2) + "\n")
    kept = results.get("PSTHREADS_REPLICAS=1", {})
    is_broken = any(kept.get(promise) for promise in PROMISES)
    print(f"A promise was broken: logs in {_KEPT}." if is_broken else "Every promise was kept.")
    return int(is_broken)


def _blow(folder: Path, replicas: int, arguments: argparse.Namespace) -> dict[str, float]:
    trails = folder / "trails"
    trails.mkdir()
    faults: list[Fault] = []
    adoptions = 0
    with FailoverWorld(folder, replicas) as world, connect(world.config.redis_url) as redis:
        store = ThreadStore(redis, world.config)
        directory = Directory(redis).by(SETUP)
        member, group = directory.add_member("storm", "a password for a storm"), directory.add_group("storm")
        directory.set_membership(member, group, Role.MANAGER)
        token = directory.create_token(member, "storm")
        clients = FailoverClients(world.address, token, trails, arguments.threads, arguments.seed, arguments.seconds)
        wait_until(lambda: crew.count(redis, world.config.queue) > 0, _READY_SECONDS, "The workers did not start.")
        begun = time.monotonic()
        clients.start()
        turns = itertools.cycle(_TURNS)
        while clients.is_starting:
            time.sleep(_LULL_SECONDS)
            behind = next(turns)
            at = world.fail_over() if behind is None else world.kill_primary(behind)
            faults.append(Fault(at, behind is None))
            is_older = world.adopt()
            adoptions += is_older
            world.redis.wait_until_whole()
            how = "planned" if behind is None else f"the primary killed, its replica {behind:g} s behind"
            older = ", and adopted" if is_older else ""
            print(f"  failover {len(faults)}: {how}{older}; {len(clients.accepted)} threads so far", flush=True)
        _wait_for_the_last(store, clients)
        clients.end()
        clients.look_again()
        threads = _as_stored(store, clients)
        seconds = time.monotonic() - begun
    return _figures(clients, threads, trails, faults) | {"adoptions": adoptions, "seconds": round(seconds)}


def _figures(
    clients: FailoverClients, threads: dict[str, Thread | None], trails: Path, faults: list[Fault]
) -> dict[str, float]:
    runs = Counter(run.thread_id for run in executions(trails))
    stored = [thread for thread in threads.values() if thread is not None]
    statuses = Counter(thread.status.value for thread in stored)
    restarts = {thread.id: thread.restarts for thread in stored}
    refused = {
        is_planned: [_refusal(clients, each) for each in faults if each.is_planned is is_planned]
        for is_planned in (True, False)
    }
    return {
        "accepted": len(threads),
        **{status: statuses[status] for status in ("completed", "failed", "cancelled")},
        "restarts": sum(restarts.values()),
        "planned failovers": len(refused[True]),
        "forced failovers": len(refused[False]),
        "lost": sum(thread is None for thread in threads.values()),
        # Those that nobody was promised ran, too: a start that was refused is repeated, and is one thread all the same.
        "ran twice": sum(count > 1 + restarts.get(thread_id, 0) for thread_id, count in runs.items()),
        "stuck": sum(not thread.status.is_final for thread in stored),
        "flipped": sum(
            clients.ended.get(thread.id, (status, ""))[0] != status
            or (thread.id in clients.cancelled and status != "cancelled")
            for thread in stored
            if (status := thread.status.value)
        ),
        "ends seen and undone": len(clients.undone),
        "answers 500": len(clients.wrong),
        "answers 503": clients.codes[503],
        "longest refusal, planned, s": round(max(refused[True], default=0.0), 1),
        "longest refusal, forced, s": round(max(refused[False], default=0.0), 1),
    }


def _refusal(clients: FailoverClients, fault: Fault) -> float:
    """Return the longest time around a failover in which no request to start was accepted."""
    answered = sorted(at for _, at in clients.starts)
    near = [at for at in answered if fault.at - 5 < at < fault.at + 60]
    return max((later - earlier for earlier, later in itertools.pairwise(near)), default=0.0)


def _as_stored(store: ThreadStore, clients: FailoverClients) -> dict[str, Thread | None]:
    threads: dict[str, Thread | None] = {}
    for thread_id in list(clients.accepted):
        try:
            threads[thread_id] = persistently(lambda: store.fetch(thread_id))  # noqa: B023 (called at once)
        except ThreadNotFound:
            threads[thread_id] = None
    return threads


def _wait_for_the_last(store: ThreadStore, clients: FailoverClients) -> None:
    """Wait until every thread has ended, or until none has for a while."""
    left, since = -1, time.monotonic()
    while time.monotonic() - since < _STILL_SECONDS:
        threads = _as_stored(store, clients).values()
        now = sum(1 for thread in threads if thread is not None and not thread.status.is_final)
        if not now:
            return
        if now != left:
            left, since = now, time.monotonic()
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
