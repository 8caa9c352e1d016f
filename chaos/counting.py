"""Holds what clients, the store, the trails and the watch have seen against each other, and counts broken promises."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chaos.clients import Clients
from chaos.deck import PRECISE
from chaos.faults import REDIS, WEB, Lost
from chaos.history.order import misfits
from chaos.processes import KINDS, LIMIT_SECONDS
from chaos.stalls import Stalls
from chaos.storm import Strike
from chaos.trails import Execution
from chaos.watch import Watch, digest
from psthreads.domain.config import Config
from psthreads.domain.model import Status, Thread
from psthreads.threads.leases import CUT_OFF, INTERRUPTED, WORKER_LOST

OWN_MACHINE_SECONDS: Final = 2.0
"""In which the machine of a lost worker has to notice it."""

_RECOVERY_SECONDS: Final = 3.0  # a detection is timed only where nothing else was struck, and for so long before
_KILL_SECONDS: Final = 2.0  # after the grace
_QUIT: Final = "Its process ended by itself, with exit code 0"
_REASONS: Final = ("Killed by signal 9", WORKER_LOST, "Worker restarted", CUT_OFF)
_KINDS_REASONS: Final[Mapping[str, str]] = {
    "failing": "ValueError: as it should",
    "quitting": _QUIT,
    "endless": f"Timed out after {LIMIT_SECONDS:g} s",
}


@dataclass(frozen=True, slots=True)
class Breach:
    """A broken promise: which count it belongs to, whose it is, and a sentence with what was seen."""

    count: str
    thread_id: str
    sentence: str

    def __str__(self) -> str:
        return " ".join((f"{self.count}:", *filter(None, (self.thread_id, self.sentence))))


@dataclass(frozen=True, slots=True)
class Detection:
    """How long it took until the store recorded that an execution was lost.

    `stalled` is for how many of these seconds no program had its turn, or may not have had it.
    """

    seconds: float
    stalled: float
    thread_id: str
    lost: Lost


COUNTS: Final = (
    *("lost", "stuck", "flipped", "ran twice", "unexplained", "overlap", "orphans", "results changed", "overtime"),
    *("late detections", "misplaced", "slots held", "wrong answers", "not linearizable", "broken steps"),
    "wrong metrics",
)
"""What is counted; each must be 0."""


def overlaps(executions: Iterable[Execution], kinds: Mapping[str, str]) -> Iterator[Breach]:
    """Compare the executions of each thread, and those of all threads that exclude each other."""
    rivals = defaultdict(list)
    for run in executions:
        # A start without an answer may have run, and have a kind that nobody knows.
        is_exclusive = run.thread_id in kinds and KINDS[kinds[run.thread_id]].exclusive
        rivals["exclusive" if is_exclusive else run.thread_id].append(run)
    for runs in rivals.values():
        for run, other in itertools.combinations(runs, 2):
            if seconds := run.overlap(other):
                whose = "the same thread" if other.thread_id == run.thread_id else f"thread {other.thread_id}"
                sentence = f"process {run.pid} worked beside process {other.pid} of {whose} for {seconds:.2f} s"
                yield Breach("overlap", run.thread_id, sentence)


class Evidence:
    """The observations of all threads in one storm."""

    def __init__(
        self,
        config: Config,
        threads: Mapping[str, Thread | None],
        clients: Clients,
        watch: Watch,
        executions: Sequence[Execution],
        strikes: Sequence[Strike],
        stalls: Stalls,
    ) -> None:
        self._config = config
        self._threads = threads
        self._clients = clients
        self._kinds = clients.seen.kinds
        self._watch = watch
        self._executions = executions
        self._strikes = strikes
        self._stalls = stalls
        self._janitors = {WEB, *(run.machine for run in executions)}
        self.detections = tuple(self._detections())

    def breaches(self) -> Iterator[Breach]:
        """Return every broken promise about a thread, and every wrong answer."""
        yield from (Breach("wrong answers", "", sentence) for sentence in self._clients.seen.wrong)
        yield from self._of_the_store()
        yield from overlaps(self._executions, self._kinds)
        yield from self._of_files()
        yield from self._too_long()
        for misfit in misfits(self._clients.history.calls):
            yield Breach("not linearizable", misfit.thread_id, str(misfit))

    def figures(self) -> dict[str, float]:
        """Return what the threads came to, and how long losses and cancels took."""
        threads = [thread for thread in self._threads.values() if thread is not None]
        statuses = Counter(thread.status for thread in threads)
        seen = self._clients.seen
        cancels = [seen.cancelled[each] - asked for each, asked in seen.asked.items() if each in seen.cancelled]
        watched, others = (
            [each.seconds for each in self.detections if each.lost.watched is it] for it in (True, False)
        )
        return {
            "accepted": len(seen.kinds),
            "deleted": len(seen.kinds) - len(self._threads),
            "calls": sum(map(len, self._clients.history.calls.values())),
            **{status.value: statuses[status] for status in Status if status.is_final},
            "restarts": sum(thread.restarts for thread in threads),
            "executions": len(self._executions),
            "detections on its machine": len(watched),
            "slowest of them, s": round(max(watched, default=0.0), 1),
            "detections elsewhere": len(others),
            "slowest of these, s": round(max(others, default=0.0), 1),
            "slowest cancel, s": round(max(cancels, default=0.0), 1),
        }

    def trail(self, thread_id: str, begun: float) -> Iterator[str]:
        """Return what happened to a thread, and what struck meanwhile, in order of time."""
        lines = [
            (change.at, f"{change.status.value}, restart {change.restarts}: {change.message}")
            for change in self._watch.changes.get(thread_id, [])
        ]
        places, runs = {REDIS}, []
        for run in self._executions:
            if run.thread_id == thread_id:
                places.add(run.machine)
                runs.append(run.began)
                lines.append((run.began, f"process {run.pid} begins on {run.machine}"))
                lines.append((run.last, f"process {run.pid} or a child of it is last at work"))
                lines += [(run.ended, f"process {run.pid} leaves its function")] if run.ended else []
        if not lines:
            return
        first, last = min(runs, default=0.0), max(lines)[0]
        lines += [
            (strike.at, f"({strike.name} at {strike.place} for {strike.until - strike.at:.1f} s)")
            for strike in self._strikes
            if strike.place in places and strike.until > first - _RECOVERY_SECONDS and strike.at < last
        ]
        yield f"thread {thread_id}, {self._kinds.get(thread_id, 'of another group')}"
        yield from (f"  {at - begun:8.2f} s  {line}" for at, line in sorted(lines))

    def _of_the_store(self) -> Iterator[Breach]:
        seen = self._clients.seen
        runs = Counter(run.thread_id for run in self._executions)
        for thread_id, thread in self._threads.items():
            if thread is None:
                yield Breach("lost", thread_id, "is not in the store")
                continue
            if not thread.status.is_final:
                yield Breach("stuck", thread_id, f"is {thread.status.value}: {thread.message}")
            if thread_id in seen.asked and thread.status is not Status.CANCELLED:
                yield Breach("flipped", thread_id, f"was cancelled, and is {thread.status.value}")
            if runs[thread_id] > 1 + thread.restarts:
                yield Breach("ran twice", thread_id, f"ran {runs[thread_id]} times, with {thread.restarts} restarts")
            if thread.status is Status.FAILED and not self._is_explained(thread):
                yield Breach("unexplained", thread_id, f"failed: {thread.message}")

    def _is_explained(self, thread: Thread) -> bool:
        return thread.message in {*_REASONS, _KINDS_REASONS.get(self._kinds[thread.id], "")}

    def _of_files(self) -> Iterator[Breach]:
        for thread_id, sentence in self._watch.orphans.values():
            yield Breach("orphans", thread_id, sentence)
        deleted = self._clients.seen.deleted
        for thread_id, sentence in self._watch.changed.items():
            if thread_id not in deleted:
                yield Breach("results changed", thread_id, sentence)
        for thread_id, files in self._watch.files.items():
            thread = self._threads.get(thread_id)
            if thread_id in deleted:
                continue
            for name, content in files.items():
                path = Path(name)
                is_result = path.parts[0] == "results" and thread is not None and thread.status is Status.COMPLETED
                if is_result and digest(self._clients.download(thread_id, path.name)) != content:
                    yield Breach("results changed", thread_id, f"the download of {path.name} is another file")

    def _too_long(self) -> Iterator[Breach]:
        config = self._config
        # A worker that stands still is noticed when its lease is over, and enforces nothing until then.
        longest = LIMIT_SECONDS + config.grace + _KILL_SECONDS + self._lease("endless")
        for run in self._executions:
            if self._kinds[run.thread_id] == "endless" and run.last - run.began > longest:
                yield Breach("overtime", run.thread_id, f"process {run.pid} worked for {run.last - run.began:.1f} s")
        for each in self.detections:
            most = OWN_MACHINE_SECONDS if each.lost.watched else self._lease(self._kinds[each.thread_id])
            if each.seconds - each.stalled > most:
                sentence = f"process {each.lost.pid} was lost, which was recorded {each.seconds:.1f} s later"
                yield Breach("late detections", each.thread_id, sentence)

    def _lease(self, kind: str) -> float:
        """Return for how long an execution of this kind may go without a sign of life."""
        is_strict = KINDS[kind].restartable or KINDS[kind].exclusive
        shortest = self._config.lost_after
        return shortest if is_strict else max(shortest, self._config.outage / INTERRUPTED)

    def _detections(self) -> Iterator[Detection]:
        """Return how long each lost execution took to be recorded, where nothing else was in the way."""
        for strike in self._strikes:
            for lost in strike.losses:
                run = self._run_of(lost)
                recorded = self._recorded(run, lost) if run is not None else None
                if run is not None and recorded is not None and not self._is_disturbed(strike, recorded):
                    stalled = self._stalls.between(lost.at, recorded)
                    yield Detection(recorded - lost.at, stalled, run.thread_id, lost)

    def _recorded(self, run: Execution, lost: Lost) -> float | None:
        """Return when the store said that the execution was lost, None for one that was cut off and went on."""
        restarts = 0
        for change in self._watch.changes.get(run.thread_id, []):
            if change.at > lost.at and (change.status.is_final or change.restarts > restarts):
                # The next execution may begin before the watch looks again.
                begun = (each.began for each in self._executions if each.thread_id == run.thread_id)
                recorded = min([change.at, *(at for at in begun if at > lost.at)])
                return recorded if change.status is not Status.COMPLETED else None
            restarts = change.restarts
        return None

    def _is_disturbed(self, strike: Strike, recorded: float) -> bool:
        """Return whether other faults kept the machine, Redis or every janitor from seeing what this one did."""
        struck = {
            other.place
            for other in self._strikes
            if other is not strike
            and other.name not in PRECISE
            and strike.at - _RECOVERY_SECONDS < other.until
            and other.at < recorded
        }
        return bool(struck & {REDIS, strike.place}) or self._janitors - {strike.place} <= struck

    def _run_of(self, lost: Lost) -> Execution | None:
        """Return the execution that was lost, None for one that had ended before."""
        for run in reversed(self._executions):
            if run.pid == lost.pid and run.began < lost.at:
                return run if run.ended is None or run.ended > lost.at else None
        return None
