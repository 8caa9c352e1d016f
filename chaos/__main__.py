"""Run a storm over some hundred threads and print the result: exit code 1 unless every promise was kept."""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from redis import Redis

from chaos.clients import Clients
from chaos.counting import COUNTS, Breach, Evidence
from chaos.deck import WEIGHTS
from chaos.history.steps import Steps
from chaos.outcome import admit, as_stored, show, wait_for_the_last
from chaos.scrapes import Scrapes
from chaos.stalls import Stalls
from chaos.storm import Storm
from chaos.trails import executions
from chaos.watch import Watch
from chaos.world import World, wait_until
from chaos.wrong_redis import EMPTY, OLDER, WrongRedis
from psthreads.audit.entries import SETUP
from psthreads.database.connection import connect
from psthreads.domain.access import Group
from psthreads.domain.model import Thread
from psthreads.threads.store import ThreadStore

_STILL_SECONDS: Final = 60.0  # a thread is stuck when, after the storm, none has ended for so long
_READY_SECONDS: Final = 60.0
_SECONDS_EACH: Final = 0.7  # of storm for each thread, by default
_MOST_SHOWN: Final = 20
_TARGET: Final = Path("var/chaos.json")
_KEPT: Final = Path("var/chaos")


def main() -> int:
    """Run the storm; returns the exit code."""
    arguments = _arguments()
    logging.getLogger("psthreads").addHandler(logging.NullHandler())  # It warns of a wrong Redis, as it should.
    print(f"A storm over {arguments.threads} threads, seed {arguments.seed}.", flush=True)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="psthreads-chaos-") as name:
        folder = Path(name)
        figures: dict[str, float] = {}
        breaches: list[Breach] = []
        if names := [name for name in arguments.faults if name in WEIGHTS]:
            figures, breaches = _blow(folder / "storm", arguments, names)
        for fault in (EMPTY, OLDER):
            if fault in arguments.faults:
                breaches += WrongRedis(folder / fault, fault).breaches()
        for breach in breaches[:_MOST_SHOWN]:
            print(f"  {breach}")
        if breaches:
            shutil.rmtree(_KEPT, ignore_errors=True)
            shutil.copytree(name, _KEPT, ignore=shutil.ignore_patterns("*.sock"))
    counts = Counter(breach.count for breach in breaches)
    figures |= {**{count: counts[count] for count in COUNTS}, "seconds": round(time.monotonic() - begun)}
    show(figures)
    _TARGET.parent.mkdir(exist_ok=True)
    _TARGET.write_text(json.dumps({"seed": arguments.seed, **figures}, indent=2) + "\n")
    print(f"A promise was broken: seed {arguments.seed}, logs in {_KEPT}." if breaches else "Every promise was kept.")
    return 1 if breaches else 0


def _arguments() -> argparse.Namespace:
    faults = (*WEIGHTS, EMPTY, OLDER)

    def names(text: str) -> tuple[str, ...]:
        names = tuple(text.replace(",", " ").split())
        if unknown := [name for name in names if name not in faults]:
            raise argparse.ArgumentTypeError(f"there is no fault '{unknown[0]}', only {', '.join(faults)}")
        return names

    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--threads", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--seconds", type=float, default=0, help="over which the starts are spread")
    parser.add_argument("--faults", type=names, default=faults, help=f"some of: {' '.join(faults)}")
    parser.add_argument("--machines", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="on each machine")
    parser.add_argument("--isolated", action="store_true", help="give every thread a horse of its own")
    arguments = parser.parse_args()
    arguments.seconds = arguments.seconds or max(20.0, _SECONDS_EACH * arguments.threads)
    return arguments


def _blow(folder: Path, arguments: argparse.Namespace, names: Collection[str]) -> tuple[dict[str, float], list[Breach]]:
    """Return the figures of the storm, and every promise that it broke."""
    trails = folder / "trails"
    trails.mkdir(parents=True)
    with (
        World(folder, arguments.machines, arguments.workers, isolated=arguments.isolated) as world,
        connect(world.config.redis_url) as redis,
    ):
        store = ThreadStore(redis, world.config)
        token, group = admit(redis)
        clients = Clients(
            world.address,
            token,
            trails,
            arguments.threads,
            arguments.seed,
            arguments.seconds,
            delete=lambda thread_id: store.delete(thread_id, SETUP),
        )
        storm = Storm(world, redis, arguments.seed, names)
        stalls = Stalls()
        scrapes = Scrapes(world.address)
        watch = Watch(store, clients, trails, world.config.documents, world.config.lost_after)
        count = arguments.machines * arguments.workers
        wait_until(lambda: len(world.workers()) == count, _READY_SECONDS, "The workers did not start.")
        begun = time.monotonic()
        for part in (stalls, clients, watch, storm, scrapes):
            part.start()
        clients.wait_for_starts()
        wait_until(lambda: len(clients.seen.final) > 0.9 * arguments.threads, _READY_SECONDS + arguments.threads / 4)
        storm.end()
        scrapes.end()
        wait_for_the_last(store, clients, _STILL_SECONDS)
        clients.end()
        watch.end()
        stalls.end()
        clients.look_again()
        print(f"  faults: {', '.join(f'{count} {name}' for name, count in storm.counts().most_common())}")
        if absent := set(names) - set(storm.counts()):
            print(f"  left out: {', '.join(sorted(absent))}")
        threads = as_stored(store, clients)
        evidence = Evidence(world.config, threads, clients, watch, executions(trails), storm.strikes, stalls)
        breaches = [*evidence.breaches(), *_of_lists(store, redis, threads, group)]
        wrong = scrapes.faults(threads.values(), len(clients.seen.kinds))
        breaches += [Breach("wrong metrics", "", sentence) for sentence in wrong]
        print(f"  scrapes of the metrics: {scrapes.count}")
    steps = Steps(world.redis.folder, world.config)
    breaches += steps.breaches()
    breaches += [
        Breach("orphans", "", f"process {process.pid} outlived the program from which it came")
        for process in world.survivors
    ]
    for thread_id in list(dict.fromkeys(breach.thread_id for breach in breaches if breach.thread_id))[:_MOST_SHOWN]:
        print("\n".join(f"    {line}" for line in evidence.trail(thread_id, begun)))
    return evidence.figures() | steps.figures(), breaches


def _of_lists(store: ThreadStore, redis: Redis, threads: Mapping[str, Thread | None], group: Group) -> Iterator[Breach]:
    """Return what the store says of all threads together, and should not, once all have ended."""
    listed, ended = store.page("finished", size=1).total, [each for each in threads.values() if each is not None]
    if listed != sum(thread.status.is_final for thread in ended):
        yield Breach("misplaced", "", f"{listed} threads are listed as finished, and {len(threads)} should be")
    if all(thread.status.is_final for thread in ended):
        for key in (f"ps:slots:{group.id}", f"ps:slots:{group.id}:changes"):
            if redis.exists(key):
                yield Breach("slots held", "", f"{key} is still there")


if __name__ == "__main__":
    sys.exit(main())
