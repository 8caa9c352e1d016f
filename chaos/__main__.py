"""Run a storm over some hundred threads and print the result: exit code 1 unless every promise was kept."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Final

from chaos.clients import Clients
from chaos.storm import Storm
from chaos.world import World, wait_until
from psthreads.audit.entries import SETUP
from psthreads.database.connection import connect
from psthreads.domain.access import Role
from psthreads.domain.errors import PsthreadsError, ThreadNotFound
from psthreads.domain.model import Status, Thread
from psthreads.identity.directory import Directory
from psthreads.threads.store import ThreadStore
from psthreads.worker.horse import persistently

_STILL_SECONDS: Final = 60.0  # a thread is stuck when, after the storm, none has ended for so long
_BROKEN: Final = ("lost", "stuck", "flipped", "ran twice", "unexplained", "misplaced", "slots held", "wrong answers")
_QUIT: Final = "Its process ended by itself, with exit code 0"
_READY_SECONDS: Final = 60.0
_RECOVERY_SECONDS: Final = 4.0  # a detection is timed only where Redis was left alone, and for so long before


class Watch:
    """Looks at the store ten times a second, and notes when a thread ended or was queued again."""

    def __init__(self, store: ThreadStore, clients: Clients) -> None:
        self._store = store
        self._clients = clients
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch")
        self.changes: dict[str, list[tuple[float, Status]]] = {}

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def end(self) -> None:
        """Stop looking."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.1):
            with self._clients.seen.lock:
                ids = list(self._clients.seen.kinds)
            for thread_id in ids:
                changes = self.changes.setdefault(thread_id, [])
                if changes and changes[-1][1].is_final:
                    continue
                try:
                    status = self._store.fetch(thread_id).status
                except PsthreadsError:
                    continue
                if not changes or changes[-1][1] is not status:
                    changes.append((time.monotonic(), status))


def main() -> int:
    """Run the storm; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--threads", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--supervisors", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2, help="for each supervisor")
    arguments = parser.parse_args()
    print(f"A storm over {arguments.threads} threads, seed {arguments.seed}.", flush=True)
    with tempfile.TemporaryDirectory(prefix="psthreads-chaos-") as name:
        figures = _blow(Path(name), arguments)
    is_kept = not any(figures[name] for name in _BROKEN)
    width = max(map(len, figures))
    for figure, value in figures.items():
        print(f"  {figure:<{width}}  {value:g}")
    target = Path("var/chaos.json")
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({"seed": arguments.seed, **figures}, indent=2) + "\n")
    print("Every promise was kept." if is_kept else "A promise was broken.")
    return 0 if is_kept else 1


def _blow(folder: Path, arguments: argparse.Namespace) -> dict[str, float]:
    marks = folder / "marks"
    with World(folder, arguments.supervisors, arguments.workers) as world, connect(world.config.redis_url) as redis:
        store = ThreadStore(redis, world.config)
        directory = Directory(redis)
        member = directory.by(SETUP).add_member("storm", "a password for a storm")
        group = directory.by(SETUP).add_group("storm")
        directory.by(SETUP).set_membership(member, group, Role.MANAGER)
        clients = Clients(
            world.address, directory.by(SETUP).create_token(member, "storm"), marks, arguments.threads, arguments.seed
        )
        storm, watch = Storm(world, arguments.seed), Watch(store, clients)
        if not wait_until(lambda: len(world.workers()) == arguments.supervisors * arguments.workers, _READY_SECONDS):
            raise TimeoutError("The workers did not start.")
        begun = time.monotonic()
        for part in (clients, watch, storm):
            part.start()
        clients.wait_for_starts()
        wait_until(lambda: len(clients.seen.final) > 0.9 * arguments.threads, _READY_SECONDS + arguments.threads / 4)
        storm.end()
        stuck = _wait_for_the_last(store, clients)
        clients.end()
        watch.end()
        clients.look_again()
        took = time.monotonic() - begun
        print(f"  faults: {', '.join(f'{count} {name}' for name, count in storm.struck.most_common())}")
        # Every thread has ended: none may hold a place in its group.
        slots_held = sum(redis.exists(f"ps:slots:{group.id}{kind}") for kind in ("", ":changes"))
        figures = _judge(store, _as_stored(store, clients), clients, watch, storm, marks, stuck)
        return figures | {"slots held": slots_held if not stuck else 0, "seconds": round(took)}


def _as_stored(store: ThreadStore, clients: Clients) -> dict[str, Thread | None]:
    """Return every accepted thread from the store, None for one that is missing."""
    found: dict[str, Thread | None] = {}
    for thread_id in clients.seen.kinds:
        try:
            found[thread_id] = persistently(lambda: store.fetch(thread_id))  # noqa: B023 (called at once)
        except ThreadNotFound:
            found[thread_id] = None
    return found


def _wait_for_the_last(store: ThreadStore, clients: Clients) -> int:
    """Wait until every accepted thread has ended; return how many are stuck."""
    left, since = len(clients.seen.kinds), time.monotonic()
    while True:
        threads = _as_stored(store, clients).values()
        now = sum(1 for thread in threads if thread is not None and not thread.status.is_final)
        if not now or time.monotonic() - since > _STILL_SECONDS:
            return now
        if now != left:
            left, since = now, time.monotonic()
        time.sleep(0.2)


def _judge(
    store: ThreadStore,
    threads: dict[str, Thread | None],
    clients: Clients,
    watch: Watch,
    storm: Storm,
    marks: Path,
    stuck: int,
) -> dict[str, float]:
    seen = clients.seen
    ended = Counter(thread.status for thread in threads.values() if thread is not None)
    lines = [line.split() for line in marks.read_text().splitlines()] if marks.exists() else []
    runs = Counter(thread_id for thread_id, _ in lines)
    twice = 0
    for thread_id, times in runs.items():
        thread = threads.get(thread_id)
        twice += times > 1 + (thread.restarts if thread is not None else 0)
    broken_cancels = [
        thread_id for thread_id in seen.asked if (found := threads[thread_id]) and found.status is not Status.CANCELLED
    ]
    listed = store.page("finished", size=1).total
    cancels = [
        seen.cancelled[thread_id] - asked for thread_id, asked in seen.asked.items() if thread_id in seen.cancelled
    ]
    for sentence in (*seen.wrong[:5], *(f"not cancelled: {thread_id}" for thread_id in broken_cancels)):
        print(f"  {sentence}")
    return {
        "accepted": len(seen.kinds),
        "completed": ended[Status.COMPLETED],
        "failed": ended[Status.FAILED],
        "cancelled": ended[Status.CANCELLED],
        "restarts": sum(thread.restarts for thread in threads.values() if thread is not None),
        "unexplained": sum(not _is_explained(thread, seen.kinds) for thread in threads.values() if thread is not None),
        "lost": sum(thread is None for thread in threads.values()),
        "stuck": stuck,
        "flipped": len(seen.flipped) + len(broken_cancels),
        "ran twice": twice,
        "misplaced": abs(listed - sum(ended[status] for status in ended if status.is_final)),
        "wrong answers": len(seen.wrong),
        "slowest detection, s": round(_slowest_detection(watch, storm, {pid: thread for thread, pid in lines}), 1),
        "slowest cancel, s": round(max(cancels, default=0.0), 1),
    }


def _is_explained(thread: Thread, kinds: dict[str, str]) -> bool:
    """Return whether a failed thread names a reason that its kind or the storm's faults explain."""
    reasons = ["Killed by signal 9", "Worker lost", "Worker restarted"]
    reasons += {"failing": ["ValueError: as it should"], "quitting": [_QUIT]}.get(kinds[thread.id], [])
    return thread.status is not Status.FAILED or thread.message in reasons


def _slowest_detection(watch: Watch, storm: Storm, ran: dict[str, str]) -> float:
    """Return the longest time from a horse's death to its thread's end or return to the queue, while Redis is well."""
    slowest = 0.0
    for killed, pid in storm.killed:
        for at, status in watch.changes.get(ran.get(str(pid), ""), []):
            if at > killed and (status.is_final or status is Status.INITIALISED):
                if not any(killed - _RECOVERY_SECONDS < struck < at for struck in storm.redis_struck):
                    slowest = max(slowest, at - killed)
                break
    return slowest


if __name__ == "__main__":
    sys.exit(main())
