"""Claims about documents in an object store alone: what has no rename behaves as if it had one, or says so."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import NoReturn

import pytest

from psthreads.documents.marker import Marker
from psthreads.documents.objects.client import ObjectStore
from psthreads.documents.objects.records import ObjectRecords
from psthreads.documents.side_by_side import side_by_side
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


def test_a_store_that_does_not_answer_is_no_fault_of_a_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setattr("psthreads.documents.objects.client._RETRY_SECONDS", 0)
    store = ObjectStore("s3://psthreads/nobody", "http://127.0.0.1:9")
    with pytest.raises(StorageFailed, match=r"s3://psthreads/nobody failed"):
        store.head("a")
    with pytest.raises(OSError, match="failed"):
        Marker(ObjectRecords(store)).read()


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
