"""Claims about the documents on disk: what a path may be, and that nothing leads outside."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from psthreads.documents.layout import Documents, GroupFolder
from psthreads.domain.access import Group
from psthreads.domain.errors import Conflict, DocumentNotFound, UnsafePath
from psthreads.system.syncing import sync_all
from tests.support.backends import in_both
from tests.support.group_folder import SECRET, names, paths, read


def write(folder: GroupFolder, path: str) -> None:
    folder.write(path, b"<a/>")


def test_making_the_folders_objects_touches_no_disk(root: Path) -> None:
    documents = Documents(root)
    documents.group(Group(1, "one"))
    documents.results(1)
    assert not root.exists()


def test_scratch_is_made_when_it_is_asked_for(root: Path) -> None:
    assert Documents(root).scratch.is_dir()


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("", "/"),
        ("/", "/"),
        ("documents", "/documents"),
        ("/documents/", "/documents"),
        ("documents/a.psml", "/documents/a.psml"),
        ("//documents/./b//c.psml", "/documents/b/c.psml"),
    ],
)
@in_both("folder")
def test_a_path_has_one_normal_form(folder: GroupFolder, path: str, normal: str) -> None:
    assert folder.resolve(path) == normal


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "../8/a.psml",
        "documents/../../8",
        "documents/..",
        "/../../../etc/passwd",
        "documents\\..\\..\\a",
        "a\0b",
        "a\nb",
        "a\x85b",
        "a\x7fb",
        "\udcff",
        "a/" * 2_500,
        ".psthreads-0123",
    ],
)
@in_both("folder")
def test_a_path_that_could_lead_outside_is_unsafe_for_every_method(folder: GroupFolder, path: str) -> None:
    for method in (folder.resolve, folder.open, partial(paths, folder), folder.count, partial(write, folder)):
        with pytest.raises(UnsafePath) as refused:
            method(path)
        assert refused.value.name == "path"
        assert refused.value.message.isprintable()


@pytest.mark.parametrize(
    "path",
    ["%2e%2e/%2e%2e/etc/passwd", "..%2f8", "/etc/passwd", "nope", "readme.txt/nope", "n" * 300, "…/a"],
)
@in_both("folder")
def test_an_encoded_or_absolute_path_is_a_name_like_any_other_and_not_found(folder: GroupFolder, path: str) -> None:
    for method in (folder.resolve, folder.open, partial(paths, folder), folder.count):
        with pytest.raises(DocumentNotFound):
            method(path)


@in_both("folder")
def test_the_error_for_a_long_path_is_short(folder: GroupFolder) -> None:
    with pytest.raises(UnsafePath) as refused:
        folder.resolve("x" * 1_000_000)
    assert len(refused.value.message) < 300


@in_both("folder")
def test_a_folder_is_no_document(folder: GroupFolder) -> None:
    for path in ("", "/", "documents"):
        with pytest.raises(DocumentNotFound):
            folder.open(path)
        with pytest.raises(DocumentNotFound):
            folder.read(path, 10)


@in_both("folder")
def test_read_gives_no_more_than_it_is_asked_for(folder: GroupFolder) -> None:
    assert folder.read("readme.txt", 4) == b"read"
    assert folder.read("readme.txt", 400) == b"read me"


def test_a_group_without_a_folder_is_empty(root: Path) -> None:
    empty = Documents(root).group(Group(8, "new"))
    assert empty.resolve("") == "/"
    assert paths(empty) == []
    with pytest.raises(DocumentNotFound):
        empty.resolve("a")
    empty.create()
    empty.create()
    assert paths(empty) == []


def test_a_document_is_written_whole_and_replaces_another(folder: GroupFolder, inside: Path) -> None:
    folder.write("new/below/a.psml", b"one")
    folder.write("new/below/a.psml", b"two")
    assert read(folder, "new/below/a.psml") == b"two"
    assert names(inside / "new/below") == ["a.psml"]
    for path in ("documents", "", "/"):
        with pytest.raises(Conflict):
            folder.write(path, b"")
    assert not [name for name in names(inside) if name.startswith(".")]


def test_a_document_is_never_written_through_a_link(folder: GroupFolder, inside: Path, secret: Path) -> None:
    (inside / "out").symlink_to(secret)
    (inside / "file.xml").symlink_to(secret / "secret.xml")
    with pytest.raises(UnsafePath):
        folder.write("out/secret.xml", b"overwritten")
    folder.write("file.xml", b"mine")  # The link is replaced, not what it names.
    assert (secret / "secret.xml").read_bytes() == SECRET
    assert read(folder, "file.xml") == b"mine"


@in_both("folder")
def test_the_groups_own_folder_is_neither_moved_nor_replaced(folder: GroupFolder) -> None:
    with pytest.raises(DocumentNotFound):
        folder.move("/", "/documents/a")
    with pytest.raises(Conflict, match="not a document"):
        folder.move("/readme.txt", "//")
    assert read(folder, "readme.txt") == b"read me"


def test_what_was_put_into_a_folder_can_be_waited_for(folder: GroupFolder, tmp_path: Path) -> None:
    folder.sync()
    with pytest.raises(OSError, match="Bad file descriptor"):
        sync_all(-1)
    with pytest.raises(FileNotFoundError):
        Documents(tmp_path / "nowhere").group(Group(8, "none")).sync()
