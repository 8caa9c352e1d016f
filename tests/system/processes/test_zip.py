"""Claims about the zip files that are written here, checked by the standard library and by unzip."""

from __future__ import annotations

import io
import os
import subprocess
import time
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from psthreads.processes.archives import zip_writer as _zip
from psthreads.processes.archives.zip_writer import ZipWriter
from tests.support.needs import needs

MODIFIED = 1_652_667_242_000
GIGABYTE = 1 << 30


def write(path: Path, entries: dict[str, bytes], at: int = 0) -> None:
    with path.open("wb") as file:
        file.seek(at)
        archive = ZipWriter(file, io.BytesIO())
        for name, content in entries.items():
            archive.add(name, MODIFIED, content)
        archive.close()


def is_accepted_by_unzip(path: Path) -> bool:
    needs("unzip")
    return subprocess.run(["unzip", "-tqq", path], check=False).returncode == 0


def test_names_content_and_times_are_read_as_they_were_written(tmp_path: Path) -> None:
    entries = {
        "a.txt": b"",
        "folder/b.xml": b"<b/>" * 10_000,
        "日本語/ä ö.psml": b"<c/>",
        "noise.bin": os.urandom(300_000),
        "packed.png": b"x" * 10_000,
    }
    path = tmp_path / "a.zip"
    write(path, entries)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == entries
        for entry in archive.infolist():
            assert entry.date_time == time.localtime(MODIFIED // 1000)[:6]
            assert int.from_bytes(entry.extra[5:9], "little") == MODIFIED // 1000
            assert entry.external_attr >> 16 == 0o100644
        assert archive.getinfo("folder/b.xml").compress_size < 1_000
        assert archive.getinfo("packed.png").compress_type == zipfile.ZIP_STORED
        assert archive.getinfo("noise.bin").compress_type == zipfile.ZIP_STORED
    assert is_accepted_by_unzip(path)


@pytest.mark.parametrize(
    ("seconds", "date"), [(0, (1980, 1, 1, 0, 0, 0)), (-5, (1980, 1, 1, 0, 0, 0)), (5_000_000_000, (2107, 12, 31))]
)
def test_a_time_that_no_zip_file_knows_is_the_nearest_that_it_does(
    tmp_path: Path, seconds: int, date: tuple[int, ...]
) -> None:
    with (tmp_path / "a.zip").open("wb") as file:
        archive = ZipWriter(file, io.BytesIO())
        archive.add("a", seconds * 1000, b"a")
        archive.close()
    with zipfile.ZipFile(tmp_path / "a.zip") as read:
        assert read.infolist()[0].date_time[: len(date)] == date


def test_a_file_without_entries_is_a_zip_file(tmp_path: Path) -> None:
    write(tmp_path / "a.zip", {})
    assert zipfile.ZipFile(tmp_path / "a.zip").namelist() == []


def test_an_entry_is_streamed_whatever_its_size_was_said_to_be(tmp_path: Path) -> None:
    content = os.urandom(10_000) * 100
    for expected in (0, len(content), 2 * GIGABYTE):
        with (tmp_path / "a.zip").open("wb") as file:
            archive = ZipWriter(file, io.BytesIO())
            archive.add("before", MODIFIED, b"before")
            assert archive.stream("large", MODIFIED, io.BytesIO(content), expected) == len(content)
            archive.add("after", MODIFIED, b"after")
            archive.close()
        with zipfile.ZipFile(tmp_path / "a.zip") as read:
            assert read.testzip() is None
            assert [read.read(name) for name in ("before", "large", "after")] == [b"before", content, b"after"]
        assert is_accepted_by_unzip(tmp_path / "a.zip")


def test_an_entry_that_outgrows_its_header_is_written_again_with_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_zip, "_ROOM", 1_000)
    content = os.urandom(600_000)
    with (tmp_path / "a.zip").open("wb") as file:
        archive = ZipWriter(file, io.BytesIO())
        archive.add("before", MODIFIED, b"before")
        assert archive.stream("grew.png", MODIFIED, io.BytesIO(content), 10) == len(content)
        archive.close()
    assert (tmp_path / "a.zip").stat().st_size < 601_000
    with zipfile.ZipFile(tmp_path / "a.zip") as read:
        assert read.testzip() is None
        assert read.read("grew.png") == content
        assert read.getinfo("grew.png").extract_version == 45
    assert is_accepted_by_unzip(tmp_path / "a.zip")


def test_entries_beyond_four_gigabytes_are_found(tmp_path: Path) -> None:
    write(tmp_path / "a.zip", {"a.xml": b"<a/>", "b.xml": b"<b/>" * 100}, at=5 * GIGABYTE)
    with zipfile.ZipFile(tmp_path / "a.zip") as read:
        assert read.read("a.xml") == b"<a/>"
        assert read.read("b.xml") == b"<b/>" * 100
        assert read.infolist()[0].header_offset == 5 * GIGABYTE


def test_more_entries_than_a_plain_directory_counts_are_all_there_and_take_no_memory(tmp_path: Path) -> None:
    with (tmp_path / "a.zip").open("wb") as file, (tmp_path / "directory").open("w+b") as directory:
        archive = ZipWriter(file, directory)
        tracemalloc.start()
        try:
            for number in range(70_000):
                archive.add(f"{number:05}.xml", MODIFIED, b"<a/>")
            archive.close()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 2_000_000
    with zipfile.ZipFile(tmp_path / "a.zip") as read:
        assert len(read.namelist()) == 70_000
        assert read.read("69999.xml") == b"<a/>"
    assert is_accepted_by_unzip(tmp_path / "a.zip")
