"""Claims about tar archives: they are unpacked as zip files are, and trusted as little."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import re
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from psthreads.domain.model import Level, Status
from psthreads.processes.archives import entries as _entries
from psthreads.processes.unzip import unzip
from tests.support.archives import tar, with_bytes
from tests.support.loading import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path / "documents")
    made.upload("kept.xml", b"<kept/>")
    return made


FILES = {f"docs/{number:03}.xml": b"<doc>" + b"text " * number + b"</doc>" for number in range(60)} | {
    "empty.xml": b"",
    "ä/日本.xml": b"<a/>",
    f"long/{'n' * 150}.xml": b"<long/>",
}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_it_is_unpacked_however_it_is_packed(place: Place, mode: str, form: int) -> None:
    folder = tarfile.TarInfo("docs")
    folder.type = tarfile.DIRTYPE
    place.upload("books/in", tar((folder, b""), *FILES.items(), mode=mode, format=form))
    outcome = place.run(unzip, path="books/in")
    assert outcome.message == f"Successfully unzipped {len(FILES)} files", place.lines()
    expected = {f"books/{name}": content for name, content in FILES.items()}
    assert place.files(place.zone_path) == {"kept.xml": b"<kept/>", **expected}
    assert not place.lines(Level.WARN)
    assert not place.hidden()


def test_streams_one_after_the_other_are_one_archive(place: Place) -> None:
    archive = tar(*FILES.items())
    for pack in (gzip.compress, bz2.compress, lambda part: lzma.compress(part) + b"\0" * 8):
        place.upload("in.tar", b"".join(pack(archive[at : at + 10_000]) for at in range(0, len(archive), 10_000)))
        assert place.run(unzip, path="in.tar").status is Status.COMPLETED, place.lines()


def test_names_are_in_the_encoding_that_is_given_or_guessed(place: Place) -> None:
    for name in ("Отчёт.xml", "表.xml"):
        encoding = "cp932" if name == "表.xml" else "cp866"
        place.upload("in.tar", tar((name, b"x"), format=tarfile.GNU_FORMAT, encoding=encoding))
        assert place.run(unzip, path="in.tar", encoding=encoding).status is Status.COMPLETED
        assert name in place.files(place.zone_path)
    # The other format says that its names are UTF-8.
    place.upload("in.tar", tar(("ö.xml", b"x"), format=tarfile.PAX_FORMAT))
    assert place.run(unzip, path="in.tar", encoding="cp866").status is Status.COMPLETED
    assert "ö.xml" in place.files(place.zone_path)


def _member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def _with_header(archive: bytes, at: int, place: int, new: bytes) -> bytes:
    """Change a header, and make its checksum fit."""
    header = with_bytes(archive[at : at + 512], place, new)
    header = with_bytes(header, 148, b" " * 8)
    header = with_bytes(header, 148, b"%06o\0 " % sum(header))
    return with_bytes(archive, at, header)


def _negative() -> bytes:
    """An entry whose size would lead back to its own header."""
    return _with_header(tar(("a.xml", b"<a/>")), 0, 124, b"\xff" * 10 + struct.pack(">h", -1024))


def _huge_name() -> bytes:
    """A long name that would take more memory than there is."""
    archive = tar((f"{'n' * 200}.xml", b"x"), format=tarfile.GNU_FORMAT)
    return gzip.compress(_with_header(archive, 0, 124, b"%011o\0" % (7 << 30)) + b"n" * 20_000_000)


def _headers_without_end() -> bytes:
    """A long name for a long name for a long name."""
    archive = tar((f"{'n' * 200}.xml", b"x"), format=tarfile.GNU_FORMAT)
    return gzip.compress(archive[:1024] * 20_000 + archive)


def _sparse() -> bytes:
    """A file that is nearly all hole, as GNU tar writes it."""
    archive = _with_header(tar(("a.xml", b"x" * 512)), 0, 156, b"S")
    archive = _with_header(
        archive, 0, 386, b"%011o\0%011o\0" % (1 << 20, 512) + b"\0" * 73 + b"%011o\0" % ((1 << 20) + 512)
    )
    return _with_header(archive, 0, 257, b"ustar  \0")


def _damaged_header() -> bytes:
    archive = tar(*FILES.items())
    return with_bytes(archive, archive.index(b"docs/030.xml"), b"\1\2\3")


def _damaged_sum() -> bytes:
    archive = gzip.compress(tar(("a.bin", random.Random(1).randbytes(50_000))))  # noqa: S311 (no secret)
    return archive[:-8] + bytes([archive[-8] ^ 1]) + archive[-7:]


def _greedy() -> bytes:
    """An archive for which xz wants 3 GiB of memory."""
    small = lzma.compress(tar(("a.xml", b"<a/>")))
    # The dictionary's size is one byte in the block's header, which a checksum covers.
    header = bytearray(small[12 : 12 + (small[12] + 1) * 4])
    header[header.index(b"\x21\x01") + 2] = 39  # 3 GiB
    header[-4:] = struct.pack("<L", zlib.crc32(bytes(header[:-4])))
    return small[:12] + bytes(header) + small[12 + len(header) :]


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "outside": (lambda: tar(("../../evil.xml", b"x")), "would leave"),
    "absolute": (lambda: tar(("/etc/passwd", b"x")), "its name is absolute"),
    "backslash": (lambda: tar(("a\\b.xml", b"x")), "a backslash"),
    "symbolic link": (lambda: tar((_member("link", tarfile.SYMTYPE, "/etc/passwd"), b"")), "'link' .*: it is a link"),
    "hard link": (lambda: tar((_member("link", tarfile.LNKTYPE, "/etc/passwd"), b"")), "'link' .*: it is a link"),
    "through a link": (
        lambda: tar((_member("etc", tarfile.SYMTYPE, "/etc"), b""), ("etc/passwd", b"x")),
        "'etc' .*: it is a link",
    ),
    "device": (lambda: tar((_member("null", tarfile.CHRTYPE), b"")), "it is neither a file nor a folder"),
    "pipe": (lambda: tar((_member("pipe", tarfile.FIFOTYPE), b"")), "it is neither a file nor a folder"),
    "unknown": (lambda: tar((_member("a.xml", b"Z"), b"x")), "it is neither a file nor a folder"),
    "twice": (lambda: tar(("a.xml", b"1"), ("./a.xml", b"2")), "another entry has the same name"),
    "file and folder": (lambda: tar(("a", b"1"), ("a/b", b"2")), "other entries use it as a folder"),
    "sparse": (_sparse, "it is a sparse file"),
    "bomb": (lambda: tar(("a.xml", b"\0" * (_entries.ALWAYS_FINE + 1)), mode="w:gz"), "more than 200 times its size"),
    "bomb of xz": (lambda: tar(("a.xml", b"\0" * (_entries.ALWAYS_FINE + 1)), mode="w:xz"), "more than 200 times"),
    "bomb behind the end": (
        lambda: gzip.compress(tar(("a.xml", b"<a/>")) + b"\0" * 40_000_000, 1),
        "it unpacks to more than its entries take",
    ),
    "larger than it says": (
        lambda: _with_header(tar(("a", b"x")), 0, 124, b"\x80\0\0\0" + struct.pack(">Q", 1 << 50)),
        "bytes, and 10,737,418,240",
    ),
    "negative": (_negative, "not a tar archive|headers of an entry"),
    "huge name": (_huge_name, "headers of an entry in it have more than 262,144 bytes"),
    "headers without end": (_headers_without_end, "headers of an entry in it have more than 262,144 bytes"),
    "damaged header": (_damaged_header, r"it is damaged, or ends after entry 'docs/029\.xml' before its end"),
    "damaged checksum": (_damaged_sum, "it is packed by gzip, and what is in it is not a tar archive, or only a part"),
    "cut": (lambda: tar(*FILES.items())[:20_000], "only a part of one|before its end"),
    "cut between two": (lambda: tar(("a.xml", b"<a/>"), ("b.xml", b"<b/>"))[:1024], "before its end: upload it again"),
    "cut while packed": (lambda: tar(*FILES.items(), mode="w:gz")[:-30], "only a part of one"),
    "cut while packed by xz": (lambda: tar(*FILES.items(), mode="w:xz")[:-30], "only a part of one"),
    "no archive": (
        lambda: gzip.compress(b"<html>" * 1000),
        "it is packed by gzip, and what is in it is not a tar archive",
    ),
    "greedy": (_greedy, "it is packed by xz, and what is in it is not"),
    "nothing": (lambda: tar(mode="w:gz"), "there is no file in it"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_told_and_nothing_of_it_is_unpacked(place: Place, name: str) -> None:
    make, event = HOSTILE[name]
    archive = make()
    place.upload("in.tar", archive)
    outcome = place.run(unzip, path="in.tar")
    assert outcome.status is Status.FAILED
    assert outcome.message.startswith("Nothing was unpacked from /in.tar, and it is still there")
    lines = place.lines()
    assert any(re.search(event, line) for line in lines), lines
    assert place.files(place.zone_path) == {"kept.xml": b"<kept/>", "in.tar": archive}
    assert not place.hidden()


def test_too_many_entries_are_not_listed_to_the_end(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_entries, "MOST_ENTRIES", 50)
    place.upload("in.tar", tar(*FILES.items()))
    assert place.run(unzip, path="in.tar").status is Status.FAILED
    assert "it has more than 50 files and folders" in place.lines()[0]
    monkeypatch.undo()
    monkeypatch.setattr(_entries, "MOST_LISTED", 300)
    assert place.run(unzip, path="in.tar").status is Status.FAILED
    assert "its list of names is too long" in place.lines()[0]


def test_headers_for_all_entries_do_not_fill_the_memory(place: Place) -> None:
    many = {f"key.{number:05}": "v" for number in range(3_000)}
    place.upload("in.tar", tar(*FILES.items(), mode="w:gz", format=tarfile.PAX_FORMAT, pax_headers=many))
    assert place.run(unzip, path="in.tar").status is Status.COMPLETED, place.lines()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"7z\xbc\xaf\x27\x1c" + b"\0" * 100, "a 7z archive"),
        (b"Rar!\x1a\x07\x01\x00" + b"\0" * 100, "a RAR archive"),
        (b"\x28\xb5\x2f\xfd" + b"\0" * 100, "a file packed by Zstandard"),
        (b"MSCF" + b"\0" * 100, "a cabinet file"),
        (b"%PDF-1.7", "a PDF document"),
    ],
)
def test_other_archives_get_a_sentence_of_their_own(place: Place, content: bytes, kind: str) -> None:
    place.upload("in.zip", content)
    assert place.run(unzip, path="in.zip").status is Status.FAILED
    supported = "only zip, tar, tar.gz, tar.bz2 and tar.xz are unpacked: pack it as one of these"
    assert place.lines() == [f"/in.zip cannot be unpacked: it is {kind}, and {supported}."]


def test_the_content_counts_and_not_the_name(place: Place) -> None:
    place.upload("in.zip", tar(("a.xml", b"<a/>"), mode="w:gz"))
    assert place.run(unzip, path="in.zip").status is Status.COMPLETED
