"""Claims about walks of a group's folder: what they give, what they leave out, and what they hold."""

from __future__ import annotations

import os
import resource
import socket
import threading
import tracemalloc
from itertools import islice
from pathlib import Path

import pytest

from psthreads.documents.layout import Document, GroupFolder
from psthreads.domain.errors import DocumentNotFound, UnsafePath
from tests.support.backends import in_both
from tests.support.group_folder import SECRET, names, paths, read


def test_a_walk_goes_depth_first_in_sorted_order(folder: GroupFolder) -> None:
    folder.write("documents/b.psml", b"")
    folder.write("a", b"")
    assert paths(folder) == [
        "/a",
        "/documents/a.psml",
        "/documents/b/c.psml",
        "/documents/b.psml",
        "/readme.txt",
    ]
    assert folder.count() == 5
    assert folder.count("documents", lambda name: name.startswith("b")) == 1


def test_a_walk_of_a_single_document_gives_it(folder: GroupFolder, inside: Path) -> None:
    os.utime(inside / "readme.txt", ns=(0, 1_652_667_241_924_000_000))
    assert list(folder.walk("/readme.txt")) == [Document("/readme.txt", 7, 1_652_667_241_924)]
    assert folder.count("readme.txt") == 1


def test_links_pipes_and_sockets_are_never_followed_and_a_walk_tells_of_them(
    folder: GroupFolder, inside: Path, secret: Path
) -> None:
    (inside / "link.xml").symlink_to(secret / "secret.xml")
    (inside / "folder").symlink_to(secret)
    (inside / "here.xml").symlink_to(inside / "readme.txt")
    (inside / "dangling").symlink_to(inside / "nowhere")
    os.mkfifo(inside / "pipe.xml")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(inside)  # The path of a socket is at most 108 bytes long.
        try:
            listener.bind("socket.xml")
        finally:
            os.chdir(here)
    odd = ["link.xml", "folder", "here.xml", "dangling", "pipe.xml", "socket.xml"]
    for name in [*odd, "folder/secret.xml"]:
        with pytest.raises(UnsafePath):
            folder.resolve(name)
        with pytest.raises(UnsafePath):
            folder.open(name)
        with pytest.raises(UnsafePath):
            paths(folder, name)
    skipped: dict[str, str] = {}
    found = [document.path for document in folder.walk("", skipped.__setitem__)]
    assert found == ["/documents/a.psml", "/documents/b/c.psml", "/readme.txt"]
    assert set(skipped) == {f"/{name}" for name in odd}
    assert "symbolic link" in skipped["/folder"]
    assert folder.count() == 3


def test_a_walk_leaves_out_names_that_no_path_can_hold(folder: GroupFolder, inside: Path) -> None:
    for name in (b"new\nline.xml", b"back\\slash.xml", b"latin-\xe9.xml"):
        Path(os.fsdecode(os.fsencode(inside) + b"/" + name)).write_bytes(b"<a/>")
    skipped: list[str] = []
    found = [document.path for document in folder.walk("", lambda path, _: skipped.append(path))]
    assert len(found) == 3
    assert len(skipped) == 3
    "".join(skipped).encode()  # what was not UTF-8 is replaced


def test_a_document_that_becomes_a_link_during_a_walk_is_not_followed(
    folder: GroupFolder, inside: Path, secret: Path
) -> None:
    for document in folder.walk("documents/a.psml"):
        (inside / "documents/a.psml").unlink()
        (inside / "documents/a.psml").symlink_to(secret / "secret.xml")
        with pytest.raises(UnsafePath):
            folder.open(document.path)
        with pytest.raises(UnsafePath):
            folder.read(document.path, 100)


def test_a_folder_that_becomes_a_link_during_a_walk_is_not_entered(
    folder: GroupFolder, inside: Path, secret: Path
) -> None:
    skipped: list[str] = []
    walk = folder.walk("documents", lambda path, _: skipped.append(path))
    assert next(walk).path == "/documents/a.psml"
    (inside / "documents/b").rename(inside / "moved")
    (inside / "documents/b").symlink_to(secret)
    assert list(walk) == []
    assert skipped == ["/documents/b"]


def test_a_document_that_goes_during_a_walk_is_told(folder: GroupFolder, inside: Path) -> None:
    folder.write("documents/z.psml", b"")
    skipped: list[str] = []
    walk = folder.walk("documents", lambda path, _: skipped.append(path))
    next(walk)
    (inside / "documents/z.psml").unlink()
    assert [document.path for document in walk] == ["/documents/b/c.psml"]
    assert skipped == ["/documents/z.psml"]


def test_a_race_between_look_and_use_gains_nothing(folder: GroupFolder, inside: Path, secret: Path) -> None:
    folder.write("race/secret.xml", b"inside")
    (inside / "link").symlink_to(secret)
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            (inside / "race").rename(inside / "kept")
            (inside / "link").rename(inside / "race")
            (inside / "race").rename(inside / "link")
            (inside / "kept").rename(inside / "race")

    swapper = threading.Thread(target=swap)
    swapper.start()
    seen: set[bytes] = set()
    refused = 0
    try:
        for _ in range(3_000):
            try:
                folder.resolve("race/secret.xml")
                seen.add(read(folder, "race/secret.xml"))
                seen.update(read(folder, document.path) for document in folder.walk("race"))
            except (UnsafePath, DocumentNotFound):
                refused += 1
    finally:
        done.set()
        swapper.join()
    assert SECRET not in seen
    assert refused


def test_a_tree_deeper_than_the_recursion_limit_is_walked_with_few_descriptors(
    folder: GroupFolder, inside: Path
) -> None:
    deep, way = inside / "deep", []
    for _ in range(1_200):
        deep.mkdir()
        way.append(deep)
        deep /= "d"
    (way[-1] / "z.xml").write_bytes(b"<a/>")
    (way[600] / "z.xml").write_bytes(b"<a/>")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(names(Path("/dev/fd"))) + 16, hard))
    try:
        assert folder.count("deep") == 2
        found = paths(folder, "deep")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        # pytest's own clean-up is recursive.
        (way[-1] / "z.xml").unlink()
        (way[600] / "z.xml").unlink()
        for each in reversed(way):
            each.rmdir()
    assert [path.count("/d") for path in found] == [1 + 1_199, 1 + 600]


def test_folders_beyond_the_longest_path_are_told_and_left_out(folder: GroupFolder) -> None:
    fd = os.open(folder._root, os.O_RDONLY)
    name = "n" * 250
    for _ in range(20):
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    skipped: list[str] = []
    assert len(list(folder.walk("", lambda _, reason: skipped.append(reason)))) == 3
    assert skipped == ["its path is longer than 4,096 characters"]


def test_ten_thousand_documents_are_walked_folder_by_folder(folder: GroupFolder, inside: Path) -> None:
    for part in range(100):
        below = inside / "many" / f"{part:03}"
        below.mkdir(parents=True)
        for number in range(100):
            (below / f"{number:03}.xml").touch()
    assert folder.count("many") == 10_000
    tracemalloc.start()
    try:
        assert sum(1 for _ in folder.walk("many")) == 10_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 300_000
    assert [document.path for document in islice(folder.walk("many"), 2)] == [
        "/many/000/000.xml",
        "/many/000/001.xml",
    ]


@in_both("folder")
def test_a_walk_that_is_given_up_leaves_no_descriptor_open(folder: GroupFolder) -> None:
    before = len(names(Path("/dev/fd")))
    for _ in range(50):
        next(folder.walk())
    for _ in range(50):
        with pytest.raises(DocumentNotFound):
            folder.open("documents")
    assert len(names(Path("/dev/fd"))) < before + 10  # the client of a store keeps a few connections
