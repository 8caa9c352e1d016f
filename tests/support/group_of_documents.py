"""A group's folder in which a test runs a process by itself: without Redis, worker or HTTP."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from psthreads.authoring.context import Cancelled, Context
from psthreads.authoring.outcome import NOTHING, conclude
from psthreads.authoring.process import Process, Start
from psthreads.documents.group_documents import GroupDocuments
from psthreads.documents.layout import Documents
from psthreads.documents.objects.names import FOLDER
from psthreads.documents.paths import TEMPORARY
from psthreads.documents.storage import Storage
from psthreads.domain.access import Group, Member
from psthreads.domain.model import Level, Outcome, Ownership, Report
from tests.support.backends import bucket_at, object_store
from tools.object_store import ObjectServer

GROUP = Group(7, "acme")
MEMBER = Member(1, "jjones")
THREAD = "349f4fbcd872d514751f7809acf4d888"


class Reports:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.reports: list[Report] = []

    def report(self, report: Report) -> Ownership:
        self.reports.append(report)
        return Ownership.OWNED

    def lines(self, level: Level | None = None) -> list[str]:
        lines = (line for report in self.reports for line in report.lines)
        return [line.message for line in lines if level in {None, line.level}]

    @property
    def xml(self) -> str:
        return [report.xml for report in self.reports if report.xml is not None][-1]


class GroupOfDocuments:
    """The group's folder, and one process that is run in it."""

    def __init__(self, root: Path, process: Process, server: ObjectServer | None = None) -> None:
        self.process = process
        self._store = object_store(root, server.endpoint) if server else None
        self.documents: Storage = bucket_at(root, server) if server else Documents(root)
        self.folder: GroupDocuments = self.documents.group(GROUP)
        self.inside = root / "groups" / str(GROUP.id)
        self.results = root / "results" / str(GROUP.id)
        self.scratch = self.documents.scratch
        self.reporter = Reports()
        self.folder.create()

    def write(self, documents: dict[str, str]) -> None:
        for path, text in documents.items():
            if self._store is not None:
                self.folder.write(path, text.encode())
                continue
            (self.inside / path).parent.mkdir(parents=True, exist_ok=True)
            (self.inside / path).write_text(text)

    def contents(self) -> dict[str, bytes]:
        """Every file of the group by its path, as the file system or the store has them."""
        if self._store is not None:
            prefix = f"groups/{GROUP.id}"
            keys = [each.key for each in self._store.each(prefix) if not each.key.endswith(FOLDER)]
            return {key.removeprefix(f"{prefix}/"): self._store.get(key, 1 << 30)[1] or b"" for key in keys}
        files = (path for path in self.inside.rglob("*") if path.is_file() and not path.is_symlink())
        return {str(path.relative_to(self.inside)): path.read_bytes() for path in files}

    def result_files(self) -> dict[str, bytes]:
        """Every result by its name, incomplete ones too."""
        if self._store is not None:
            keys = [each.key for each in self._store.each(f"results/{GROUP.id}")]
            return {key.rpartition("/")[2]: self._store.get(key, 1 << 30)[1] or b"" for key in keys}
        return {path.name: path.read_bytes() for path in self.results.iterdir()} if self.results.exists() else {}

    def leftovers(self) -> list[str]:
        """What no ended thread leaves behind, in the whole of the documents' folder."""
        if self._store is not None:
            return [each.key for each in self._store.each("") if THREAD in each.key or f"/{TEMPORARY}" in each.key]
        return [str(path) for path in self.inside.parents[1].rglob("*") if THREAD in path.name or path.name[:1] == "."]

    def check(self, **values: str) -> None:
        read = self.process.read(values)
        for check in self.process.checks:
            check(Start(MEMBER, GROUP, self.folder, self.scratch, read))

    def context(self) -> Context:
        self.reporter = Reports()
        return Context(
            thread_id=THREAD,
            member=MEMBER,
            group=GROUP,
            folder=self.documents.group(GROUP),
            results=self.documents.results(GROUP.id),
            scratch=self.scratch,
            reporter=self.reporter,
        )

    def run(self, *, after: float = 0, context: Context | None = None, **values: str) -> Outcome:
        """Run the process to its end, or cancel it after so many seconds; gives how its thread would end."""
        context = context or self.context()
        returned: Any = NOTHING
        error: BaseException | None = None
        try:
            with _interrupted(context, after):
                try:
                    returned = self.process.function(context, **self.process.read(values))
                finally:
                    context.stop_interrupts()
                    context.clean_up()
        except BaseException as raised:  # noqa: BLE001 (as a worker does)
            error = raised
        outcome = conclude(context, returned, error, 0)
        for report in context.close():
            self.reporter.report(report)
        assert outcome is not None
        return outcome


@contextmanager
def _interrupted(context: Context, seconds: float) -> Iterator[None]:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        context.interrupt(Cancelled())

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def server_of(request: pytest.FixtureRequest) -> ObjectServer | None:
    """The object store that the fixture's parameter asks for, None for a folder."""
    if getattr(request, "param", "folder") == "folder":
        return None
    server: ObjectServer = request.getfixturevalue("object_server")
    return server
