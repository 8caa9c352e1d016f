"""Documents per second of each process on 10,000 small documents, beside the plain way to do the same.

Our side runs the process's own function in a forked child, as a worker does, with a context whose reports
go to a real Redis. Both sides take turns, and the ratio is that of their medians: below 1 we are faster.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from redis import Redis

from bench.processes import documents
from bench.servers import redis_server
from psthreads.audit.entries import SETUP
from psthreads.authoring.context import Context
from psthreads.authoring.parameter import Value
from psthreads.authoring.plugins import load as load_processes
from psthreads.database.connection import connect
from psthreads.documents.layout import open_storage
from psthreads.domain.access import Group, Member
from psthreads.domain.config import Config
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from psthreads.worker.horse.performance import ToStore

ROUNDS = 7
MEMBER, GROUP = Member(1, "bench"), Group(1, "bench")

Plain = Callable[[Path, Path], Sequence[str]]
"""The plain command, for the group's folder (its working directory) and a new folder for what it makes."""


def _unchanged(_folder: Path) -> None:
    """Prepare nothing in the group's folder before a run: most processes change nothing."""


@dataclass(frozen=True)
class Entry:
    """A process with its parameters, and the plain way to do the same.

    `package` is what apt-get installs to have the plain command; `prepare` puts the group's folder in
    order before each run of either side. `programs` are those that the plain command runs where it is a shell's.
    """

    figure: str
    process: str
    plain: Plain
    package: str
    values: dict[str, Value] = field(default_factory=dict)
    prepare: Callable[[Path], None] = _unchanged
    programs: tuple[str, ...] = ()


def _names(folder: Path, below: str) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in (folder / below).rglob("*") if path.is_file())


ENTRIES: Sequence[Entry] = (
    Entry(
        "export_by_zip",
        "export",
        lambda _, made: ["zip", "-r", "-q", str(made / "documents.zip"), "documents"],
        "zip",
        {"path": "/documents", "includes": "", "excludes": ""},
    ),
    Entry(
        "validate_by_xmllint",
        "validate",
        lambda folder, _: ["xmllint", "--noout", *_names(folder, "documents")],
        "libxml2-utils",
        {"path": "/documents", "warn": False},
    ),
    Entry(
        "validate_with_schema_by_xmllint",
        "validate",
        lambda folder, _: ["xmllint", "--noout", "--schema", "schemas/document.xsd", *_names(folder, "documents")],
        "libxml2-utils",
        {"path": "/documents", "warn": False},
        documents.add_schema,
    ),
    Entry(
        "publish_by_xsltproc_and_zip",
        "publish",
        lambda folder, made: [
            *("sh", "-c", 'xsltproc -o "$0/" stylesheets/each.xsl "$@" && cd "$0" && zip -r -q documents.zip .'),
            *(str(made), *_names(folder, "documents")),
        ],
        "xsltproc zip",
        {"path": "/documents", "stylesheet": "/stylesheets/publish.xsl"},
        documents.add_stylesheet,
        ("xsltproc", "zip"),
    ),
    Entry(
        "unzip_by_unzip",
        "unzip",
        # Ours waits for the disk, too: the archive is removed then.
        lambda folder, made: [
            *("sh", "-c", 'unzip -q "$0" -d "$1" && sync -f "$1"', str(folder.parents[1] / "documents.zip"), str(made))
        ],
        "unzip",
        {"path": "/documents.zip"},
        documents.zip_in_zone,
        ("unzip", "sync"),
    ),
    Entry(
        "load_by_cp",  # a load moves each file, syncs the disk once and names each in the log
        "load",
        lambda _, made: ["cp", "-r", "documents", str(made)],
        "coreutils",
        {"validate": False, "overwrite": False, "folder": "/loaded"},
        documents.files_in_zone,
    ),
    Entry(
        "move_by_mv",  # which renames the folder, and says nothing of the documents
        "move",
        lambda _folder, _made: ["mv", "documents", "moved"],
        "coreutils",
        {"path": "/documents", "destination": "/moved", "merge": False},
        documents.put_back,
    ),
)


def measure() -> dict[str, float]:
    """Measure the time of each process by that of the plain command; without the command, print only our own."""
    ratios: dict[str, float] = {}
    with redis_server() as config, connect(config.redis_url) as redis:
        for entry in ENTRIES:
            folder = open_storage(config).group(GROUP)
            folder.create()
            inside = config.documents / "groups" / str(GROUP.id)
            shutil.rmtree(inside)
            documents.fill(inside / "documents")
            programs = entry.programs or tuple(entry.plain(inside, inside)[:1])
            command = " and ".join(programs)
            has_plain = all(map(shutil.which, programs))
            if not has_plain:
                print(f"  {entry.figure}: {command} is not installed: apt-get install {entry.package}")
            ours, plain = [], []
            for number in range(ROUNDS + 1):
                entry.prepare(inside)
                our_seconds = _ours(redis, config, entry)
                entry.prepare(inside)
                plain_seconds = _plain(entry, inside, config.documents / "made") if has_plain else 0.0
                if number:  # The first round fills the caches.
                    ours.append(our_seconds)
                    plain.append(plain_seconds)
            beside = f", {documents.COUNT / median(plain):8,.0f}/s by {command}" if has_plain else ""
            print(f"  {entry.figure}: {documents.COUNT / median(ours):8,.0f} documents/s{beside}")
            if has_plain:
                ratios[entry.figure] = median(ours) / median(plain)
    return ratios


def run(redis: Redis, config: Config, name: str, values: dict[str, Value]) -> None:
    """Run a process of GROUP to its end in this operating system process, its reports written to the store."""
    begun(redis, config, name, values)()


def begun(redis: Redis, config: Config, name: str, values: dict[str, Value]) -> Callable[[], None]:
    """Start a thread of GROUP and claim it; return what a worker then does to run it to its end."""
    store = ThreadStore(redis, config)
    registry = load_processes(config.processes)
    process = registry.find(name)
    assert process is not None
    thread = Engine(redis, config, store, registry).start(process, values, member=MEMBER, by=SETUP, group=GROUP)
    claim = store.claim(thread.id, "bench", "bench")
    assert claim is not None

    def work() -> None:
        root = open_storage(config, fence=_Ours())
        context = Context(
            thread_id=thread.id,
            member=MEMBER,
            group=GROUP,
            folder=root.group(GROUP),
            results=root.results(GROUP.id),
            scratch=root.scratch,
            reporter=ToStore(store, thread.id, "bench"),
            loading_zone=root.loading_zone(GROUP, MEMBER.id),
            redis_time=claim.redis_time,
            interval=config.report_interval,
        )
        context.start()
        try:
            process.function(context, **values)
            root.settle()
        finally:
            context.clean_up()
            for report in context.close():
                store.report(thread.id, "bench", report)

    return work


class _Ours:
    """The fence of an execution that nobody gives up."""

    def require_lease(self) -> None:
        pass

    require_ownership = require_lease


def _ours(redis: Redis, config: Config, entry: Entry) -> float:
    load_processes(config.processes)  # as a worker does before it forks
    shutil.rmtree(config.documents / "results", ignore_errors=True)
    # Starting and claiming are the web's and the supervisor's work, and the plain command has nothing like them.
    seconds = in_child(begun(redis, config, entry.process, entry.values))
    redis.flushall()
    return seconds


def _plain(entry: Entry, inside: Path, made: Path) -> float:
    documents.renew(made)
    command = entry.plain(inside, made)
    started = time.perf_counter()
    subprocess.run(command, cwd=inside, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def in_child(work: Callable[[], None]) -> float:
    """Return the seconds that the work takes in a forked child; end the program when it fails there."""
    sys.stdout.flush()
    started = time.perf_counter()
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 (whatever it is, the child must not come back)
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, "the process failed"
    return time.perf_counter() - started
