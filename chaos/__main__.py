"""Run a storm over some hundred threads and print the result: exit code 1 unless every promise was kept."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from chaos.clients import Clients
from chaos.counting import COUNTS, Breach, Evidence
from chaos.faults import WEIGHTS
from chaos.storm import Storm
from chaos.trails import executions
from chaos.watch import Watch
from chaos.world import World, wait_until
from psthreads.audit.entries import SETUP
from psthreads.database.connection import connect
from psthreads.domain.access import Role
from psthreads.domain.errors import ThreadNotFound
from psthreads.domain.model import Status, Thread
from psthreads.identity.directory import Directory
from psthreads.threads.store import ThreadStore
from psthreads.worker.horse import persistently

_STILL_SECONDS: Final = 60.0  # a thread is stuck when, after the storm, none has ended for so long
_READY_SECONDS: Final = 60.0
_SECONDS_EACH: Final = 0.7  # of storm for each thread, by default
_MOST_SHOWN: Final = 8
_TARGET: Final = Path("var/chaos.json")
_TRAILS: Final = Path("var/chaos")


def main() -> int:
    """Run the storm; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--threads", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--seconds", type=float, default=0, help="over which the starts are spread")
    parser.add_argument("--faults", type=_faults, default=tuple(WEIGHTS), help=f"some of: {' '.join(WEIGHTS)}")
    parser.add_argument("--machines", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="on each machine")
    arguments = parser.parse_args()
    arguments.seconds = arguments.seconds or max(20.0, _SECONDS_EACH * arguments.threads)
    print(f"A storm over {arguments.threads} threads, seed {arguments.seed}.", flush=True)
    with tempfile.TemporaryDirectory(prefix="psthreads-chaos-") as name:
        figures = _blow(Path(name), arguments)
        is_kept = not any(figures[count] for count in COUNTS)
        if not is_kept:
            shutil.rmtree(_TRAILS, ignore_errors=True)
            shutil.copytree(name, _TRAILS, ignore=shutil.ignore_patterns("*.sock"))
    width = max(map(len, figures))
    for figure, value in figures.items():
        print(f"  {figure:<{width}}  {value:g}")
    _TARGET.parent.mkdir(exist_ok=True)
    _TARGET.write_text(json.dumps({"seed": arguments.seed, **figures}, indent=2) + "\n")
    print("Every promise was kept." if is_kept else f"A promise was broken: seed {arguments.seed}, logs in {_TRAILS}.")
    return 0 if is_kept else 1


def _faults(text: str) -> tuple[str, ...]:
    names = tuple(text.replace(",", " ").split())
    if unknown := [name for name in names if name not in WEIGHTS]:
        raise argparse.ArgumentTypeError(f"there is no fault '{unknown[0]}', only {', '.join(WEIGHTS)}")
    return names


def _blow(folder: Path, arguments: argparse.Namespace) -> dict[str, float]:
    trails = folder / "trails"
    trails.mkdir()
    with World(folder, arguments.machines, arguments.workers) as world, connect(world.config.redis_url) as redis:
        store = ThreadStore(redis, world.config)
        directory = Directory(redis)
        member = directory.by(SETUP).add_member("storm", "a password for a storm")
        group = directory.by(SETUP).add_group("storm")
        directory.by(SETUP).set_membership(member, group, Role.MANAGER)
        token = directory.by(SETUP).create_token(member, "storm")
        clients = Clients(world.address, token, trails, arguments.threads, arguments.seed, arguments.seconds)
        storm = Storm(world, redis, arguments.seed, arguments.faults)
        watch = Watch(store, clients, trails, world.config.documents, world.config.lost_after)
        if not wait_until(lambda: len(world.workers()) == arguments.machines * arguments.workers, _READY_SECONDS):
            raise TimeoutError("The workers did not start.")
        begun = time.monotonic()
        for part in (clients, watch, storm):
            part.start()
        clients.wait_for_starts()
        wait_until(lambda: len(clients.seen.final) > 0.9 * arguments.threads, _READY_SECONDS + arguments.threads / 4)
        storm.end()
        _wait_for_the_last(store, clients)
        clients.end()
        watch.end()
        clients.look_again()
        took = time.monotonic() - begun
        print(f"  faults: {', '.join(f'{count} {name}' for name, count in storm.counts().most_common())}")
        if absent := set(arguments.faults) - set(storm.counts()):
            print(f"  left out: {', '.join(sorted(absent))}")
        threads = _as_stored(store, clients)
        evidence = Evidence(world.config, threads, clients, watch, executions(trails), storm.strikes)
        breaches = [*evidence.breaches(), *(Breach("wrong answers", "", sentence) for sentence in clients.seen.wrong)]
        _show(evidence, breaches, begun)
        statuses = Counter(thread.status for thread in threads.values() if thread is not None)
        counts = Counter(breach.count for breach in breaches)
        # Every thread has ended: none may hold a place in its group.
        held = sum(redis.exists(f"ps:slots:{group.id}{kind}") for kind in ("", ":changes"))
        counts["slots held"] = held if not counts["stuck"] else 0
        final = {each.value: statuses[each] for each in Status if each.is_final}
        counts["misplaced"] = abs(store.page("finished", size=1).total - sum(final.values()))
        seen = clients.seen
        cancels = [seen.cancelled[each] - asked for each, asked in seen.asked.items() if each in seen.cancelled]
        return {
            "accepted": len(threads),
            **final,
            "restarts": sum(thread.restarts for thread in threads.values() if thread is not None),
            **{name: counts[name] for name in COUNTS},
            "slowest detection on its machine, s": _slowest(evidence, watched=True),
            "slowest detection elsewhere, s": _slowest(evidence, watched=False),
            "slowest cancel, s": round(max(cancels, default=0.0), 1),
            "seconds": round(took),
        }


def _show(evidence: Evidence, breaches: Sequence[Breach], begun: float) -> None:
    """Print the first broken promises, and the trails of their threads."""
    for breach in breaches[: 4 * _MOST_SHOWN]:
        print(f"  {breach.count}: {breach.thread_id} {breach.sentence}")
    for thread_id in list(dict.fromkeys(breach.thread_id for breach in breaches if breach.thread_id))[:_MOST_SHOWN]:
        print("\n".join(f"    {line}" for line in evidence.trail(thread_id, begun)))


def _slowest(evidence: Evidence, *, watched: bool) -> float:
    times = (each.seconds for each in evidence.detections if each.lost.watched is watched)
    return round(max(times, default=0.0), 1)


def _as_stored(store: ThreadStore, clients: Clients) -> dict[str, Thread | None]:
    """Return every accepted thread from the store, None for one that is missing."""
    threads: dict[str, Thread | None] = {}
    for thread_id in clients.seen.kinds:
        try:
            threads[thread_id] = persistently(lambda: store.fetch(thread_id))  # noqa: B023 (called at once)
        except ThreadNotFound:
            threads[thread_id] = None
    return threads


def _wait_for_the_last(store: ThreadStore, clients: Clients) -> None:
    """Wait until every accepted thread has ended, or until none has for a while."""
    left, since = len(clients.seen.kinds), time.monotonic()
    while True:
        threads = _as_stored(store, clients).values()
        now = sum(1 for thread in threads if thread is not None and not thread.status.is_final)
        if not now or time.monotonic() - since > _STILL_SECONDS:
            return
        if now != left:
            left, since = now, time.monotonic()
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
