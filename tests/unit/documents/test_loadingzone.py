"""Claims about a loading zone: what is put there is whole, and nothing leads outside it."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from psthreads.documents.zones import MemberZone
from psthreads.domain.errors import Conflict, NotFound, PsthreadsError, TooLarge, UnsafePath
from tests.support.backends import in_both
from tests.support.loading import GROUP, MEMBER, Place, place_at

BAD = [
    "../a",
    "a/../../b",
    "/etc/passwd",
    "a/",
    "",
    "a\\b",
    "a\0b",
    "a\nb",
    "\udcff",
    ".psthreads-1",
    "a/.psthreads-1/b",
    "n" * 256,
    "é" * 128,
    "n" * 256 + "/a",
    "a/" * 2_100 + "a",
]


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    return place_at(tmp_path / "documents", request)


def read(zone: MemberZone, path: str) -> bytes:
    with zone.open(path) as file:
        return file.read()


def paths(zone: MemberZone) -> list[str]:
    return [file.path for file in zone.walk(lambda *_: None)]


def test_asking_for_a_zone_touches_no_disk_and_an_absent_one_is_empty(tmp_path: Path) -> None:
    place = Place(tmp_path / "documents")
    assert not place.zone_path.exists()
    assert (place.zone.count(), place.zone.clear(), paths(place.zone)) == (0, 0, [])


@in_both("place")
def test_what_is_written_is_there_whole_with_its_folders(place: Place) -> None:
    place.upload("b/c/d.xml", b"<d/>")
    place.upload("a.xml", b"<a/>")
    place.upload("a.xml", b"<again/>")
    assert paths(place.zone) == ["/a.xml", "/b/c/d.xml"]
    assert read(place.zone, "a.xml") == b"<again/>"
    assert place.zone.read("/b/c/d.xml", 100) == b"<d/>"
    assert place.zone.resolve("b//c/d.xml") == "/b/c/d.xml"
    assert not place.hidden()


@in_both("place")
def test_each_member_has_a_zone_for_each_group(place: Place) -> None:
    place.upload("a.xml")
    assert place.documents.loading_zone(GROUP, MEMBER.id + 1).count() == 0
    assert not (place.group_path / "a.xml").exists()


@pytest.mark.parametrize("path", BAD)
@in_both("place")
def test_a_path_that_is_none_is_refused_and_leaves_nothing(place: Place, path: str) -> None:
    with pytest.raises(UnsafePath) as refused:
        place.upload(path)
    assert refused.value.message.isprintable()
    assert not place.zone_path.exists()


@in_both("place")
def test_what_is_absent_or_a_folder_is_said_not_to_be_in_the_loading_zone(place: Place) -> None:
    place.upload("folder/a.xml")
    calls: list[Callable[[str], object]] = [place.zone.open, place.zone.resolve, lambda path: place.zone.read(path, 1)]
    for call in calls:
        for path in ("nope", "nope/a.xml", "folder"):
            with pytest.raises(NotFound, match="in the loading zone"):
                call(path)


@in_both("place")
def test_a_file_that_is_too_large_is_refused_while_it_arrives_and_leaves_nothing(place: Place) -> None:
    with pytest.raises(TooLarge, match="More than 10 bytes"), place.zone.write("new/a.xml", 10) as file:
        file.write(b"0123456789")
        assert file.size == 10
        file.write(b"0")
    assert list(place.zone_path.rglob("*")) == []


def test_a_write_that_breaks_off_leaves_the_file_that_was_there(place: Place) -> None:
    place.upload("a/b.xml", b"<old/>")
    for path in ("a/b.xml", "a/c.xml", "d/e.xml"):
        with pytest.raises(KeyboardInterrupt), place.zone.write(path, 100) as file:
            file.write(b"<half")
            raise KeyboardInterrupt
    assert place.files(place.zone_path) == {"a/b.xml": b"<old/>"}
    assert sorted(path.name for path in place.zone_path.rglob("*")) == ["a", "b.xml"]


@in_both("place")
def test_a_file_and_a_folder_cannot_share_a_name(place: Place) -> None:
    place.upload("a/b.xml")
    with pytest.raises(Conflict, match="is a folder"):
        place.upload("a")
    with pytest.raises(Conflict, match="'/a/b\\.xml' is not a folder"):
        place.upload("a/b.xml/c.xml")
    assert place.files(place.zone_path) == {"a/b.xml": b"<new/>"}


def test_a_link_in_the_zone_is_never_followed(place: Place, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.xml").write_bytes(b"secret")
    place.upload("a.xml")
    (place.zone_path / "folder").symlink_to(outside)
    (place.zone_path / "file.xml").symlink_to(outside / "secret.xml")
    for path in ("folder/secret.xml", "file.xml"):
        with pytest.raises(UnsafePath, match="symbolic link"):
            place.zone.open(path)
        with pytest.raises(UnsafePath, match="symbolic link"):
            place.upload(path, b"changed")
        with pytest.raises(UnsafePath, match="symbolic link"):
            place.zone.move_out(path, place.folder, "a.xml", overwrite=True)
    assert paths(place.zone) == ["/a.xml"]
    assert place.zone.clear() == 3
    assert place.files(outside) == {"secret.xml": b"secret"}
    assert list(place.zone_path.iterdir()) == []


def test_clearing_removes_files_and_folders_and_says_how_many_files(place: Place) -> None:
    for name in ("a.xml", "b/c.xml", "b/d/e.xml"):
        place.upload(name)
    (place.zone_path / "empty" / "too").mkdir(parents=True)
    assert place.zone.clear() == 3
    assert list(place.zone_path.iterdir()) == []


def test_clearing_leaves_what_is_being_written_and_removes_what_was_given_up(place: Place) -> None:
    place.upload("old/a.xml")
    given_up = place.zone_path / "old" / ".psthreads-0123"
    given_up.write_bytes(b"half")
    os.utime(given_up, (0, 0))
    with place.zone.write("old/b.xml", 100) as file:
        file.write(b"<b/>")
        assert place.zone.clear() == 1
    assert place.files(place.zone_path) == {"old/b.xml": b"<b/>"}


@in_both("place")
def test_nothing_new_is_deeper_than_64_folders(place: Place) -> None:
    place.upload("a/" * 64 + "a.xml")
    with pytest.raises(UnsafePath, match="more than 64 folders"):
        place.upload("b/" * 65 + "a.xml")
    assert place.files(place.zone_path) == {"a/" * 64 + "a.xml": b"<new/>"}


def test_a_deep_tree_is_cleared_in_a_moment_and_with_few_descriptors(place: Place) -> None:
    """Such a tree may be of a time before there was a limit."""
    place.zone_path.mkdir(parents=True)
    fd = os.open(place.zone_path, os.O_RDONLY)
    for _ in range(2_040):
        os.mkdir("a", dir_fd=fd)
        below = os.open("a", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("a.xml", os.O_WRONLY | os.O_CREAT, dir_fd=fd))
    os.close(fd)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, before[1]))
    try:
        start = time.process_time()
        assert place.zone.count() == 1
        assert place.zone.clear() == 1
        assert time.process_time() - start < 2  # It was a minute.
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert list(place.zone_path.iterdir()) == []


def test_files_may_be_written_while_others_clear(place: Place) -> None:
    done = threading.Event()
    failed: list[BaseException] = []

    def clear() -> None:
        while not done.is_set():
            place.zone.clear()

    def write(name: str) -> None:
        try:
            for number in range(150):
                place.upload(f"{name}/{number}/a.xml")
        except BaseException as error:  # noqa: BLE001 (the test looks at it)
            failed.append(error)

    clearing = threading.Thread(target=clear)
    writers = [threading.Thread(target=write, args=(name,)) for name in ("one", "two")]
    for thread in (clearing, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    clearing.join()
    assert not failed
    place.zone.clear()
    assert list(place.zone_path.iterdir()) == []


@in_both("place")
def test_a_file_that_is_moved_out_is_a_document_and_no_longer_in_the_zone(place: Place) -> None:
    place.upload("a.xml", b"<a/>")
    place.zone.move_out("a.xml", place.folder, "new/a.xml", overwrite=False)
    assert place.files(place.group_path) == {"new/a.xml": b"<a/>"}
    assert place.zone.count() == 0


@pytest.mark.parametrize("way", ["move_out", "copy_out"])
@in_both("place")
def test_nothing_is_overwritten_unless_it_may_be_also_across_disks(place: Place, way: str) -> None:
    put = getattr(place.zone, way)
    place.upload("a.xml", b"<new/>")
    place.folder.write("a.xml", b"<old/>")
    place.folder.write("folder/a.xml", b"<old/>")
    with pytest.raises(Conflict, match=r"'a\.xml' already"):
        put("a.xml", place.folder, "a.xml", overwrite=False)
    for overwrite in (False, True):
        with pytest.raises(Conflict, match="'folder'"):
            put("a.xml", place.folder, "folder", overwrite=overwrite)
    assert place.files(place.group_path) == {"a.xml": b"<old/>", "folder/a.xml": b"<old/>"}
    assert place.zone.count() == 1
    put("a.xml", place.folder, "a.xml", overwrite=True)
    assert place.files(place.group_path)["a.xml"] == b"<new/>"
    assert place.zone.count() == 0
    place.upload("b.xml")
    put("b.xml", place.folder, "b.xml", overwrite=False)
    assert place.files(place.group_path)["b.xml"] == b"<new/>"
    with pytest.raises(NotFound, match="in the loading zone"):
        put("b.xml", place.folder, "c.xml", overwrite=True)
    assert not place.hidden()


@in_both("place")
def test_removing_what_is_gone_does_nothing(place: Place) -> None:
    place.upload("a.xml")
    for _ in range(2):
        place.zone.remove("a.xml")
    place.zone.remove("nope/a.xml")
    assert place.zone.count() == 0


@in_both("place")
def test_every_refusal_is_one_of_ours(place: Place) -> None:
    place.upload("a.xml")
    for path in BAD:
        for call in (place.zone.open, place.zone.resolve, place.zone.kind):
            try:
                call(path)
            except PsthreadsError:
                continue
