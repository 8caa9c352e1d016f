"""Claims about cancels at any moment of every process, through a real worker: documents whole, nothing left behind.

`make test` does this with few documents; `make cancels` with 10,000, and fifty times for each process.
"""

from __future__ import annotations

import io
import os
import shutil
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from lxml import etree
from redis import Redis

from bench.processes import documents as real
from psthreads.domain.config import Config
from psthreads.domain.model import Status, Thread
from psthreads.threads.store import ThreadStore
from psthreads.web.app import create_app
from tests.support.moments import CANCELS, DOCUMENTS, Moments, seconds_of
from tests.support.people import People
from tests.support.waiting import wait_for
from tests.system.stack import worker

Files = dict[str, bytes]
OLD = b"<old/>"


def files_of(folder: Path) -> Files:
    """Every file below a folder by its path there, as the file system has them."""
    found: Files = {}
    for above, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(above, name), "rb") as file:  # noqa: PTH118, PTH123 (of 10,000, it counts)
                found[os.path.relpath(os.path.join(above, name), folder)] = file.read()  # noqa: PTH118 (as above)
    return found


class Site:
    """A group with documents, a worker's client, and what must hold of the disk."""

    def __init__(self, config: Config, people: People, store: ThreadStore) -> None:
        self.root = config.documents
        self.group = config.documents / "groups" / str(people.acme.id)
        self.zone = config.documents / "loading" / str(people.acme.id) / str(people.members["contributor"].id)
        self.results = config.documents / "results" / str(people.acme.id)
        self.files = {
            f"{number // 100:03}/document-{number % 100:03}.psml": content.encode()
            for number, content in enumerate(real.documents(DOCUMENTS))
        }
        self.archive = io.BytesIO()
        with zipfile.ZipFile(self.archive, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in self.files.items():
                archive.writestr(name, content)
        # Links to these are far quicker than new files, and nothing of ours writes to a file that has its name.
        self._pool = config.documents.parent / "pool"
        for name, content in self.files.items():
            for kind, data in (("new", content), ("old", OLD)):
                path = self._pool / kind / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        self._client = create_app(config).test_client(use_cookies=False)
        self._headers = people.bearer("contributor")
        self._store = store

    def put(self, folder: Path, kind: str = "new", step: int = 1) -> None:
        """Make the folder hold every document, or every second one, new or old, and nothing else."""
        shutil.rmtree(folder, ignore_errors=True)
        names = list(self.files)[::step]
        for above in {(folder / name).parent for name in names}:
            above.mkdir(parents=True)
        for name in names:
            os.link(self._pool / kind / name, folder / name)

    def start(self, route: str) -> str:
        answer = self._client.post(f"/members/contributor/groups/acme/{route}", headers=self._headers)
        assert answer.status_code == 202, answer.data
        return next(etree.fromstring(answer.data).iter("thread")).attrib["id"]

    def cancel(self, thread_id: str) -> bool:
        """Ask for a cancel; whether it came before the thread's end."""
        answer = self._client.post(f"/groups/acme/threads/{thread_id}/cancel", headers=self._headers)
        assert answer.status_code == 200
        return any(
            thread.get("cancelling") == "true" or thread.get("status") == "cancelled"
            for thread in etree.fromstring(answer.data).iter("thread")
        )

    def ended(self, thread_id: str) -> Thread:
        wait_for(lambda: self._store.fetch(thread_id).status.is_final, 120)
        return self._store.fetch(thread_id)

    def leftovers(self) -> list[Path]:
        """Whatever is temporary, anywhere on the documents' disk; not the id of the installation, which stays."""
        paths = [path for path in self.root.rglob("*") if path.name != ".psthreads"]
        return [path for path in paths if path.name.startswith(".") or path.parent.name == "tmp"]


@dataclass(frozen=True)
class Case:
    """A process: how it is started, what it starts from, and what must hold when it was cancelled."""

    route: str
    prepare: Callable[[Site], None]
    check: Callable[[Site, Thread], None]


def in_documents(site: Site) -> None:
    """The documents in the group, as they were at first."""
    shutil.rmtree(site.group / "moved", ignore_errors=True)
    site.put(site.group / "documents")


def with_what_applies(site: Site) -> None:
    """The same with a schema and a stylesheet, and without results; these processes leave documents as they are."""
    shutil.rmtree(site.results, ignore_errors=True)
    if not (site.group / "documents").exists():
        in_documents(site)
        real.add_schema(site.group)
        real.add_stylesheet(site.group)


def in_zone(site: Site) -> None:
    """The documents in the loading zone, and every second one in the group already, with something else in it."""
    site.put(site.zone)
    site.put(site.group / "documents", "old", 2)


def in_archive(site: Site) -> None:
    """The documents in a zip file of the loading zone."""
    shutil.rmtree(site.zone, ignore_errors=True)
    site.zone.mkdir(parents=True)
    (site.zone / "in.zip").write_bytes(site.archive.getvalue())


def each_is_in_one_place(site: Site, _: Thread) -> None:
    here, there = files_of(site.group / "documents"), files_of(site.group / "moved")
    assert not here.keys() & there.keys()
    assert here | there == site.files


def each_is_old_or_new(site: Site, _: Thread) -> None:
    waiting, there = files_of(site.zone), files_of(site.group / "documents")
    assert waiting.items() <= site.files.items()
    for number, (name, content) in enumerate(site.files.items()):
        old = OLD if number % 2 == 0 else None
        assert there.get(name) == (old if name in waiting else content)


def what_is_unpacked_is_whole(site: Site, _: Thread) -> None:
    there = files_of(site.zone)
    archive = there.pop("in.zip", None)
    assert there.items() <= site.files.items()
    assert archive == site.archive.getvalue() or there == site.files


def documents_are_as_they_were(site: Site, thread: Thread) -> None:
    """Also: of a result there is nothing, or all of it and its name in the thread."""
    assert files_of(site.group / "documents") == site.files
    made = {path.name: path for path in site.results.iterdir()} if site.results.exists() else {}
    named = {element.text for element in etree.fromstring(f"<x>{thread.xml}</x>") if element.text}
    assert made.keys() == named
    for name, path in made.items():
        if name.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                assert archive.testzip() is None
                assert len(archive.namelist()) == len(site.files)


CASES = {
    "unzip": Case("loadingzone/unzip?path=in.zip", in_archive, what_is_unpacked_is_whole),
    "load": Case("loadingzone/start?validate=true&overwrite=true&folder=documents", in_zone, each_is_old_or_new),
    "validate": Case("validate?path=/documents", with_what_applies, documents_are_as_they_were),
    "move": Case("move?path=/documents&destination=/moved", in_documents, each_is_in_one_place),
    "export": Case("export?path=/documents", with_what_applies, documents_are_as_they_were),
    "publish": Case("publish/start?path=/documents", with_what_applies, documents_are_as_they_were),
}


def phase(thread: Thread) -> str:
    """Where a cancelled thread was: the name of its last bar, and whether that had come to its end."""
    bars = [bar for bar in etree.fromstring(f"<x>{thread.xml}</x>") if bar.get("total")]
    if not bars:
        return "started" if thread.started else "queued"
    last = bars[-1]
    return f"{etree.QName(last).localname}, {'whole' if last.get('current') == last.get('total') else 'in part'}"


@pytest.mark.parametrize("name", CASES)
def test_a_cancel_at_any_moment_ends_cancelled_with_whole_documents_and_nothing_temporary(
    name: str,
    redis: Redis,
    config: Config,
    people: People,
    store: ThreadStore,
    record_property: Callable[[str, object], None],
) -> None:
    case, config = CASES[name], replace(config, grace=30)
    site = Site(config, people, store)
    found: Counter[str] = Counter()
    with worker(config):
        case.prepare(site)
        site.ended(site.start(case.route))  # This one waits for the worker's start, too.
        case.prepare(site)
        moments = Moments(seconds_of(lambda: site.ended(site.start(case.route))), CANCELS)
        for moment in moments:
            case.prepare(site)
            thread_id = site.start(case.route)
            time.sleep(moment)  # No waiting: the moment is what is tried.
            in_time = site.cancel(thread_id)
            thread = site.ended(thread_id)
            assert thread.status is (Status.CANCELLED if in_time else Status.COMPLETED), thread.message
            assert thread.message == "Cancelled by contributor" or not in_time
            case.check(site, thread)
            assert not site.leftovers()
            moments.note(in_time=in_time)
            found[phase(thread) if in_time else "too late"] += 1
        wait_for(lambda: redis.llen("rq:queue:psthreads") == 0)  # What was cancelled is dropped when it is taken.
    # Many are cut short in the midst of the work, and not before it began.
    assert found.total() - found["too late"] - found["queued"] >= CANCELS // 5, found
    record_property("cancelled", dict(found))
