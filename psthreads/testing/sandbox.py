"""The sandbox of a run in a test: its folders, and a context that counts checkpoints."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

from psthreads.authoring.context import Context, Interrupted
from psthreads.authoring.elements import Bar
from psthreads.authoring.process import Process, Scope
from psthreads.documents.layout import Documents, GroupFolder, ResultFile
from psthreads.documents.paths import TEMPORARY
from psthreads.documents.zones import MemberZone
from psthreads.domain.access import Group, Member
from psthreads.domain.errors import NotFound
from psthreads.domain.model import SERVER_WIDE, Level, Line, Ownership, Report

ACME: Final = Group(7, "acme")
_THREAD_ID: Final = "0123456789abcdef" * 2
_lock: Final = threading.RLock()  # one run at a time


class WatchedContext(Context):
    """A context that counts its checkpoints, and raises an interrupt at one of them.

    `at` is that checkpoint's number, from 0. Checkpoints count only while `is_live`, and only in the Python thread that
    made the context.
    """

    def __init__(self, at: int, reason: Interrupted | None, **options: Any) -> None:
        super().__init__(**options)
        self.at, self.reason = at, reason
        self.is_live = False
        self.interrupted = False
        self.checkpoints = 0
        self.messages: list[str] = []
        self.bars: dict[str, Bar] = {}
        self.states: dict[str, list[tuple[int, int]]] = {}
        self.filenames: dict[str, str] = {}
        self._owner = threading.get_ident()
        self._bar_class = _watched_bar(self)

    def _report(self, text: str, level: Level) -> None:
        super()._report(text, level)
        self.messages.append(self.masked(self.last_message))
        self.step()

    def log(self, text: str, level: Level = Level.INFO, *, detail: str = "") -> None:
        """Log a line, and count a checkpoint."""
        super().log(text, level, detail=detail)
        self.step()

    def element(self, name: str, text: str | None = None, attributes: Mapping[str, str] | None = None) -> None:
        """Set an element, and count a checkpoint."""
        super().element(name, text, attributes)
        self.step()

    def bar(self, name: str = "progress", total: int = 0) -> Bar:
        """Return a bar whose every step is a checkpoint."""
        bar = super().bar(name, total)
        self.bars[name] = bar
        self.states.setdefault(name, []).append((bar.current, bar.total))
        bar.__class__ = self._bar_class
        self.step()
        return bar

    def check(self) -> None:
        """Count a checkpoint."""
        super().check()
        self.step()

    @contextmanager
    def result(self, filename: str) -> Iterator[ResultFile]:
        """Open a result file; its start and its end are checkpoints."""
        with super().result(filename) as file:
            self.step()
            yield file
        self.filenames[filename] = file.filename
        self.step()

    def step(self) -> None:
        """Count a checkpoint, and raise the interrupt if it is that one."""
        if self.is_live and threading.get_ident() == self._owner:
            number = self.checkpoints
            self.checkpoints += 1
            if number == self.at and self.reason is not None:
                self.interrupted = True
                self.interrupt(self.reason)


def _watched_bar(context: WatchedContext) -> type[Bar]:
    class WatchedBar(Bar):
        __slots__ = ()

        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if name in {"current", "total"} and context.bars.get(self.name) is self:
                context.states[self.name].append((self.current, self.total))
                context.step()

    return WatchedBar


class Sandbox:
    """The documents, results and temporary folders of one run, and its reports."""

    def __init__(
        self,
        process: Process,
        group: Group | None,
        member: Member,
        documents: Mapping[str, bytes | str],
        zone: Mapping[str, bytes | str],
    ) -> None:
        if process.scope is Scope.SERVER and (group or documents or zone):
            raise ValueError(
                f"The process '{process.name}' works on the whole server: it has no group and no documents"
            )
        self.group = None if process.scope is Scope.SERVER else group or ACME
        self.zone: MemberZone | None = None
        self.folder: GroupFolder | None = None
        self._member = member
        self._content = (documents, zone)
        self.lines: list[Line] = []
        self.xml = ""

    def __enter__(self) -> Self:
        _lock.acquire()
        self._root = Path(tempfile.mkdtemp(prefix="psthreads-"))
        self._system = self._root / "system"
        self._tempdir, tempfile.tempdir = tempfile.tempdir, str(self._system)
        try:
            self._system.mkdir()
            self.files = Documents(self._root / "files")
            self.results = self.files.results(self.group.id if self.group else SERVER_WIDE)
            if self.group is not None:
                self._fill(self.group)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        tempfile.tempdir = self._tempdir
        shutil.rmtree(self._root, ignore_errors=True)
        _lock.release()

    def _fill(self, group: Group) -> None:
        documents, zone = self._content
        self.folder = self.files.group(group)
        self.folder.create()
        for path, content in documents.items():
            if path.endswith("/"):
                self.folder.place(f"{path}any")
            else:
                self.folder.write(path, _bytes(content))
        self.zone = self.files.loading_zone(group, self._member.id)
        for path, content in zone.items():
            with self.zone.write(path.lstrip("/"), len(_bytes(content))) as file:
                file.write(_bytes(content))

    def context(self, at: int, reason: Interrupted | None) -> WatchedContext:
        """Return a context for the run, with the checkpoint and the reason of an interrupt."""
        return WatchedContext(
            at,
            reason,
            thread_id=_THREAD_ID,
            member=self._member,
            group=self.group,
            folder=self.folder,
            loading_zone=self.zone,
            results=self.results,
            scratch=self.files.scratch,
            reporter=self,
        )

    def report(self, report: Report) -> Ownership:
        """Keep a report's lines and elements."""
        self.lines.extend(report.lines)
        self.xml = self.xml if report.xml is None else report.xml
        return Ownership.OWNED

    def leftovers(self) -> tuple[str, ...]:
        """Return the paths in both folders for temporary files, and of incomplete files anywhere."""
        paths = [*self._system.iterdir(), *self.files.scratch.iterdir(), *self._root.rglob(f"{TEMPORARY}*")]
        return tuple(sorted(str(path.relative_to(self._root)) for path in paths))

    def result_files(self, filenames: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
        """Yield the result files by the names that the process gave."""
        for name, public_name in filenames.items():
            with suppress(NotFound), self.results.open(public_name) as file:
                yield name, file.read()


def _bytes(content: bytes | str) -> bytes:
    return content.encode() if isinstance(content, str) else content


def contents(folder: GroupFolder | MemberZone | None) -> dict[str, bytes]:
    """Return the content of every document or file, by path."""
    files: dict[str, bytes] = {}
    if folder is None:
        return files
    for document in folder.walk(on_skip=lambda _path, _reason: None):
        with folder.open(document.path) as file:
            files[document.path] = file.read()
    return files
