"""Claims about documents in an object store that fails: what the store did is known, and done once, whoever lost it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.failing_store import WAYS, FailingStore
from psthreads.documents.objects.client import ObjectStore
from psthreads.domain.errors import Conflict, NotFound
from tests.support.loading import Place
from tools.object_store import ObjectServer

# "error-200" is for copies and completions alone.
IN_EVERY_WAY = pytest.mark.parametrize("way", [way for way in WAYS if way != "error-200"])


class Failures:
    """Has the next request of a kind fail in a way, once; requests of other kinds pass."""

    def __init__(self, proxy: FailingStore) -> None:
        self.proxy = proxy
        self.planned: list[tuple[str, str, str]] = []
        proxy.choice = self.choose

    def choose(self, method: str, target: str) -> str:
        for plan in self.planned:
            if plan[0] == method and plan[1] in target:
                self.planned.remove(plan)
                return plan[2]
        return ""

    def plan(self, way: str, *requests: tuple[str, str]) -> None:
        assert not self.planned, "What was planned has not happened."
        self.planned += [(method, part, way) for method, part in requests]


@pytest.fixture(scope="module")
def proxy(object_server: ObjectServer) -> Iterator[FailingStore]:
    with FailingStore(object_server.endpoint, stall_seconds=1.5) as proxy:
        yield proxy


@pytest.fixture
def failures(
    request: pytest.FixtureRequest, proxy: FailingStore, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Failures]:
    monkeypatch.setattr("psthreads.documents.objects.client.PART", 100_000)
    if "stall" in request.node.name:
        monkeypatch.setattr("psthreads.documents.objects.client._REQUEST_SECONDS", 1)
    failures = Failures(proxy)
    yield failures
    assert not failures.planned


@pytest.fixture
def place(tmp_path: Path, proxy: FailingStore, failures: Failures) -> Place:
    return Place(tmp_path / "documents", proxy)


@pytest.fixture
def objects(place: Place) -> ObjectStore:
    return place.zone._tree.store  # type: ignore[union-attr] # it is of an object store


@IN_EVERY_WAY
def test_every_request_that_fails_once_is_done_once(
    way: str, failures: Failures, place: Place, objects: ObjectStore
) -> None:
    failures.plan(way, ("PUT", "a.xml"))
    place.folder.write("a.xml", b"one")
    # A move is a conditional write and a deletion. Its write was the first, although its answer was lost.
    failures.plan(way, ("GET", "a.xml"), ("PUT", "b.xml"), ("POST", "delete"))
    place.folder.move("a.xml", "b.xml")
    assert (place.folder.kind("a.xml"), place.folder.read("b.xml", 9)) == ("", b"one")
    place.folder.write("c.xml", b"one, too")
    with pytest.raises(Conflict):
        place.folder.move("c.xml", "b.xml")
    with pytest.raises(FileExistsError):
        objects.put("groups/7/b.xml", b"one", create=True)
    # A listing goes on where it broke off.
    failures.plan(way, ("GET", "list-type"))
    assert [document.path for document in place.folder.walk()] == ["/b.xml", "/c.xml"]
    # Files of a form wait, and are copied by the store.
    failures.plan(way, ("PUT", ".psthreads-"), ("PUT", "zone.xml"), ("POST", "delete"))
    with place.zone.write("zone.xml", 100, waits=True) as arrival:
        arrival.write(b"zone")
        arrival.complete()
    assert place.zone.read("zone.xml", 9) == b"zone"
    assert [each.key for each in objects.each("") if "/.psthreads-" in each.key] == []


@IN_EVERY_WAY
def test_every_step_of_an_object_in_parts_may_fail_and_it_is_whole(
    way: str, failures: Failures, place: Place, objects: ObjectStore
) -> None:
    large = os.urandom(250_000)
    failures.plan(way, ("POST", "?uploads"), ("PUT", "partNumber"), ("POST", "uploadId"))
    with place.documents.results(7).write("large.bin") as file:
        file.write(large)
    failures.plan(way, ("GET", "large.bin"))
    with place.documents.results(7).open("large.bin") as stored:
        assert stored.read() == large


def test_an_error_in_an_answer_that_says_200_is_an_error(failures: Failures, place: Place) -> None:
    failures.plan("error-200", ("POST", "uploadId"))
    with place.documents.results(7).write("large.bin") as file:
        file.write(b"x" * 250_000)
    with place.documents.results(7).open("large.bin") as stored:
        assert len(stored.read()) == 250_000
    place.upload("a.xml", b"a")
    place.folder.write("a.xml", b"b")
    failures.plan("error-200", ("PUT", "a.xml"))
    place.zone.move_out("a.xml", place.folder, "a.xml", overwrite=True)
    assert place.folder.read("a.xml", 9) == b"a"
    with pytest.raises(NotFound):
        place.zone.read("a.xml", 9)


def test_what_replaced_a_file_while_its_deletion_was_repeated_stays(failures: Failures, place: Place) -> None:
    place.upload("a.xml", b"first")
    before = failures.choose

    def choose(method: str, target: str) -> str:
        way = before(method, target)
        if way == "lose":
            # Its answer is lost, and meanwhile somebody uploads the next file of this name.
            failures.proxy.choice = late
        return way

    def late(method: str, target: str) -> str:
        failures.proxy.choice = before
        place.upload("a.xml", b"second")
        return before(method, target)

    failures.plan("lose", ("POST", "delete"))
    failures.proxy.choice = choose
    place.zone.move_out("a.xml", place.folder, "a.xml", overwrite=False)
    assert (place.folder.read("a.xml", 9), place.zone.read("a.xml", 9)) == (b"first", b"second")
