"""Claims about the documents on disk: what a path may be, and that nothing leads outside."""

from __future__ import annotations

import os
import resource
import socket
import stat
import threading
import tracemalloc
import zipfile
from functools import partial
from itertools import islice
from pathlib import Path

import pytest

from psthreads.access import Group
from psthreads.documents import MAX_FILENAME, Document, Documents, GroupFolder, ResultFolder
from psthreads.errors import Conflict, DocumentNotFound, NotFound, UnsafePath

SECRET = b"outside the group's folder"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "documents"


@pytest.fixture
def inside(root: Path) -> Path:
    return root / "groups" / "7"


@pytest.fixture
def folder(root: Path) -> GroupFolder:
    made = Documents(root).group(Group(7, "acme"))
    made.write("documents/a.psml", b"<a/>")
    made.write("documents/b/c.psml", b"<c/>")
    made.write("readme.txt", b"read me")
    return made


@pytest.fixture
def results(root: Path) -> ResultFolder:
    return Documents(root).results(7)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.xml").write_bytes(SECRET)
    return outside


def read(folder: GroupFolder, path: str) -> bytes:
    with folder.open(path) as file:
        return file.read()


def names(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


def paths(folder: GroupFolder, path: str = "") -> list[str]:
    return [document.path for document in folder.walk(path)]


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
def test_an_encoded_or_absolute_path_is_a_name_like_any_other_and_not_found(folder: GroupFolder, path: str) -> None:
    for method in (folder.resolve, folder.open, partial(paths, folder), folder.count):
        with pytest.raises(DocumentNotFound):
            method(path)


def test_the_error_for_a_long_path_is_short(folder: GroupFolder) -> None:
    with pytest.raises(UnsafePath) as refused:
        folder.resolve("x" * 1_000_000)
    assert len(refused.value.message) < 300


def test_a_folder_is_no_document(folder: GroupFolder) -> None:
    for path in ("", "/", "documents"):
        with pytest.raises(DocumentNotFound):
            folder.open(path)
        with pytest.raises(DocumentNotFound):
            folder.read(path, 10)


def test_read_gives_no_more_than_it_is_asked_for(folder: GroupFolder) -> None:
    assert folder.read("readme.txt", 4) == b"read"
    assert folder.read("readme.txt", 400) == b"read me"


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


def test_a_group_without_a_folder_is_empty(root: Path) -> None:
    empty = Documents(root).group(Group(8, "new"))
    assert empty.resolve("") == "/"
    assert paths(empty) == []
    with pytest.raises(DocumentNotFound):
        empty.resolve("a")
    empty.create()
    empty.create()
    assert paths(empty) == []


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


def test_a_walk_that_is_given_up_leaves_no_descriptor_open(folder: GroupFolder) -> None:
    before = len(names(Path("/dev/fd")))
    for _ in range(50):
        next(folder.walk())
    for _ in range(50):
        with pytest.raises(DocumentNotFound):
            folder.open("documents")
    assert len(names(Path("/dev/fd"))) == before


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
