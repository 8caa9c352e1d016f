"""Claims about documents in an object store alone: what has no rename behaves as if it had one, or says so."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import NoReturn

import pytest

from psthreads.documents.objects.client import ObjectStore
from psthreads.documents.objects.object_marker import ObjectMarker
from psthreads.documents.objects.sweeping import OwnerlessObjects
from psthreads.documents.side_by_side import side_by_side
from psthreads.documents.storage import OWNERLESS_TICKS
from psthreads.domain.errors import Conflict, GivenUp, NotFound, StorageFailed
from tests.support.backends import bucket_at
from tests.support.loading import GROUP, Place
from tools.object_store import ObjectServer

THREAD = "3" * 32


@pytest.fixture
def place(tmp_path: Path, object_server: ObjectServer) -> Place:
    return Place(tmp_path / "documents", object_server)


@pytest.fixture
def objects(place: Place, object_server: ObjectServer) -> ObjectStore:
    return place.zone._tree.store  # type: ignore[union-attr] # it is of an object store


def stop(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def test_a_move_that_is_stopped_after_its_copy_is_ended_by_the_next_and_loses_nothing(
    place: Place, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path, size in (("a.xml", 10), ("large.bin", 9 * 1024 * 1024)):
        place.folder.write(path, b"x" * size)
        with monkeypatch.context() as patch:
            patch.setattr(objects, "delete_version", stop)
            with pytest.raises(KeyboardInterrupt):
                place.folder.move(path, f"to/{path}")
        assert [place.folder.kind(each) for each in (path, f"to/{path}")] == ["document", "document"]
        assert place.folder.is_copy(path, f"to/{path}")
        place.folder.move(path, f"to/{path}")
        assert [place.folder.kind(each) for each in (path, f"to/{path}")] == ["", "document"]
        assert len(place.folder.read(f"to/{path}", 1 << 30)) == size


def test_a_document_with_other_content_is_never_taken_for_a_copy(place: Place) -> None:
    place.folder.write("a.xml", b"one")
    place.folder.write("b.xml", b"two")
    place.upload("c.xml", b"six")
    assert not place.folder.is_copy("a.xml", "b.xml")
    with pytest.raises(Conflict):
        place.folder.move("a.xml", "b.xml")
    with pytest.raises(Conflict):
        place.zone.move_out("c.xml", place.folder, "b.xml", overwrite=False)
    assert (place.folder.read("b.xml", 9), place.zone.read("c.xml", 9)) == (b"two", b"six")


def test_a_result_is_whole_or_absent_and_that_of_a_lost_execution_is_absent(
    tmp_path: Path, object_server: ObjectServer
) -> None:
    class Lost:
        def require_lease(self) -> None:
            raise GivenUp

        require_ownership = require_lease

    bucket = bucket_at(tmp_path / "documents", object_server)
    results, name = bucket.results(7), f"a-{THREAD}.bin"
    content = os.urandom(9 * 1024 * 1024)
    with results.write(name) as file:
        file.write(content)
    bucket._fence = Lost()  # as that of an execution that was given up
    lost = bucket.results(7)
    with pytest.raises(GivenUp), lost.write(name) as file:
        file.write(b"another")
    with pytest.raises(ZeroDivisionError), results.write(f"b-{THREAD}.bin") as file:
        raise ZeroDivisionError
    with pytest.raises(NotFound):
        results.open(f"b-{THREAD}.bin")
    with results.find(name).file as stored:
        assert stored.read() == content
    assert not list(bucket.scratch.iterdir())
    with pytest.raises(GivenUp):
        bucket.group(GROUP).write("a.xml", b"")


def test_two_that_mark_a_new_store_at_once_agree_on_one_id(objects: ObjectStore) -> None:
    first, second = ObjectMarker(objects), ObjectMarker(objects)
    assert first.read() is None
    first.create()
    second.create()
    record = second.read()
    assert record is not None
    assert first.read() == record
    assert not record.is_confirmed
    first.replace("ab" * 16)
    assert (second.is_of(record.id), ObjectMarker(objects).is_of("ab" * 16)) == (True, True)
    for number in (3, 11, 7):
        first.note_id("group", number)
    first.note_ticks(70, 5)
    record = second.read()
    assert record is not None
    assert (second.highest("group"), second.highest("member"), record.ticks, record.claims) == (11, 0, 70, 5)


def test_a_sweep_removes_results_by_tombstone_or_after_seven_days_and_nothing_else(
    place: Place, objects: ObjectStore
) -> None:
    ids = {name: f"{number}" * 32 for number, name in enumerate(("kept", "buried", "unknown"), start=4)}
    for thread_id in ids.values():
        objects.put(f"results/7/a-{thread_id}.txt", b"a")
    place.folder.write("a.xml", b"")

    def sweep(ticks: int) -> set[str]:
        ownerless = OwnerlessObjects(objects, "ab" * 16, ticks)
        known, buried = {ids["kept"]}, {ids["buried"]}
        list(
            place.documents.sweep(
                lambda each: set(each) & known, lambda _: set(), lambda each: set(each) & buried, ownerless, 60
            )
        )
        return {each.key[len("results/7/a-") :][0] for each in objects.each("results")}

    assert sweep(100) == {"4", "6"}
    assert sweep(100 + OWNERLESS_TICKS - 1) == {"4", "6"}
    assert sweep(100 + OWNERLESS_TICKS) == {"4"}
    assert place.folder.count() == 1
    usage = {each.kind: each.files for each in place.documents.measure() if each is not None}
    assert usage == {"groups": 1, "results": 1}


def test_a_store_that_does_not_answer_is_no_fault_of_a_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setattr("psthreads.documents.objects.client._RETRY_SECONDS", 0)
    store = ObjectStore("s3://psthreads/nobody", "http://127.0.0.1:9")
    with pytest.raises(StorageFailed, match=r"s3://psthreads/nobody failed"):
        store.head("a")
    with pytest.raises(OSError, match="failed"):
        ObjectMarker(store).read()


def test_a_fork_is_told_that_it_cannot_use_the_store(objects: ObjectStore) -> None:
    objects.put("a", b"a")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            objects.find("a")
        except RuntimeError:
            code = 42
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42


def test_reading_ahead_takes_a_tenth_of_the_time_keeps_the_order_and_ends_with_its_threads() -> None:
    def work(number: int) -> int:
        time.sleep(0.1)  # the store's latency
        if number == 7:
            raise OSError(number)
        return number

    before = threading.active_count()
    began = time.monotonic()
    results = [result for _, result in side_by_side(work, range(48), lambda _: 1)]
    assert time.monotonic() - began < 48 * 0.1 / 10
    assert [result for result in results if not isinstance(result, Exception)] == [*range(7), *range(8, 48)]
    ahead = side_by_side(work, iter(range(1_000)), lambda _: 1 << 30)  # As many bytes as may be ahead are in one.
    assert next(ahead) == (0, 0)
    ahead.close()
    assert threading.active_count() == before
