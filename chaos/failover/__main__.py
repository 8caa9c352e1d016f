"""Fail Redis over again and again while threads run, with PSTHREADS_REPLICAS=1 and then without it.

With --hosts every program has a host of its own, and partitions between them take the place of that. The exit code is 1
where anything was lost, ran twice or was answered wrongly although replicas had to confirm it.
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
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from chaos.clients import Clients
from chaos.counting import overlaps
from chaos.failover.partitions import HOSTS, PARTITIONS, drawn
from chaos.failover.world import FailoverWorld
from chaos.history.calls import Kind
from chaos.history.order import misfits
from chaos.network import Network
from chaos.outcome import admit, as_stored, show, wait_for_the_last
from chaos.trails import executions
from chaos.world import wait_until
from psthreads.database.connection import connect
from psthreads.domain.model import Status, Thread
from psthreads.threads import crew
from psthreads.threads.store import ThreadStore

KINDS: Final = ("steady", "restartable", "documents", "results")
PROMISES: Final = ("lost", "ran twice", "overlap", "stuck", "flipped", "answers 500")
_READY_SECONDS: Final = 60.0
_STILL_SECONDS: Final = 90.0
_LULL_SECONDS: Final = 8.0
_SECONDS_EACH: Final = 0.35
_LEAST_SECONDS: Final = 70.0
_PARTITION_SECONDS: Final = 18.0
# How far the replica is behind when its primary is killed, in seconds; None for a planned failover.
_TURNS: Final = (1.0, None, 3.0)

Turn = tuple[str, str, Callable[[], float | None]]
"""The kind of a fault, its words, and the fault, which returns when it struck, if it did, on the monotonic clock."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that struck. `at` is on the monotonic clock."""

    at: float
    kind: str


def main() -> int:
    """Run the storm once with replicas and once without, and print both; returns the exit code."""
    arguments = _arguments()
    logging.getLogger("psthreads").addHandler(logging.NullHandler())
    target = Path("var/hosts.json" if arguments.hosts else "var/failover.json")
    kept = target.with_suffix("")
    results: dict[str, dict[str, float]] = {}
    with ExitStack() as stack:
        network = None
        if arguments.hosts:
            try:
                network = stack.enter_context(Network(HOSTS))
            except OSError as error:
                print(f"Left out: this computer, or this user, cannot have hosts with networks of their own: {error}.")
                return 0
        for replicas in (1, 0) if arguments.only is None else (arguments.only,):
            name = f"PSTHREADS_REPLICAS={replicas}"
            what = "partitions of hosts" if network else "failovers"
            print(f"{arguments.threads} threads through {what}, {name}, seed {arguments.seed}.", flush=True)
            with tempfile.TemporaryDirectory(prefix="psthreads-failover-") as folder:
                results[name] = figures = _blow(Path(folder), replicas, network, arguments)
                if replicas and any(figures[promise] for promise in PROMISES):
                    shutil.rmtree(kept, ignore_errors=True)
                    shutil.copytree(folder, kept, ignore=shutil.ignore_patterns("*.sock"))
            show(figures)
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({"seed": arguments.seed, **results}, indent=2) + "\n")
    promised = results.get("PSTHREADS_REPLICAS=1", {})
    is_broken = any(promised.get(promise) for promise in PROMISES)
    print(f"A promise was broken: logs in {kept}." if is_broken else "Every promise was kept.")
    return int(is_broken)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos FAILOVER=1", description=__doc__)
    parser.add_argument("--threads", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--seconds", type=float, default=0, help="over which the starts are spread")
    parser.add_argument("--only", type=int, choices=(0, 1), help="this number of replicas alone")
    parser.add_argument("--hosts", action="store_true", help="partitions of hosts, with replicas alone unless --only=0")
    arguments = parser.parse_args()
    least = _LEAST_SECONDS
    if arguments.hosts:
        arguments.only = 1 if arguments.only is None else arguments.only
        least = _PARTITION_SECONDS * len(PARTITIONS)
    arguments.seconds = arguments.seconds or max(least, _SECONDS_EACH * arguments.threads)
    return arguments


def _turns(world: FailoverWorld, seed: int) -> Iterator[Turn]:
    """Return the faults of a storm, without an end."""
    if world.network:
        for partition, seconds in drawn(seed):
            yield "partition", f"{partition.words}, {seconds:.1f} s", partial(world.separate, partition, seconds)
    for behind in itertools.cycle(_TURNS):
        if behind is None:
            yield "planned", "planned", world.fail_over
        else:
            words = f"the primary killed, its replica {behind:g} s behind"
            yield "forced", words, partial(world.kill_primary, behind)


def _blow(folder: Path, replicas: int, network: Network | None, arguments: argparse.Namespace) -> dict[str, float]:
    trails = folder / "trails"
    trails.mkdir()
    faults: list[Fault] = []
    adoptions = 0
    with FailoverWorld(folder, replicas, network) as world, connect(world.config.redis_url) as redis:
        store = ThreadStore(redis, world.config)
        token, _ = admit(redis)
        count, seed, seconds = arguments.threads, arguments.seed, arguments.seconds
        clients = Clients(world.address, token, trails, count, seed, seconds, kinds=KINDS)
        wait_until(lambda: crew.count(redis, world.config.queue) > 0, _READY_SECONDS, "The workers did not start.")
        begun = time.monotonic()
        clients.start()
        turns = _turns(world, seed)
        while clients.is_starting:
            time.sleep(_LULL_SECONDS)
            kind, words, strike = next(turns)
            at = strike()
            faults.append(Fault(at or time.monotonic(), kind if at else f"{kind}, refused by the Sentinels"))
            is_older = world.adopt()
            adoptions += is_older
            world.redis.wait_until_whole()
            older = ", and adopted" if is_older else ""
            accepted = len(clients.seen.kinds)
            refused = "" if at else ", which the Sentinels refused"
            print(f"  fault {len(faults)}: {words}{refused}{older}; {accepted} threads so far", flush=True)
        wait_for_the_last(store, clients, _STILL_SECONDS)
        clients.end()
        clients.look_again()
        threads = as_stored(store, clients)
        seconds = time.monotonic() - begun
    return _figures(clients, threads, trails, faults) | {"adoptions": adoptions, "seconds": round(seconds)}


def _figures(
    clients: Clients, threads: dict[str, Thread | None], trails: Path, faults: list[Fault]
) -> dict[str, float]:
    seen, runs = clients.seen, executions(trails)
    counts = Counter(run.thread_id for run in runs)
    stored = [thread for thread in threads.values() if thread is not None]
    statuses = Counter(thread.status for thread in stored)
    restarts = {thread.id: thread.restarts for thread in stored}
    kinds = Counter(fault.kind for fault in faults)
    refused = {kind: max(_refusal(clients, each) for each in faults if each.kind == kind) for kind in kinds}
    return {
        "accepted": len(threads),
        **{status.value: statuses[status] for status in Status if status.is_final},
        "restarts": sum(restarts.values()),
        **{f"faults, {kind}": count for kind, count in kinds.items()},
        "lost": sum(thread is None for thread in threads.values()),
        # Those that nobody was promised ran, too: a start that was refused is repeated, and is one thread all the same.
        "ran twice": sum(count > 1 + restarts.get(thread_id, 0) for thread_id, count in counts.items()),
        "overlap": len(list(overlaps(runs, seen.kinds))),
        "stuck": sum(not thread.status.is_final for thread in stored),
        "flipped": sum(_is_flipped(clients, thread) for thread in stored),
        "answers 500": len(seen.wrong),
        "answers 503": seen.codes[503],
        "not linearizable": len(list(misfits(clients.history.calls))),
        **{f"longest refusal, {kind}, s": round(seconds, 1) for kind, seconds in refused.items()},
    }


def _is_flipped(clients: Clients, thread: Thread) -> bool:
    """Return whether a thread ended otherwise than the first answer said that was final, or than a cancel promised."""
    answers = sorted((call.ended, call.answer.status) for call in clients.history.calls[thread.id] if call.answer)
    first = next((status for _, status in answers if Status(status).is_final), thread.status)
    return first != thread.status or (thread.id in clients.seen.asked and thread.status is not Status.CANCELLED)


def _refusal(clients: Clients, fault: Fault) -> float:
    """Return the longest time around a fault in which no request to start was accepted."""
    calls = itertools.chain.from_iterable(clients.history.calls.values())
    near = sorted(call.ended for call in calls if call.kind is Kind.START and fault.at - 5 < call.ended < fault.at + 60)
    return max((later - earlier for earlier, later in itertools.pairwise(near)), default=0.0)


if __name__ == "__main__":
    sys.exit(main())
