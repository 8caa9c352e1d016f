"""Claims about an object store that writes behind and moves side by side: what it keeps of doing one after another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from psthreads.documents.objects.buckets import Bucket
from psthreads.documents.objects.client import ObjectStore
from psthreads.documents.objects.group_objects import GroupObjects
from psthreads.documents.objects.late import LARGEST
from psthreads.documents.side_by_side import WINDOW
from psthreads.domain.errors import Conflict, GivenUp, NotFound, StorageFailed
from psthreads.processes.load import load
from psthreads.processes.move import move
from tests.support.backends import object_store
from tests.support.loading import GROUP, MEMBER, Place
from tests.support.waiting import wait_for
from tools.object_store import ObjectServer

THREAD = "3" * 32


class Lease:
    """A fence that can be lost."""

    is_lost = False

    def require_lease(self) -> None:
        if self.is_lost:
            raise GivenUp

    require_ownership = require_lease


class Gate:
    """Holds back or fails what is put into a store, by the key's last name."""

    def __init__(self, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = threading.Event()
        self.opened.set()
        self.fails: set[str] = set()
        self.begun: list[str] = []
        self._put: Callable[..., None] = store.put
        monkeypatch.setattr(store, "put", self._gated)

    def _gated(self, key: str, data: bytes, *, create: bool = False) -> None:
        name = key.rpartition("/")[2]
        self.begun.append(name)
        assert self.opened.wait(60)
        if name in self.fails:
            raise StorageFailed("s3://bucket", "it said 503", key)
        self._put(key, data, create=create)


@pytest.fixture
def place(tmp_path: Path, object_server: ObjectServer) -> Place:
    return Place(tmp_path / "documents", object_server)


@pytest.fixture
def store(place: Place, object_server: ObjectServer) -> ObjectStore:
    return object_store(place.root, object_server.endpoint)


@pytest.fixture
def gate(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(store, monkeypatch)


@pytest.fixture
def lease() -> Lease:
    return Lease()


@pytest.fixture
def bucket(store: ObjectStore, place: Place, lease: Lease) -> Bucket:
    """The storage as an execution has it, which writes behind."""
    return Bucket(store, place.documents.scratch, fence=lease)


@pytest.fixture
def folder(bucket: Bucket) -> GroupObjects:
    return bucket.group(GROUP)


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name == "psthreads-store"}


def test_many_are_on_their_way_at_once_and_whoever_reads_finds_what_was_written(
    folder: GroupObjects, place: Place, gate: Gate
) -> None:
    gate.opened.clear()
    for number in range(WINDOW):
        folder.write(f"d/{number:02}.xml", b"%d" % number)
    wait_for(lambda: len(gate.begun) == WINDOW)
    assert place.folder.count() == 0
    threading.Timer(0.05, gate.opened.set).start()
    assert folder.read("d/07.xml", 9) == b"7"
    assert (folder.kind("d"), folder.count("d"), len(folder.entries("d"))) == ("folder", WINDOW, WINDOW)
    for content in (b"first", b"second", b"third"):
        folder.write("d/07.xml", content)
    folder.move("d/07.xml", "e/07.xml")
    folder.write("large.bin", b"x" * (LARGEST + 1))
    assert place.folder.read("e/07.xml", 9) == b"third"
    folder.sync()
    assert (place.folder.count(), threads()) == (WINDOW + 1, set())


def test_an_error_of_a_late_write_names_the_object_and_comes_before_the_result_is_there(
    bucket: Bucket, folder: GroupObjects, place: Place, gate: Gate
) -> None:
    gate.fails = {"b.xml"}
    results, name = bucket.results(GROUP.id), f"a-{THREAD}.txt"
    folder.write("a.xml", b"")
    folder.write("b.xml", b"")
    with pytest.raises(StorageFailed, match=r"at groups/7/b\.xml: it said 503"), results.write(name) as file:
        file.write(b"all are written")
    with pytest.raises(NotFound):
        results.open(name)
    folder.write("b.xml", b"")
    with pytest.raises(StorageFailed, match=r"b\.xml"):
        bucket.settle()
    folder.write("a.xml/b.xml", b"")
    with pytest.raises(Conflict, match=r"'/a\.xml' is not a folder"):
        folder.sync()
    bucket.settle()  # An error is raised once.
    assert (place.folder.count(), threads()) == (1, set())


def test_what_is_cancelled_or_has_lost_its_lease_begins_with_no_further_write(
    bucket: Bucket, folder: GroupObjects, place: Place, gate: Gate, lease: Lease
) -> None:
    gate.opened.clear()
    for number in range(2 * WINDOW):
        folder.write(f"{number:02}.xml", b"")
    wait_for(lambda: len(gate.begun) == WINDOW)
    threading.Timer(0.05, gate.opened.set).start()
    bucket.abandon()
    assert (place.folder.count(), len(gate.begun), threads()) == (WINDOW, WINDOW, set())
    gate.opened.clear()
    for number in range(2 * WINDOW):
        folder.write(f"d/{number:02}.xml", b"")
    wait_for(lambda: len(gate.begun) == 2 * WINDOW)
    lease.is_lost = True
    gate.opened.set()
    with pytest.raises(GivenUp):
        bucket.settle()
    assert place.folder.count() == 2 * WINDOW


def test_a_load_and_a_move_that_are_cancelled_report_each_document_that_has_moved(place: Place) -> None:
    for number in range(40):
        place.upload(f"d/{number:02}.xml")
    assert place.run_and_cancel(load, 0.15) or place.folder.count() == 40
    loaded = {f"/d/{name}" for name in (each.rpartition("/")[2] for each in place.files(place.group_path))}
    reported = {line.removeprefix("Loaded ") for report in place.reports for line in (e.message for e in report.lines)}
    assert loaded == {each for each in reported if each.startswith("/d/")}
    place.run(load)
    place.run_and_cancel(move, 0.15, path="/d", destination="/e")
    moved = {each for each in place.files(place.group_path) if each.startswith("e/")}
    messages = {line.message for report in place.reports for line in report.lines}
    assert moved == {f"e/{each.rpartition('/')[2]}" for each in messages if each.startswith("Moving /d/")}
    assert place.zone.count() == 0
    assert place.folder.count() == 40
    assert MEMBER.id == 1
