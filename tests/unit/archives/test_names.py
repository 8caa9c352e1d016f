"""Claims about the names in archives: they come out as people typed them."""

from __future__ import annotations

import struct
import unicodedata
import zlib
from pathlib import Path

import pytest

from psthreads.domain.errors import BadParameter
from psthreads.domain.model import Level, Status
from psthreads.processes.archives.names import guess, is_clutter
from psthreads.processes.unzip import unzip
from tests.support.archives import entry, pack, tar, with_names
from tests.support.loading import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def _unzip(place: Place, archive: bytes, encoding: str = "guess") -> set[str]:
    place.upload("in.zip", archive)
    outcome = place.run(unzip, path="in.zip", encoding=encoding)
    assert outcome.status is Status.COMPLETED, place.lines()
    return set(place.files(place.zone_path))


def _unicode_path(raw: bytes, name: str, version: int = 1) -> bytes:
    field = struct.pack("<BL", version, zlib.crc32(raw)) + name.encode()
    return b"XX\2\0ab" + struct.pack("<HH", 0x7075, len(field)) + field


def test_the_field_unicode_path_counts_where_it_fits_the_name(place: Place) -> None:
    raw = b"b?cher.xml"
    assert _unzip(place, with_names(raw, extra=_unicode_path(raw, "bücher.xml"))) == {"bücher.xml"}
    place.zone.clear()
    # Renamed by a program that does not know the field, of another version, or no UTF-8.
    assert _unzip(place, with_names(raw, extra=_unicode_path(b"other", "bücher.xml"))) == {"b?cher.xml"}
    assert _unzip(place, with_names(raw, extra=_unicode_path(raw, "bücher.xml", version=2))) == {"b?cher.xml"}
    place.zone.clear()
    broken = _unicode_path(raw, "b\u00fccher.xml").replace(b"\xc3\xbc", b"\xff\xfe")
    assert _unzip(place, with_names(raw, extra=broken)) == {"b?cher.xml"}


def test_a_path_in_the_field_unicode_path_is_not_trusted_either(place: Place) -> None:
    raw = b"harmless.xml"
    place.upload("in.zip", with_names(raw, extra=_unicode_path(raw, "../../evil.xml")))
    assert place.run(unzip, path="in.zip").status is Status.FAILED
    assert "would leave the folder" in place.lines()[0]


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("cp437", "été.xml"),
        ("cp850", "Ação.xml"),
        ("cp866", "Отчёт.xml"),
        ("cp932", "表示/ソース表.xml"),
        ("cp936", "测试.xml"),
        ("gbk", "文档/说明.txt"),
        ("utf-8", "日本語.xml"),
    ],
)
def test_names_are_in_the_encoding_that_is_given_or_guessed(place: Place, encoding: str, name: str) -> None:
    archive = with_names(name.encode(encoding), b"plain.xml")
    assert _unzip(place, archive, encoding) == {name, "plain.xml"}
    assert not place.lines(Level.WARN)
    place.zone.clear()
    assert _unzip(place, archive) == {name, "plain.xml"}
    warnings = place.lines(Level.WARN)
    assert bool(warnings) is (encoding != "utf-8")
    for warning in warnings:
        assert warning.startswith("In /in.zip, names that do not say their encoding are read as ")
        assert f"such as '{name}'" in warning


def test_a_name_that_is_not_in_the_encoding_is_refused(place: Place) -> None:
    place.upload("in.zip", with_names("Отчёт.xml".encode("cp866")))
    assert place.run(unzip, path="in.zip", encoding="utf-8").status is Status.FAILED
    assert "its name is not in utf-8: unpack it with another encoding" in place.lines()[0]
    with pytest.raises(BadParameter):
        unzip.read({"path": "in.zip", "encoding": "klingon"})


def test_a_name_that_says_its_encoding_is_in_no_other(place: Place) -> None:
    assert _unzip(place, pack(("übersicht.xml", b"x")), "cp932") == {"übersicht.xml"}


def test_guesses_look_at_words() -> None:
    for encoding, names in {
        "cp932": ("日本語.xml", "テスト表.xml", "報告書2024.xml", "Excelファイル.xml", "議事録2024.xml"),
        "gbk": ("中文.xml", "新建文本文档.txt", "会议纪要2024.doc"),
        "cp866": ("Отчёт.xml", "Привет мир/файл.xml", "ДОГОВОР №5.xml"),
        "cp850": ("Gjøre.xml", "ÁRBOL.xml", "Ação/Não.txt"),
        "cp1252": ("Résumé été.xml", "Übersicht.xml", "Größe", "Ångström smörgås.xml", "ÉTÉ.xml"),
        "cp437": ("pâte.xml", "écran.xml", "über.xml", "Straße"),
        "utf-8": ("日本語.xml", "é", "ascii"),
    }.items():
        for name in names:
            assert guess([name.encode(encoding), b"ascii.xml"]) == encoding, name


def test_backslashes_separate_where_the_archive_comes_from_windows(place: Place) -> None:
    assert _unzip(place, with_names(b"docs\\b\\a.xml", b"c.xml", system=0)) == {"docs/b/a.xml", "c.xml"}
    for name, system, reason in (
        (b"docs\\a.xml", 3, "a backslash"),
        (b"docs/a\\b.xml", 0, "a backslash"),
        (b"..\\a.xml", 0, "would leave"),
        (b"C:\\a.xml", 0, "its name is absolute"),
        (b"\\\\host\\a.xml", 0, "its name is absolute"),
    ):
        place.upload("in.zip", with_names(name, system=system))
        assert place.run(unzip, path="in.zip").status is Status.FAILED
        assert reason in place.lines()[0]


def test_a_second_byte_that_looks_like_a_backslash_is_none(place: Place) -> None:
    name = "表.xml"
    assert b"\\" in name.encode("cp932")
    assert _unzip(place, with_names(name.encode("cp932"), system=0), "cp932") == {name}


def test_what_systems_keep_for_themselves_is_left_out_and_counted(place: Place) -> None:
    clutter = (
        "__MACOSX/._a.xml",
        "__MACOSX/docs/._b.xml",
        "docs/._b.xml",
        ".DS_Store",
        "docs/Thumbs.db",
        "desktop.ini",
    )
    documents = ("docs/b.xml", "thumbs.db.xml", ".hidden", "docs/__MACOSX.xml", "a._b")
    names = (*clutter, *documents)
    for name, archive in (
        ("in.zip", pack(*((name, b"x") for name in names))),
        ("in.tar", tar(*((name, b"x") for name in names))),
    ):
        place.upload(name, archive)
        outcome = place.run(unzip, path=name)
        assert outcome.message == "Successfully unzipped 5 files; 6 files of macOS or Windows left out"
        assert set(place.files(place.zone_path)) == set(documents)
        place.zone.clear()
    assert all(map(is_clutter, clutter))
    place.upload("in.zip", pack(("__MACOSX/._a.xml", b"x")))
    assert place.run(unzip, path="in.zip").status is Status.FAILED
    assert "there is no file in it" in place.lines()[0]


def test_what_is_left_out_is_not_trusted_either(place: Place) -> None:
    place.upload("in.zip", pack(("a.xml", b"x"), (entry("../._a.xml", 0), b"x")))
    assert place.run(unzip, path="in.zip").status is Status.COMPLETED
    assert set(place.files(place.root)) == {"loading/7/1/a.xml"}


def test_letters_that_macos_takes_apart_are_composed(place: Place) -> None:
    apart = unicodedata.normalize("NFD", "résumé/é.xml")
    assert _unzip(place, pack((apart, b"x"))) == {"résumé/é.xml"}
    place.upload("in.zip", pack((apart, b"1"), ("résumé/é.xml", b"2")))
    assert place.run(unzip, path="in.zip").status is Status.FAILED
    assert "another entry has the same name" in place.lines()[0]
