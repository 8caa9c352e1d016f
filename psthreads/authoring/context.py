"""What a running process holds: its documents, and the way to report, to log and to be interrupted.

Reporting is cheap because it only changes memory; one background thread writes what changed, at
most once in every interval, in one round trip. An interrupt (cancel, time limit, shutdown) is an
exception raised in the process's own code, never in the middle of a report.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from lxml import etree

from psthreads.authoring.elements import Bar, ReportedElement, check_name
from psthreads.authoring.interrupts import Cancelled, Interrupted, Interrupts, ShutDown, TimedOut
from psthreads.authoring.masking import Masker
from psthreads.authoring.reporting import FLUSH_LINES, Outbox, Reporter
from psthreads.documents.folder import ResultFile
from psthreads.documents.layout import GroupFolder
from psthreads.documents.loading_zone import LoadingZone
from psthreads.documents.results import ResultFolder, public_name
from psthreads.domain.access import Group, Member
from psthreads.domain.model import Level, Report, Status, clean

__all__ = ["Cancelled", "Context", "Interrupted", "Reporter", "ShutDown", "TimedOut"]


class Context:
    """The running thread, as its process sees it.

    `member` is who the work is done for; `group` is None for work on the whole server. Only the operating
    system process that runs the thread may report; a process that it forks gets a RuntimeError. Any of its
    Python threads may.
    """

    def __init__(
        self,
        *,
        thread_id: str,
        member: Member,
        group: Group | None,
        folder: GroupFolder | None,
        results: ResultFolder,
        scratch: Path,
        reporter: Reporter,
        redis_time: int = 0,
        interval: float = 0.5,
        mask: Masker | None = None,
        loading_zone: LoadingZone | None = None,
    ) -> None:
        self.thread_id = thread_id
        self.member = member
        self.group = group
        self._folder = folder
        self._loading_zone = loading_zone
        self._results = results
        self._scratch = scratch
        self._at_end: list[Callable[[], object]] = []
        self._outbox = Outbox(reporter, redis_time=redis_time, interval=interval, mask=mask, on_lost=self._stand_down)
        self._main = threading.get_ident()
        # Should it come to a kill, what was said until the interrupt is written.
        self._interrupts = Interrupts(self._outbox.ring)

    # What a process calls.

    @property
    def folder(self) -> GroupFolder:
        """The documents of the thread's group; raises RuntimeError where it works on the whole server."""
        if self._folder is None:
            raise RuntimeError("This thread works on no group: it has no documents")
        return self._folder

    @property
    def loading_zone(self) -> LoadingZone:
        """The files that the thread's member has uploaded for its group; raises RuntimeError as `folder` does."""
        if self._loading_zone is None:
            raise RuntimeError("This thread works on no group: it has no loading zone")
        return self._loading_zone

    @property
    def warnings(self) -> int:
        """How many warnings were reported."""
        return self._outbox.warnings

    @property
    def errors(self) -> int:
        """How many errors were reported."""
        return self._outbox.errors

    @property
    def last_message(self) -> str:
        """The latest message, warning or error; empty before the first."""
        return self._outbox.last_message

    def message(self, text: str) -> None:
        """Say where the thread is now: its message, and a line of its log."""
        self._say(text, Level.INFO, Status.INPROGRESS)

    def warning(self, text: str) -> None:
        """Report a warning: counted, logged, and the thread's message until the next report."""
        self._say(text, Level.WARN, Status.WARNING)

    def error(self, text: str) -> None:
        """Report an error: counted, logged, and the thread's message until the next report.

        A thread that reported an error ends `failed`, unless its process returns another Outcome.
        """
        self._say(text, Level.ERROR, Status.ERROR)

    def log(self, text: str, level: Level = Level.INFO, *, detail: str = "") -> None:
        """Write a line to the log, and nothing else. `detail` is shown below it to administrators only."""
        outbox, interrupts = self._outbox, self._interrupts
        if interrupts.is_forked:
            interrupts.refuse_fork()
        outbox.log(text, level, detail)
        if not len(outbox.lines) % FLUSH_LINES:
            self._relieve()
        elif interrupts.reason is not None:
            interrupts.check()

    def bar(self, name: str = "progress", total: int = 0) -> Bar:
        """A new progress bar of that name, in place of one with the same name.

        Raises ValueError for what is no XML name, and for a name that every thread uses itself.
        """
        check_name(name)
        bar = Bar(name, total)
        self._put(name, bar)
        return bar

    def element(self, name: str, text: str | None = None, attributes: Mapping[str, str] | None = None) -> None:
        """Set an element of the thread's own XML, in place of one with the same name.

        Raises ValueError for what is no XML name, and for a name that every thread uses itself.
        """
        check_name(name)
        shown = {key: self.masked(clean(value)) for key, value in (attributes or {}).items()}
        element = etree.Element(name, shown)
        element.text = None if text is None else self.masked(clean(text))
        self._put(name, ReportedElement(element))

    def check(self) -> None:
        """A checkpoint: raises the interrupt if there is one that the process has not yet seen."""
        self._interrupts.check()

    def result(self, filename: str) -> AbstractContextManager[ResultFile]:
        """A file to write that members of the group can download once it is whole.

        It appears when the block ends well, and leaves nothing behind when it does not. The name that it is
        downloaded by has the thread's id in it, report-<id>.html for report.html, and is the file's `filename`.
        """
        result = self._results.write(public_name(filename, self.thread_id))
        self.cleanup(result.discard)
        return result

    def shield(self) -> AbstractContextManager[None]:
        """A block that no interrupt cuts in two: one that comes meanwhile is raised at the block's end.

        For the few lines that must happen together, such as to move a file and to say so. A worker that has
        to kill the process does not wait for it.
        """
        return self._interrupts

    def cleanup(self, callback: Callable[..., object], *arguments: object) -> None:
        """Call this with these arguments when the process's function is left, however that happens.

        The last that was registered is called first, with interrupts held back. One that raises is logged, and
        the others are called all the same. Not after a kill.
        """
        self._at_end.append(partial(callback, *arguments))

    def temporary(self) -> Path:
        """A new folder for temporary files, on the documents' disk, which is always removed.

        At the end of the function; after a kill by the janitor, within the hour.
        """
        with self._interrupts:
            self._scratch.mkdir(mode=0o750, parents=True, exist_ok=True)
            path = Path(tempfile.mkdtemp(prefix=f"{self.thread_id}-", dir=self._scratch))
            self.cleanup(shutil.rmtree, path, True)
        return path

    # What the worker's side calls.

    def clean_up(self) -> None:
        """Call what the process registered with `cleanup`."""
        while self._at_end:
            callback = self._at_end.pop()
            try:
                with self._interrupts:
                    callback()
            except Exception as error:  # noqa: BLE001 (whatever one raises, the others have their turn)
                self.log(f"Cleaning up failed: {type(error).__name__}: {error}", Level.WARN)

    def interrupt(self, reason: Interrupted) -> None:
        """Raise the reason in the process's code: now, or at the end of the report under way.

        For the handler of a signal, in the main Python thread. Only the first reason counts, and
        it is raised once: a second exception would cut the `finally` blocks short.
        """
        self._interrupts.come(reason)

    def stop_interrupts(self) -> Interrupted | None:
        """From here on nothing is raised any more. Returns the interrupt that there was, if any."""
        return self._interrupts.stop()

    def start(self) -> None:
        """Begin to write reports in the background."""
        self._outbox.start()

    def close(self) -> tuple[Report, ...]:
        """Stop writing in the background; returns what is still to be written, for whoever ends the thread.

        These are two reports where one could not be written before and more was said since.
        """
        self._interrupts.stop()
        return self._outbox.close()

    def flush(self) -> None:
        """Write now what has changed. Raises Unavailable when the store cannot be reached."""
        self._outbox.flush()

    def masked(self, text: str) -> str:
        """The text without what looks like a secret."""
        return self._outbox.mask(text)

    @property
    def is_own_process(self) -> bool:
        """False in an operating system process that the thread's process forked."""
        return not self._interrupts.is_forked

    # Inside.

    def _say(self, text: str, level: Level, status: Status) -> None:
        with self._interrupts:
            self._outbox.say(text, level, status)
        if not len(self._outbox.lines) % FLUSH_LINES:
            self._relieve()

    def _put(self, name: str, part: Bar | ReportedElement) -> None:
        with self._interrupts:
            self._outbox.put(name, part)

    def _relieve(self) -> None:
        with self._interrupts:
            self._outbox.relieve(lambda: self._interrupts.reason is not None)

    def _stand_down(self) -> None:
        # The worker sends the same signal, but this is sooner, and comes even when the worker hangs.
        interrupts = self._interrupts
        if not interrupts.is_over and interrupts.reason is None and callable(signal.getsignal(signal.SIGUSR1)):
            signal.pthread_kill(self._main, signal.SIGUSR1)
