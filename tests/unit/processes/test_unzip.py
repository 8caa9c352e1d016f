"""Claims about unzipping: what every hostile archive is told, and that nothing of it is unpacked."""

from __future__ import annotations

import errno
import os
import random
import re
import struct
import zipfile
from pathlib import Path

import pytest

from psthreads.authoring.context import Cancelled, Context
from psthreads.authoring.process import Start
from psthreads.documents.paths import TEMPORARY
from psthreads.documents.zones import StagedFiles
from psthreads.domain.errors import MissingParameter, NotFound, UnsafePath
from psthreads.domain.model import Level, Status
from psthreads.processes.archives import entries as _entries
from psthreads.processes.unzip import unzip
from tests.support.archives import HOSTILE, central, many, pack, renamed, with_bytes
from tests.support.backends import in_both
from tests.support.loading import Place, place_at


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    made = place_at(tmp_path / "documents", request)
    made.upload("kept.xml", b"<kept/>")
    return made


@pytest.mark.parametrize("name", HOSTILE)
@in_both("place")
def test_a_hostile_archive_is_told_and_nothing_of_it_is_unpacked(place: Place, name: str) -> None:
    make, event = HOSTILE[name]
    archive = make()
    place.upload("in.zip", archive)
    outcome = place.run(unzip, path="in.zip")
    assert outcome.status is Status.FAILED
    assert outcome.message.startswith("Nothing was unpacked from /in.zip, and it is still there")
    told = place.lines()
    assert told
    assert len(told) <= 21
    assert all("/in.zip" in line and line.isprintable() for line in told)
    assert any(re.search(event, line) for line in told), told
    assert place.files(place.zone_path) == {"kept.xml": b"<kept/>", "in.zip": archive}
    assert not (place.root.parent / "tmp").exists()
    assert not place.hidden()


def test_an_archive_that_unpacks_to_too_much_or_does_not_fit_is_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.upload("in.zip", many(30))
    monkeypatch.setattr(_entries, "MOST_BYTES", 1_000)
    assert place.run(unzip, path="in.zip").status is Status.FAILED
    assert re.search(r"it unpacks to [\d,]+ bytes, and 1,000 are the most", place.lines()[0])
    monkeypatch.setattr(_entries, "MOST_BYTES", 1 << 62)
    monkeypatch.setattr(_entries, "ALWAYS_FINE", 1 << 62)
    data = pack(("a.xml", b"<a/>"))
    for at in (22, central(data) + 24):
        data = with_bytes(data, at, struct.pack("<L", 0xFFFFFFF0))
    place.upload("in.zip", data)
    monkeypatch.setattr("psthreads.processes.unzip.shutil.disk_usage", lambda _: type("Usage", (), {"free": 4096}))
    assert place.run(unzip, path="in.zip").status is Status.FAILED
    assert place.lines() == ["/in.zip is not unpacked: it needs 4,294,967,280 bytes of disk, and 4,096 are free."]


def test_a_list_of_entries_that_would_fill_the_memory_is_not_read(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_entries, "MOST_LISTED", 100_000)
    place.upload("in.zip", many(2_000))
    assert place.run(unzip, path="in.zip").status is Status.FAILED
    assert "it is not a zip file, or only a part of one" in place.lines()[0] or "list" in place.lines()[0]


@in_both("place")
def test_the_events_of_a_wholly_hostile_archive_are_capped(place: Place) -> None:
    place.upload("in.zip", pack(*((f"../{number}", b"x") for number in range(1_000))))
    assert place.run(unzip, path="in.zip").status is Status.FAILED
    told = place.lines()
    assert len(told) == 21
    assert told[-1] == "980 more entries of /in.zip are not accepted"


@in_both("place")
def test_files_appear_in_the_archives_folder_and_the_archive_goes(place: Place) -> None:
    place.upload("books/in.zip", pack(("a.xml", b"<a/>"), ("new/", b""), ("b/c.xml", b"<c/>"), ("B/c.xml", b"<C/>")))
    place.upload("books/a.xml", b"<old/>")
    outcome = place.run(unzip, path="books//in.zip")
    assert (outcome.status, outcome.message) == (Status.COMPLETED, "Successfully unzipped 3 files")
    assert place.files(place.zone_path) == {
        "kept.xml": b"<kept/>",
        "books/a.xml": b"<a/>",
        "books/b/c.xml": b"<c/>",
        "books/B/c.xml": b"<C/>",
    }
    assert "Unzipping b/c.xml" in place.lines(Level.INFO)
    assert "Removed /books/in.zip, because its files are now beside it" in place.lines(Level.INFO)
    assert place.xml == '<unzipping total="3" current="3"/>'
    assert not place.hidden()


@in_both("place")
def test_names_are_read_as_utf_8_where_they_are_and_else_as_the_first_zip_files_have_them(place: Place) -> None:
    declared = pack(("ä.xml", b"1"))
    undeclared = renamed(b"ab.xml", "ö.xml".encode(), ("ab.xml", b"2"))
    old = renamed(b"a.xml", "ü".encode("cp437") + b".xml", ("a.xml", b"3"))
    for number, data in enumerate((declared, undeclared, old)):
        place.upload(f"{number}.zip", data)
        assert place.run(unzip, path=f"{number}.zip").status is Status.COMPLETED
    assert place.files(place.zone_path) == {"kept.xml": b"<kept/>", "ä.xml": b"1", "ö.xml": b"2", "ü.xml": b"3"}


@in_both("place")
def test_an_entry_that_meets_another_kind_of_thing_in_the_zone_is_refused(place: Place) -> None:
    place.upload("folder/a.xml")
    for data, event in (
        (pack(("kept.xml/a.xml", b"x")), "'/kept.xml' is not a folder"),
        (pack(("folder", b"x")), "there is a folder of that name"),
        (pack(("kept.xml/", b""), ("b.xml", b"x")), "there is a file of that name"),
    ):
        place.upload("in.zip", data)
        assert place.run(unzip, path="in.zip").status is Status.FAILED
        assert event in place.lines()[0]
    assert set(place.files(place.zone_path)) == {"kept.xml", "folder/a.xml", "in.zip"}


def test_a_link_in_the_zone_is_not_unpacked_through(place: Place, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (place.zone_path / "link").symlink_to(outside)
    place.upload("in.zip", pack(("link/a.xml", b"x")))
    assert place.run(unzip, path="in.zip").status is Status.FAILED
    assert "symbolic link" in place.lines()[0]
    assert not list(outside.iterdir())


@in_both("place")
def test_a_path_that_is_absent_unsafe_or_no_file_is_refused_before_anything_starts(place: Place) -> None:
    place.upload("folder/in.zip")
    (check,) = unzip.checks

    def start(path: str) -> None:
        check(Start(*(None,) * 2, None, place.root, {"path": path}, place.zone))  # type: ignore[arg-type]

    for path in ("nope.zip", "folder", "folder/nope.zip"):
        with pytest.raises(NotFound, match="in the loading zone"):
            start(path)
    with pytest.raises(UnsafePath):
        start("../1/in.zip")
    with pytest.raises(MissingParameter):
        unzip.read({})
    start("folder/in.zip")


@in_both("place")
def test_a_cancel_before_the_first_file_is_in_place_leaves_the_zone_as_it_was(place: Place) -> None:
    place.upload("in.zip", many(10))

    def at_the_last(context: Context) -> None:
        say = context.message

        def message(text: str) -> None:
            say(text)
            if "0009" in text:
                context.interrupt(Cancelled())

        context.message = message  # type: ignore[method-assign]

    with pytest.raises(Cancelled):
        place.run(unzip, at_the_last, path="in.zip")
    assert set(place.files(place.zone_path)) == {"kept.xml", "in.zip"}
    assert not place.hidden()


@in_both("place")
def test_a_cancel_while_files_are_put_in_place_leaves_some_whole_ones_and_the_archive(place: Place) -> None:
    place.upload("docs/0000.xml", b"<old/>")
    place.upload("in.zip", many(10))
    take, targets = place.zone.take, []

    def at_the_fifth(context: Context) -> None:
        def count(staged: StagedFiles, path: str, to: str) -> bool:
            targets.append(to)
            if len(targets) == 5:
                context.interrupt(Cancelled())  # Held back until the file is in its place.
            return take(staged, path, to)

        place.zone.take = count  # type: ignore[method-assign]

    with pytest.raises(Cancelled):
        place.run(unzip, at_the_fifth, path="in.zip")
    assert targets == [f"/docs/{n:04}.xml" for n in range(5)]
    assert set(place.files(place.zone_path)) == {"kept.xml", "in.zip", *(f"docs/{n:04}.xml" for n in range(5))}
    assert not place.hidden()


def test_the_highest_new_folder_appears_in_one_step_and_a_cancel_then_leaves_all_of_it(place: Place) -> None:
    names = [f"{folder}/{number}.xml" for folder in ("new/a", "new/b/c", "old", "old/new") for number in range(3)]
    place.upload("books/old/0.xml", b"<old/>")
    place.upload("books/in.zip", pack(*((name, name.encode()) for name in names)))
    take, targets = place.zone.take, []

    def at_the_first(context: Context) -> None:
        def cancel(staged: StagedFiles, path: str, to: str) -> bool:
            targets.append(to)
            if len(targets) == 1:
                context.interrupt(Cancelled())
            return take(staged, path, to)

        place.zone.take = cancel  # type: ignore[method-assign]

    with pytest.raises(Cancelled):
        place.run(unzip, at_the_first, path="books/in.zip")
    entries = {f"books/{name}": name.encode() for name in names}
    left = place.files(place.zone_path / "books" / "new")
    assert {f"books/new/{name}": content for name, content in left.items()} == dict(list(entries.items())[:6])
    assert place.run(unzip, path="books/in.zip").status is Status.COMPLETED
    assert targets[:2] == ["/books/new", "/books/new/a/0.xml"]
    assert targets[-1] == "/books/old/new"
    assert place.files(place.zone_path) == {"kept.xml": b"<kept/>", **entries}


@pytest.mark.parametrize("number", [errno.ENOTEMPTY, errno.EXDEV])
def test_a_folder_that_cannot_be_moved_in_one_step_is_filled_file_by_file(
    place: Place, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    place.upload("in.zip", many(10))
    replace, refused = os.replace, []

    def first_refuse(old: str, new: str, **folders: int) -> None:
        if new == "docs" or (number == errno.EXDEV and not old.startswith(TEMPORARY)):
            refused.append(new)
            if new == "docs" and number == errno.ENOTEMPTY:  # Somebody uploads into it at this moment.
                place.upload("docs/theirs.xml", b"<theirs/>")
            raise OSError(number, os.strerror(number))
        replace(old, new, **folders)

    monkeypatch.setattr(os, "replace", first_refuse)
    assert place.run(unzip, path="in.zip").message == "Successfully unzipped 10 files"
    assert refused[0] == "docs"
    names = {f"docs/{n:04}.xml" for n in range(10)}
    theirs = {"docs/theirs.xml"} if number == errno.ENOTEMPTY else set()
    assert set(place.files(place.zone_path)) == {"kept.xml"} | names | theirs
    assert not place.hidden()


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 1024 * 1024 + 1])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@in_both("place")
def test_files_of_every_size_are_whole_and_a_wrong_byte_in_any_is_noticed(place: Place, size: int, method: int) -> None:
    content = random.Random(size).randbytes(size)  # noqa: S311 (no secret)
    archive = pack(("docs/a.bin", content), method=method)
    place.upload("in.zip", archive)
    assert place.run(unzip, path="in.zip").status is Status.COMPLETED
    assert place.files(place.zone_path)["docs/a.bin"] == content
    place.upload("in.zip", with_bytes(archive, central(archive) + 16, b"\0\0\1\0"))  # the checksum
    assert place.run(unzip, path="in.zip").status is Status.FAILED
    assert place.lines() == [
        "Entry 'docs/a.bin' of /in.zip cannot be unpacked: its content is damaged: pack the archive again."
    ]


@in_both("place")
def test_an_entry_whose_own_header_has_another_name_is_damaged(place: Place) -> None:
    archive = pack(("a.xml", b"<a/>"))
    place.upload("in.zip", archive.replace(b"a.xml", b"b.xml", 1))
    assert place.run(unzip, path="in.zip").status is Status.FAILED
    assert "its content is damaged" in place.lines()[0]


@in_both("place")
def test_the_archive_goes_only_after_all_that_was_in_it_is_on_the_disk(place: Place) -> None:
    place.upload("in.zip", many(3))
    sync, seen = place.zone.sync, []

    def look_first() -> None:
        seen.append(set(place.files(place.zone_path)))
        sync()

    place.zone.sync = look_first  # type: ignore[method-assign]
    place.run(unzip, path="in.zip")
    assert seen == [{"kept.xml", "in.zip", *(f"docs/{number:04}.xml" for number in range(3))}]


@in_both("place")
def test_an_archive_that_went_meanwhile_is_told_with_what_that_may_mean(place: Place) -> None:
    outcome = place.run(unzip, path="in.zip")
    assert outcome.status is Status.FAILED
    assert outcome.message.startswith("'in.zip' is no longer in the loading zone.")
