"""The context of a running process: its documents, its reports and log, and its interrupts.

Reporting is cheap: it changes memory only, and a background Python thread writes the changes at most once in
every interval, in one round trip. An interrupt (cancel, time limit, shutdown) is an exception that is raised in the
process's own code, never in the middle of a report.
"""

from __future__ import annotations

import math
import secrets
import shutil
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from types import FrameType

from lxml import etree

from psthreads.authoring.capture.streams import OutputCapture
from psthreads.authoring.elements import Bar, ReportedElement, check_name
from psthreads.authoring.interrupts import Cancelled, Interrupted, Interrupts, ShutDown, TimedOut
from psthreads.authoring.reporting import FLUSH_LINES, Outbox, Reporter, ReportWriter
from psthreads.documents.group_documents import GroupDocuments
from psthreads.documents.result_files import ResultFile, public_name
from psthreads.documents.results import Results
from psthreads.documents.zones import MemberZone
from psthreads.domain.access import Group, Member
from psthreads.domain.foreign import error_text
from psthreads.domain.masking import Masker
from psthreads.domain.model import Level, Report, clean

__all__ = ["Cancelled", "Context", "Interrupted", "Reporter", "ShutDown", "TimedOut"]


class Context:
    """The running thread, as its process sees it.

    `member` is who the work is done for; `group` is None for work on the whole server. `traceparent` is W3C's name of
    the trace that the thread belongs to, for what the process calls; empty where nobody traces.

    All Python threads of the operating system process that runs the thread may report. A process that it forks may
    not: it gets a RuntimeError.
    """

    def __init__(
        self,
        *,
        thread_id: str,
        member: Member,
        group: Group | None,
        folder: GroupDocuments | None,
        results: Results,
        scratch: Path,
        reporter: Reporter,
        redis_time: int = 0,
        interval: float = 0.5,
        mask: Masker | None = None,
        loading_zone: MemberZone | None = None,
        on_lost: Callable[[], None] = lambda: None,
        guard: Callable[[], float] = lambda: math.inf,
        patience: float = 5.0,
        xml_endings: Collection[str] = (),
        writer: ReportWriter | None = None,
        traceparent: str = "",
    ) -> None:
        self.thread_id = thread_id
        self.traceparent = traceparent
        self.member = member
        self.group = group
        self.xml_endings = frozenset(xml_endings)
        self._folder = folder
        self._loading_zone = loading_zone
        self._results = results
        self._scratch = scratch
        self._output: OutputCapture | None = None
        self._at_end: list[Callable[[], object]] = []
        # The Python thread that writes reports also calls the guard, again after as many seconds as it returns.
        self._outbox = Outbox(
            reporter,
            redis_time=redis_time,
            interval=interval,
            mask=mask,
            on_lost=on_lost,
            guard=guard,
            writer=writer,
        )
        # The reports until the interrupt are written at once, in case the process is killed later.
        self._interrupts = Interrupts(self._outbox.flush_soon, patience)

    # For processes.

    @property
    def folder(self) -> GroupDocuments:
        """The documents of the thread's group; raises RuntimeError if it works on the whole server."""
        if self._folder is None:
            raise RuntimeError("This thread works on the whole server: it has no group's documents")
        return self._folder

    @property
    def loading_zone(self) -> MemberZone:
        """The member's uploads for the thread's group; raises RuntimeError if it works on the whole server."""
        if self._loading_zone is None:
            raise RuntimeError("This thread works on the whole server: it has no group's loading zone")
        return self._loading_zone

    @property
    def warnings(self) -> int:
        """The number of warnings reported."""
        return self._outbox.warnings

    @property
    def errors(self) -> int:
        """The number of errors reported."""
        return self._outbox.errors

    @property
    def last_message(self) -> str:
        """The latest message, warning or error; empty before the first."""
        return self._outbox.last_message

    def message(self, text: str) -> None:
        """Set the thread's message, and log it."""
        self._report(text, Level.INFO)

    def warning(self, text: str) -> None:
        """Report a warning: count it, log it, and make it the thread's message until the next report."""
        self._report(text, Level.WARN)

    def error(self, text: str) -> None:
        """Report an error: count it, log it, and make it the thread's message until the next report.

        A thread that reported an error ends `failed`, unless its process returns another Outcome.
        """
        self._report(text, Level.ERROR)

    def log(self, text: str, level: Level = Level.INFO, *, detail: str = "") -> None:
        """Write a line to the log, and nothing else. Only administrators see `detail`, below the line.

        Raises ValueError for a level that is none.
        """
        outbox, interrupts = self._outbox, self._interrupts
        if interrupts.is_forked:
            interrupts.refuse_fork()
        if type(level) is not Level:
            level = Level(level)  # Here, where the mistake is, and not where the line is written.
        if self._output is not None:
            self._output.sync()
        outbox.log(text, level, detail)
        if not len(outbox.lines) % FLUSH_LINES:
            self._make_space()
        elif interrupts.reason is not None:
            interrupts.check()

    def bar(self, name: str = "progress", total: int = 0) -> Bar:
        """Return a new progress bar; it replaces an element with the same name.

        Raises ValueError if the name is not an XML name, or is one that every thread uses itself.
        """
        name = check_name(name)
        bar = Bar(name, total)
        self._put(name, bar)
        return bar

    def element(self, name: str, text: str | None = None, attributes: Mapping[str, str] | None = None) -> None:
        """Set an element of the thread's own XML; it replaces an element with the same name.

        Raises ValueError if the name is not an XML name, or is one that every thread uses itself.
        """
        name = check_name(name)
        element = etree.Element(name, {key: self.masked(clean(value)) for key, value in (attributes or {}).items()})
        element.text = None if text is None else self.masked(clean(text))
        self._put(name, ReportedElement(element))

    def check(self) -> None:
        """Raise the interrupt if there is one that the process has not yet seen."""
        self._interrupts.check()

    def result(self, filename: str) -> AbstractContextManager[ResultFile]:
        """Open a new file that members of the group can download.

        The file appears when the block ends without an exception; otherwise nothing is left of it. Its `filename`, for
        the download, contains the thread's id: report-<id>.html for report.html.
        """
        result = self._results.write(public_name(filename, self.thread_id))
        self.cleanup(result.discard)
        return result

    def shield(self) -> AbstractContextManager[None]:
        """Return a block that defers interrupts: one that comes meanwhile is raised at the block's end.

        It is for a few lines that must happen together, such as to move a file and to report it. A worker that has to
        kill the process does not wait for the block.
        """
        return self._interrupts

    def cleanup(self, callback: Callable[..., object], *arguments: object) -> None:
        """Register a callback for the end of the process's function, however it ends, except by a kill.

        The last registered is called first, while interrupts are deferred. If one raises, the exception is logged and
        the others are still called.
        """
        self._at_end.append(partial(callback, *arguments))

    def temporary(self) -> Path:
        """Create a folder for temporary files, on the same disk as the documents.

        It is removed at the end of the function; after a kill, by the janitor within the hour.
        """
        with self._interrupts:
            self._scratch.mkdir(mode=0o750, parents=True, exist_ok=True)
            # Not by `tempfile`, which holds a lock that a signal handler's call would wait for.
            path = self._scratch / f"{self.thread_id}-{secrets.token_hex(8)}"
            path.mkdir(mode=0o700)
            self.cleanup(shutil.rmtree, path, True)
        return path

    # For the worker.

    def clean_up(self) -> None:
        """Call the callbacks that the process registered with `cleanup`; none in a fork, whose parent calls them."""
        if not self.is_own_process:
            return
        while self._at_end:
            callback = self._at_end.pop()
            try:
                with self._interrupts:
                    callback()
            except BaseException as error:  # noqa: BLE001 (whatever one raises, the others are called)
                self.log(f"Cleaning up failed: {error_text(error)}", Level.WARN)

    def interrupt(self, reason: Interrupted, frame: FrameType | None = None) -> None:
        """Raise the reason in the process's code: now, or at the end of the current report.

        For a signal handler in the main Python thread, with the frame that it interrupts. Only the first reason counts;
        a further call raises it again only where the process swallowed it.
        """
        self._interrupts.deliver(reason, frame)

    @property
    def is_interrupted(self) -> bool:
        """True from the first interrupt on."""
        return self._interrupts.reason is not None

    @property
    def is_interruptible(self) -> bool:
        """True until the interrupts are stopped, at the end of the process's function."""
        return not self._interrupts.is_over

    def stop_interrupts(self) -> Interrupted | None:
        """Raise no more interrupts; returns the interrupt that came, if any."""
        return self._interrupts.stop()

    def captured(self, output: OutputCapture) -> AbstractContextManager[None]:
        """Return a block within which what is written is logged."""
        self._output = output
        return output.captured(self._outbox, self._interrupts)

    @property
    def clock_base(self) -> int:
        """The milliseconds by which the times of lines are ahead of the monotonic clock."""
        return self._outbox.clock_base

    def start(self) -> None:
        """Start writing reports in the background."""
        with self._interrupts:
            self._outbox.start()

    def stop_writing(self) -> None:
        """Stop writing in the background: what is reported from now on is in the reports that `close` returns."""
        self._interrupts.stop()
        self._outbox.stop()

    def close(self) -> tuple[Report, ...]:
        """Stop writing in the background; returns the reports that the caller has still to write.

        There are two if the store refused one and there was more to report since.
        """
        self._interrupts.stop()
        return self._outbox.close()

    def flush(self) -> None:
        """Write all changes now; raises Unavailable if the store cannot be reached."""
        self._outbox.flush()

    @property
    def mask(self) -> Masker:
        """The masker of the thread's texts."""
        return self._outbox.mask

    def masked(self, text: str) -> str:
        """Mask whatever looks like a secret in the text."""
        return self._outbox.mask(text)

    @property
    def is_own_process(self) -> bool:
        """True in the operating system process that runs the thread, false in one that it forked."""
        return not self._interrupts.is_forked

    def _report(self, text: str, level: Level) -> None:
        with self._interrupts:
            if self._output is not None:
                self._output.sync()
            self._outbox.report(text, level)
        if not len(self._outbox.lines) % FLUSH_LINES:
            self._make_space()

    def _put(self, name: str, part: Bar | ReportedElement) -> None:
        with self._interrupts:
            self._outbox.put(name, part)

    def _make_space(self) -> None:
        with self._interrupts:
            self._outbox.make_space(lambda: self._interrupts.reason is not None)
