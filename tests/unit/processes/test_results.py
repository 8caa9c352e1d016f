"""Claims about the files that threads make: their names, and that they are whole or not there."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from psthreads.documents.folders.results import ResultFolder
from psthreads.documents.layout import Documents
from psthreads.documents.result_files import MAX_FILENAME, owner, public_name
from psthreads.domain.errors import NotFound, UnsafePath
from psthreads.processes.validate import validate
from tests.support import group_of_documents
from tests.support.full_disk import full_after
from tests.support.group_of_documents import GroupOfDocuments

SECRET = b"outside the group's folder"
THREAD, OTHER = "a" * 31 + "1", "b" * 31 + "2"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "documents"


@pytest.fixture
def results(root: Path) -> ResultFolder:
    return Documents(root).results(7)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.xml").write_bytes(SECRET)
    return outside


def names(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


def test_a_result_is_there_only_once_it_is_whole(results: ResultFolder, root: Path) -> None:
    with results.write("a.zip") as file:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("a.txt", "text")
        with pytest.raises(NotFound):
            results.open("a.zip")
        assert [name for name in names(root / "results" / "7") if not name.startswith(".")] == []
    with results.open("a.zip") as whole, zipfile.ZipFile(whole) as archive:
        assert archive.read("a.txt") == b"text"
    assert names(root / "results" / "7") == ["a.zip"]
    assert stat.S_IMODE((root / "results/7/a.zip").stat().st_mode) & 0o007 == 0


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_result_whose_block_ends_badly_leaves_nothing(
    results: ResultFolder, root: Path, error: type[BaseException]
) -> None:
    with results.write("a.zip") as file:
        file.write(b"old")

    def fail() -> None:
        with results.write("a.zip") as file:
            file.write(b"new")
            raise error

    with pytest.raises(error):
        fail()
    with results.open("a.zip") as kept:
        assert kept.read() == b"old"
    assert names(root / "results" / "7") == ["a.zip"]


@pytest.mark.parametrize(
    "filename",
    ["", ".", "..", ".hidden", "a/b", "/a", "a\\b", "a\nb", "a\0", "\ud800", "é" * MAX_FILENAME, "x" * 201],
)
def test_a_result_has_a_plain_name(results: ResultFolder, filename: str) -> None:
    with pytest.raises(UnsafePath) as refused:
        results.write(filename)
    assert refused.value.name == "filename"
    with pytest.raises(UnsafePath):
        results.open(filename)


def test_results_of_threads_of_no_group_have_a_folder_of_their_own(root: Path) -> None:
    with Documents(root).results(-1).write("all.zip"):
        pass
    assert (root / "results" / "server" / "all.zip").exists()


def test_a_result_that_is_a_link_or_a_folder_or_absent_is_not_given(
    results: ResultFolder, root: Path, secret: Path
) -> None:
    with pytest.raises(NotFound):
        results.open("a.zip")
    below = root / "results" / "7"
    below.mkdir(parents=True)
    (below / "link.zip").symlink_to(secret / "secret.xml")
    (below / "folder.zip").mkdir()
    with pytest.raises(UnsafePath):
        results.open("link.zip")
    with pytest.raises(NotFound):
        results.open("folder.zip")


@pytest.mark.parametrize(
    ("filename", "public"),
    [
        ("report.html", f"report-{THREAD}.html"),
        ("report", f"report-{THREAD}"),
        ("all.tar.gz", f"all.tar-{THREAD}.gz"),
        (f"acme-export-{THREAD}.zip", f"acme-export-{THREAD}.zip"),
        (f"{THREAD}.zip", f"{THREAD}.zip"),
        (f"{OTHER}.zip", f"{OTHER}-{THREAD}.zip"),
        (f"{THREAD}-{OTHER}.zip", f"{THREAD}-{OTHER}-{THREAD}.zip"),
        (f"a.{OTHER}", f"a.{OTHER}-{THREAD}"),
        (f"{THREAD}{THREAD}.zip", f"{THREAD}{THREAD}-{THREAD}.zip"),
        (f"{THREAD.upper()}.zip", f"{THREAD.upper()}-{THREAD}.zip"),
    ],
)
def test_a_results_public_name_shows_whose_it_is_whatever_it_was_named(filename: str, public: str) -> None:
    assert public_name(filename, THREAD) == public
    assert owner(public) == THREAD
    assert public_name(public, THREAD) == public


@pytest.mark.parametrize("filename", ["", "report.html", "0" * 33, f"{THREAD}0", "g" * 32])
def test_a_name_without_a_threads_id_belongs_to_none(filename: str) -> None:
    assert owner(filename) is None


def test_the_file_of_a_context_knows_the_name_that_it_will_have(root: Path) -> None:
    group = GroupOfDocuments(root, validate)
    context = group.context()
    with context.result("words.txt") as file:
        file.write(b"words")
        assert file.filename == f"words-{group_of_documents.THREAD}.txt"
    assert names(group.results) == [file.filename]


def test_a_result_that_was_only_begun_goes_with_what_is_cleaned_up(root: Path) -> None:
    # An interrupt may come in the very moment in which the block is entered.
    group = GroupOfDocuments(root, validate)
    context = group.context()
    context.result("words.txt").__enter__().write(b"words")
    assert len(names(group.results)) == 1
    context.clean_up()
    assert names(group.results) == []


def test_a_whole_result_is_not_removed_by_what_is_cleaned_up(root: Path) -> None:
    group = GroupOfDocuments(root, validate)
    context = group.context()
    with context.result("words.txt"):
        pass
    context.clean_up()
    assert len(names(group.results)) == 1


def test_a_full_disk_leaves_no_result(results: ResultFolder, root: Path) -> None:
    with pytest.raises(OSError, match="No space left"), full_after(10), results.write("a.zip") as file:
        file.write(b"x" * 20)
    assert names(root / "results" / "7") == []
