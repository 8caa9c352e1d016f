"""Claims about times: a document keeps that of its last change on its way in and out."""

from __future__ import annotations

import errno
import os
import struct
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from psthreads.domain.model import Level, Status
from psthreads.processes.export import export
from psthreads.processes.load import load
from psthreads.processes.unzip import unzip
from tests.support.archives import tar, with_names
from tests.support.loading import Place

MODIFIED = 1_234_567_891  # an odd number of seconds, which the form of MS-DOS does not have
LOCAL = time.localtime(MODIFIED)[:6]


def _unix(seconds: int, flags: int = 1) -> bytes:
    return struct.pack("<HHBl", 0x5455, 5, flags, seconds)


def _ntfs(seconds: int) -> bytes:
    ticks = (seconds + 11_644_473_600) * 10_000_000
    return struct.pack("<HHLHH3Q", 0x000A, 32, 0, 1, 24, ticks, ticks, ticks)


def _tar(seconds: float) -> bytes:
    info = tarfile.TarInfo("a.xml")
    info.mtime = seconds
    return tar((info, b"<a/>"), mode="w:gz")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize(
    ("archive", "expected"),
    [
        (with_names(b"a.xml", extra=_unix(MODIFIED)), MODIFIED),
        (with_names(b"a.xml", extra=_ntfs(MODIFIED)), MODIFIED),
        (with_names(b"a.xml", date=LOCAL), MODIFIED - 1),
        (with_names(b"a.xml", extra=_unix(MODIFIED, flags=2), date=LOCAL), MODIFIED - 1),
        (_tar(MODIFIED), MODIFIED),
        (_tar(MODIFIED + 0.5), MODIFIED + 0.5),
    ],
)
def test_unzip_load_and_export_keep_the_time(place: Place, archive: bytes, expected: float) -> None:
    place.upload("in.zip", archive)
    assert place.run(unzip, path="in.zip").status is Status.COMPLETED
    assert (place.zone_path / "a.xml").stat().st_mtime == pytest.approx(expected)
    assert place.run(load).status is Status.COMPLETED
    assert (place.group_path / "a.xml").stat().st_mtime == pytest.approx(expected)
    assert place.run(export).status is Status.COMPLETED
    (path,) = (place.root / "results" / "7").iterdir()
    (entry,) = zipfile.ZipFile(path).infolist()
    assert struct.unpack("<HHBl", entry.extra) == (0x5455, 5, 1, int(expected))
    place.upload("again.zip", path.read_bytes())
    assert place.run(unzip, path="again.zip").status is Status.COMPLETED
    assert (place.zone_path / "a.xml").stat().st_mtime == int(expected)


@pytest.mark.parametrize(
    "archive",
    [
        with_names(b"a.xml", extra=_unix(-1)),
        with_names(b"a.xml", extra=_unix(2_147_483_647)),
        with_names(b"a.xml", extra=_ntfs(-11_644_473_600)),
        with_names(b"a.xml", date=(2107, 12, 31, 23, 59, 58)),
        with_names(b"a.xml", date=(1980, 0, 0, 0, 0, 0)),
        _tar(0),
        _tar(1e15),
    ],
    ids=("before the epoch", "the last second", "before NTFS", "the last of DOS", "no month", "of tar", "far away"),
)
def test_a_time_that_cannot_be_is_none(place: Place, archive: bytes) -> None:
    before = time.time()
    place.upload("in.zip", archive)
    assert place.run(unzip, path="in.zip").status is Status.COMPLETED, place.lines()
    assert before - 5 < (place.zone_path / "a.xml").stat().st_mtime < time.time() + 5
    assert not place.lines(Level.WARN)


def test_a_load_from_another_disk_keeps_the_time(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(type(place.zone), "move_out", refuse)
    place.upload("a.xml", b"<new/>")
    os.utime(place.zone_path / "a.xml", (MODIFIED, MODIFIED))
    assert place.run(load).status is Status.COMPLETED
    assert (place.group_path / "a.xml").stat().st_mtime == MODIFIED
