"""A group, a member's loading zone, and a process run there as a horse runs it, for the tests of loading."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from chaos.failing_store import FailingStore
from psthreads.authoring.context import Cancelled, Context
from psthreads.authoring.process import Process
from psthreads.documents.layout import Documents
from psthreads.documents.objects.client import ObjectStore
from psthreads.documents.objects.names import FOLDER
from psthreads.documents.storage import Storage
from psthreads.domain.access import Group, Member
from psthreads.domain.config import Config
from psthreads.domain.model import Level, Outcome, Ownership, Report, Status
from tests.support.backends import bucket_at, object_store
from tools.object_store import ObjectServer

GROUP = Group(7, "acme")
MEMBER = Member(1, "jjones")


class Place:
    """The folders on disk, and what the last run reported."""

    def __init__(self, root: Path, server: ObjectServer | FailingStore | None = None) -> None:
        self.root = root
        self._store = object_store(root, server.endpoint) if server else None
        self.documents: Storage = bucket_at(root, server) if server else Documents(root)
        self.folder = self.documents.group(GROUP)
        self.zone = self.documents.loading_zone(GROUP, MEMBER.id)
        self.zone_path = root / "loading" / "7" / "1"
        self.group_path = root / "groups" / "7"
        self.reports: list[Report] = []
        self.folder.create()

    def report(self, report: Report) -> Ownership:
        self.reports.append(report)
        return Ownership.OWNED

    def upload(self, path: str, content: bytes = b"<new/>") -> None:
        with self.zone.write(path, 1 << 30, lambda _: None) as file:
            file.write(content)

    def lines(self, level: Level = Level.ERROR) -> list[str]:
        return [line.message for report in self.reports for line in report.lines if line.level is level]

    @property
    def xml(self) -> str:
        return [report.xml for report in self.reports if report.xml is not None][-1]

    def context(self) -> Context:
        self.reports = []
        return Context(
            thread_id="3" * 32,
            member=MEMBER,
            group=GROUP,
            folder=self.folder,
            results=self.documents.results(GROUP.id),
            scratch=self.documents.scratch,
            reporter=self,
            loading_zone=self.zone,
        )

    def run(self, process: Process, act: Callable[[Context], object] | None = None, **values: str) -> Outcome:
        """Run it to its end. `act` is called with the context before; what it leaves behind is cleaned up."""
        context = self.context()
        if act is not None:
            act(context)
        try:
            returned = process.function(context, **process.read(values))
        finally:
            context.stop_interrupts()
            context.clean_up()
            self.reports.extend(context.close())
        return returned if isinstance(returned, Outcome) else Outcome(Status.COMPLETED, returned)

    def run_and_cancel(self, process: Process, after: float, **values: str) -> bool:
        """Run it and cancel it by a signal after so many seconds; whether it was cancelled before its end."""

        def aim(context: Context) -> None:
            def cancel(_number: int, _frame: FrameType | None) -> None:
                context.interrupt(Cancelled())

            signal.signal(signal.SIGALRM, cancel)
            signal.setitimer(signal.ITIMER_REAL, after)

        before = signal.getsignal(signal.SIGALRM)
        try:
            self.run(process, aim, **values)
        except Cancelled:
            return True
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            gc.collect()  # What was interrupted just when it was opened is closed now, and not in another test.
        return False

    def hidden(self) -> list[Path]:
        """What is left of anything temporary."""
        if self._store is not None:
            keys = [Path(each.key) for each in self._store.each("") if "/.psthreads-" in each.key]
            return [*(key for key in keys if key.name != FOLDER), *self.documents.scratch.iterdir()]
        return [path for path in self.root.rglob("*") if path.name.startswith(".") or path.parent.name == "tmp"]

    def files(self, root: Path) -> dict[str, bytes]:
        """Everything below a folder, by its path there."""
        if self._store is not None:
            prefix = root.relative_to(self.root).as_posix()
            keys = [each.key for each in self._store.each(prefix) if not each.key.endswith(FOLDER)]
            return {key.removeprefix(f"{prefix}/"): self._store.get(key, 1 << 30)[1] or b"" for key in keys}
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def place_at(root: Path, request: pytest.FixtureRequest) -> Place:
    """A place in the backend that the fixture's parameter names."""
    is_store = getattr(request, "param", "folder") == "store"
    return Place(root, request.getfixturevalue("object_server") if is_store else None)


def is_untouched(config: Config) -> bool:
    """Return whether no loading zone has a file, not even a part of one."""
    if config.store_url:
        return not list(ObjectStore(config.store_url, config.endpoint).each("loading"))
    return not list((config.documents / "loading").rglob("*.*"))
