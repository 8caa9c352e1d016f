"""The executions of threads: what a worker may do with the thread that it has taken.

A token names one execution; only the one that claimed the thread may write. From the queue to its end a thread costs
three round trips: `take`, `claim` and `finish`; and one where a worker goes on with the next: `finish_and_claim`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, cast

from redis import Redis
from redis.exceptions import RedisError

from psthreads.database.connection import translate_errors
from psthreads.documents.installation import Installation
from psthreads.domain.config import Config
from psthreads.domain.errors import StoreFull, Unavailable
from psthreads.domain.masking import Masker
from psthreads.domain.model import Level, Line, Outcome, Ownership, Report, Status, Thread, clean
from psthreads.system.clock import steady
from psthreads.telemetry import spans, thread_lines
from psthreads.threads import jobs, log_format
from psthreads.threads.records import Beat, Claim, Heartbeat, parse_thread
from psthreads.threads.scripts import ThreadScripts

REQUEUED: Final = "requeued"
"""What abandon answers for a thread that was put back into the queue."""

_LINES_WHEN_FULL: Final = 50
_log = logging.getLogger(__name__)


class Executions:
    """The executions. Its methods raise Unavailable when Redis is away or takes no writes."""

    def __init__(
        self,
        redis: Redis,
        config: Config,
        scripts: ThreadScripts | None = None,
        installation: Installation | None = None,
    ) -> None:
        self._redis = redis
        self._installation = installation
        self._scripts = scripts or ThreadScripts(redis, config)
        self._run = self._scripts.run
        self._mask = Masker(config.mask)
        keys = jobs.key_names(config.queue)
        self._queue, self._taken = keys["QUEUE"], keys["TAKEN"]
        self._running: tuple[Thread, float] | None = None  # the thread that was claimed here, and when

    def take(self, seconds: float) -> str | None:
        """Return the id at the head of the queue, None where none comes within so many seconds.

        Whoever takes it must `claim` it, or give it back with `recover`; the janitor does the latter for one that dies.
        Anybody may have put it there, so that it need not be the id of a thread.
        """
        with translate_errors():
            entry = cast("bytes | None", self._redis.blmove(self._queue, self._taken, seconds))  # type: ignore[arg-type] # redis-py's types
            if entry is None:
                return None
            try:
                return entry.decode("ascii")
            except UnicodeDecodeError:
                _log.error("The queue held %r, which is no id of a thread: it is dropped", entry[:100])
                self._redis.lrem(self._taken, 0, cast("str", entry))
                return None

    def claim(self, thread_id: str, token: str, worker: str) -> Claim | None:
        """Begin an execution of a taken thread; return what it needs to run, None where the thread must not run.

        The same execution may ask again where an answer was lost, as long as it has not begun to run the thread.
        """
        return self._claim(thread_id, token, self._run("claim", thread_id, token, worker, self._seen))

    def _claim(self, thread_id: str, token: str, answer: list[Any]) -> Claim | None:
        lease, *rest = answer
        if not lease:
            if rest:
                self._note_end(thread_id, rest[0].decode())
            return None
        redis_time, claims, meta, data = rest
        if self._installation is not None:
            self._installation.saw(claims=claims)
        thread = parse_thread(thread_id, meta)
        self._running = thread, steady()
        thread_lines.started(thread)
        return Claim(thread, token, lease / 1000, redis_time, data)

    def beat(self, thread_id: str, token: str) -> Heartbeat:
        """Renew the execution's lease; return whether the thread is cancelling."""
        ownership, forced, since, ticks = self._run("beat", thread_id, token, self._seen, even_full=True)
        if self._installation is not None:
            self._installation.saw(ticks)
        return Heartbeat(Ownership(ownership.decode()), bool(forced), since / 1000)

    def beat_all(self, beats: Sequence[Beat], lifetime: int, claims: int = 0) -> tuple[bool, ...]:
        """Renew the records of workers for so many seconds, and the leases of what they run, in one round trip.

        Return for each whether all of it was renewed. Where it was not, the worker itself has to, and may learn why.
        `claims` is how many claims the workers have seen in Redis: one that has fewer renews nothing.
        """
        if self._installation is not None:
            self._installation.saw(claims=claims)
        words = (word for beat in beats for word in jobs.beat_words(beat.worker, beat.thread_id, beat.token))
        ticks, *renewed = self._run("beat_all", self._seen, jobs.time(), lifetime, *words, even_full=True)
        if self._installation is not None:
            self._installation.saw(ticks)
        return tuple(map(bool, renewed)) or (False,) * len(beats)

    def owns(self, thread_id: str, token: str) -> bool:
        """Return whether the thread is this execution's, and has not ended."""
        with translate_errors():
            meta = cast("bytes | None", self._redis.hget(jobs.key(thread_id), "meta"))
        record = json.loads(meta) if meta else {}
        return record.get("token") == token and not Status(record["status"]).is_final

    def report(self, thread_id: str, token: str, report: Report) -> Ownership:
        """Write what changed; return whether the execution still owns the thread."""
        return Ownership(self._run("report", thread_id, token, *self._written(report)).decode())

    def report_late(self, thread_id: str, token: str, report: Report) -> Ownership:
        """Write a report of a process that has ended, which has more to report than its end takes.

        In a Redis whose memory is full, its last lines only: the end must not wait until there is memory again.
        """
        return Ownership(self._run_last("report", thread_id, token, report=report).decode())

    def finish(
        self, thread_id: str, token: str, outcome: Outcome, detail: str = "", report: Report | None = None
    ) -> Status | None:
        """Write the last report and end the thread; return its final status, None where it is not this execution's.

        The status is `cancelled` for a cancelling thread, whatever the outcome. `detail` is one more line for the log.
        In a Redis whose memory is full, only the last lines of the report are kept.
        """
        end = self._end(thread_id, token, outcome, detail)
        return self._ended(thread_id, self._run_last("finish", *end, "", "", "", report=report))

    def finish_and_claim(
        self, thread_id: str, token: str, outcome: Outcome, worker: str, report: Report | None = None
    ) -> Claim | None:
        """Do as `finish`; in the same step, begin the execution `successor(token)` of the next thread of the queue.

        Return what that needs to run, None where there is no such thread, or none that may run. May be called again
        where an answer was lost, as long as that execution has not begun. Whoever gives up an execution that may have
        called this does so with `give_back_next` for its successor, after that.
        """
        end = self._end(thread_id, token, outcome)
        try:
            answer = self._run("finish", *end, successor(token), worker, self._seen, *self._written(report))
        except StoreFull:  # What waits in the queue does so until there is memory again.
            self.finish(thread_id, token, outcome, report=report)
            self.give_back_next(token, "Redis was full")  # An earlier call may have claimed it, its answer lost.
            return None
        self._ended(thread_id, answer)
        return self._claim(answer[1].decode(), successor(token), answer[2:]) if len(answer) > 1 else None

    def give_back_next(self, token: str, why: str) -> None:
        """Put the thread that the successor of this execution has, if any, back at the head of the queue.

        The caller knows that the thread's code has not begun, and never will.
        """
        self.abandon("", why, successor(token), not_begun=True)

    def _ended(self, thread_id: str, answer: list[Any]) -> Status | None:
        if not answer[0]:
            return None
        self._note_end(thread_id, answer[0].decode())
        return Status(answer[0].decode())

    def _end(self, thread_id: str, token: str, outcome: Outcome, detail: str = "") -> tuple[str, ...]:
        result = "" if outcome.result is None else json.dumps(outcome.result, ensure_ascii=False)
        message, note, trace = (self._mask(clean(text)) for text in (outcome.message, detail, outcome.trace))
        return thread_id, token, str(outcome.status), message, note, result, trace

    def abandon(
        self, thread_id: str, why: str, token: str, *, not_begun: bool = False, report: Report | None = None
    ) -> str:
        """Give up an execution, and queue its thread again at the head where it may restart, else end it.

        With `not_begun`, the caller knows that the thread's code has not begun, and never will: then any thread is
        queued again. Returns "requeued", the final status, or an empty text where the thread is not this execution's.
        """
        args = (thread_id, token, self._mask(clean(why)), "", "", "1" if not_begun else "")
        return self._note_verdict(thread_id, why, self._run_last("abandon", *args, report=report).decode())

    def note_kill(self, thread_id: str, reason: str) -> None:
        """Log and count that the process of an execution was killed, or died, before its thread's end is written."""
        self._count(f"killed:{reason}")
        if (thread := self._to_log(thread_id)) is not None:
            thread_lines.killed(thread, reason, self._seconds(thread))

    def count_late_renewal(self) -> None:
        """Count a lease that was renewed later than by two heartbeats."""
        self._count("late")

    def _count(self, what: str) -> None:
        """Count what happens to few threads, for monitors. A Redis that does not take it loses the count alone."""
        with suppress(RedisError):
            self._redis.hincrby("ps:worker-counts", what, 1)

    def _note_verdict(self, thread_id: str, why: str, verdict: str) -> str:
        """Log what became of a thread whose execution was given up; return that."""
        if verdict == REQUEUED:
            self._count(REQUEUED)
            if (thread := self._to_log(thread_id)) is not None:
                thread_lines.requeued(thread, why)
        elif verdict:
            self._note_end(thread_id, verdict)
        return verdict

    def _note_end(self, thread_id: str, status: str) -> None:
        if (thread := self._to_log(thread_id)) is not None:
            seconds = self._seconds(thread)
            thread_lines.ended(thread, status, seconds)
            spans.thread_ended(thread, status, seconds)

    def _to_log(self, thread_id: str) -> Thread | None:
        """Return the thread for a line about it: the one that was claimed here, else, which is rare, from the store."""
        if not (thread_lines.are_read() or spans.are_sent()):
            return None
        if self._running is not None and self._running[0].id == thread_id:
            return self._running[0]
        with suppress(Unavailable), translate_errors():
            meta = cast("bytes | None", self._redis.hget(jobs.key(thread_id), "meta"))
            return parse_thread(thread_id, meta) if meta else None
        return None

    def _seconds(self, thread: Thread) -> float:
        """Return for how long the thread's last execution has run, 0 where none has begun."""
        if self._running is not None and self._running[0] is thread:
            return steady() - self._running[1]
        until = thread.ended or thread.heard
        return max(0, until - thread.started) / 1000 if thread.started else 0.0

    @property
    def _seen(self) -> str:
        return self._installation.seen if self._installation is not None else ""

    def _run_last(self, name: str, *args: str, report: Report | None) -> Any:
        """Run a script of a process that has ended, which must not wait until a full Redis has memory again."""
        if report is None or len(report.lines) <= _LINES_WHEN_FULL:
            return self._run(name, *args, *self._written(report), even_full=True)
        try:
            return self._run(name, *args, *self._written(report))
        except StoreFull:
            return self._run(name, *args, *self._written(_shortened(report)), even_full=True)

    def _written(self, report: Report | None) -> tuple[str, ...]:
        if report is None:
            return ()
        args: dict[str, Any] = {"number": report.number, "warnings": report.warnings, "errors": report.errors}
        for name in ("status", "xml"):
            if (value := getattr(report, name)) is not None:
                args[name] = value
        if report.message is not None:
            args["message"] = self._mask(report.message)
        if report.rates:
            args["rates"] = report.rates
        return (json.dumps(args), *map(log_format.write, self._mask.lines(report.lines)))


def successor(token: str) -> str:
    """Return the token of the execution that may begin in the step that ends this one.

    Whoever knows of the one knows of the other, so that a claim whose answer nobody heard can be given up.
    """
    first, _, number = token.partition(".")
    return f"{first}.{int(number or 0) + 1}"


def _shortened(report: Report) -> Report:
    lines = report.lines[-_LINES_WHEN_FULL:]
    gap = f"{len(report.lines) - len(lines):,} lines before this one are lost: Redis was full when the process ended"
    return replace(report, lines=(Line(lines[0].timestamp, Level.WARN, gap), *lines))
