"""Claims about the move process: where things go, what is never overwritten, and one place for each document."""

from __future__ import annotations

import os

import pytest

from psthreads.domain.access import Role
from psthreads.domain.errors import BadParameter, Conflict, DocumentNotFound, MissingParameter, UnsafePath
from psthreads.domain.model import Status
from psthreads.processes.move import move
from tests.support.backends import in_both
from tests.support.group_of_documents import GroupOfDocuments
from tests.support.moving import group, refused

__all__ = ["group"]


# What clients know.


@in_both("group")
def test_it_speaks_as_the_clients_know_it(group: GroupOfDocuments) -> None:
    group.write({"documents/a.psml": "a", "documents/b/c.psml": "c", "archive/x.psml": "x"})
    group.check(path="/documents", destination="/archive")
    outcome = group.run(path="/documents", destination="/archive")
    assert outcome.status is Status.COMPLETED
    assert outcome.message == "Successfully moved 4 files/folders"
    assert group.reporter.lines() == [
        "From /documents to /archive/documents",
        "Finding URIs",
        "Moving /documents/a.psml",
        "Moving /documents/b/c.psml",
        "Moving /documents/b",
        "Moving /documents",
    ]
    assert group.reporter.xml == '<progress total="4" current="4"/>'
    assert group.contents() == {
        "archive/x.psml": b"x",
        "archive/documents/a.psml": b"a",
        "archive/documents/b/c.psml": b"c",
    }
    assert not (group.inside / "documents").exists()


def test_it_is_exclusive_and_for_contributors() -> None:
    assert move.exclusive
    assert move.role is Role.CONTRIBUTOR
    assert move.title == "Moving thread for group {group}"


@pytest.mark.parametrize(
    ("path", "destination", "new"),
    [
        ("/documents/a.psml", "/archive", "archive/a.psml"),
        ("/documents/a.psml", "/archive/", "archive/a.psml"),
        ("documents//a.psml", "archive/b.psml", "archive/b.psml"),
        ("/documents/a.psml", "/new/deep/b.psml", "new/deep/b.psml"),
        ("/documents/a.psml", "/new/deep/", "new/deep/a.psml"),
        ("/documents/a.psml", "/", "a.psml"),
        ("/documents/a.psml", "/documents/A b ä 日.psml", "documents/A b ä 日.psml"),
        ("/documents", "/archive", "archive/documents/a.psml"),
        ("/documents", "/new/name", "new/name/a.psml"),
        ("/documents", "/new/name/", "new/name/documents/a.psml"),
    ],
)
@in_both("group")
def test_where_it_goes(group: GroupOfDocuments, path: str, destination: str, new: str) -> None:
    group.write({"documents/a.psml": "a", "archive/x.psml": "x"})
    group.check(path=path, destination=destination)
    assert group.run(path=path, destination=destination).status is Status.COMPLETED
    assert group.contents() == {new: b"a", "archive/x.psml": b"x"}


def test_empty_folders_move_too(group: GroupOfDocuments) -> None:
    (group.inside / "documents" / "empty" / "deeper").mkdir(parents=True)
    assert group.run(path="/documents", destination="/moved").message == "Successfully moved 3 files/folders"
    assert (group.inside / "moved" / "empty" / "deeper").is_dir()
    assert not (group.inside / "documents").exists()


def test_names_times_and_the_file_itself_stay(group: GroupOfDocuments) -> None:
    group.write({"documents/日本 ä.psml": "a"})
    before = (group.inside / "documents" / "日本 ä.psml").stat()
    group.run(path="/documents", destination="/moved")
    after = (group.inside / "moved" / "日本 ä.psml").stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_mode) == (before.st_ino, before.st_mtime_ns, before.st_mode)


@in_both("group")
def test_a_folder_meets_one_of_its_own_name_and_they_become_one(group: GroupOfDocuments) -> None:
    group.write({"documents/b/a.psml": "a", "archive/documents/b/x.psml": "x"})
    group.check(path="/documents", destination="/archive")
    assert group.run(path="/documents", destination="/archive").status is Status.COMPLETED
    assert group.contents() == {"archive/documents/b/a.psml": b"a", "archive/documents/b/x.psml": b"x"}


@in_both("group")
def test_merge_puts_what_is_in_a_folder_into_the_destination_itself(group: GroupOfDocuments) -> None:
    group.write({"documents/b/a.psml": "a", "archive/b/x.psml": "x"})
    group.check(path="/documents", destination="/archive", merge="true")
    group.run(path="/documents", destination="/archive", merge="true")
    assert group.contents() == {"archive/b/a.psml": b"a", "archive/b/x.psml": b"x"}
    assert not (group.inside / "documents").exists()


# What is refused before anything starts.


@in_both("group")
def test_what_is_not_there_or_is_no_path_is_refused(group: GroupOfDocuments) -> None:
    group.write({"documents/a.psml": "a"})
    assert "'/nope'" in refused(group, DocumentNotFound, "/nope", "/archive")
    assert "own folder" in refused(group, BadParameter, "/", "/archive")
    refused(group, UnsafePath, "/documents/../../x", "/archive")
    for destination in ("/../x", "/a\\b", "/.psthreads-x"):
        with pytest.raises(UnsafePath) as caught:
            group.check(path="/documents", destination=destination)
        assert caught.value.name == "destination"
    assert "too long" in refused(group, BadParameter, "/documents", "/" + "ä" * 128)
    with pytest.raises(MissingParameter):
        group.check(path="/documents")
    assert "at least 1" in refused(group, BadParameter, "/documents", "")


@in_both("group")
def test_the_same_place_and_a_place_inside_itself_are_refused(group: GroupOfDocuments) -> None:
    group.write({"documents/b/a.psml": "a"})
    assert "is there already" in refused(group, BadParameter, "/documents/b/a.psml", "/documents/b")
    assert "is there already" in refused(group, BadParameter, "/documents/b/a.psml", "/documents/b/a.psml")
    assert "is there already" in refused(group, BadParameter, "/documents/b", "/documents")
    assert "in the folder that is moved" in refused(group, BadParameter, "/documents", "/documents/b")
    assert "in the folder that is moved" in refused(group, BadParameter, "/documents", "/documents/new/deep")
    assert "in the folder that is moved" in refused(group, BadParameter, "/documents", "/documents")
    assert "is there already" in refused(group, BadParameter, "/documents", "/documents", merge="true")


def test_a_document_or_a_link_in_the_way_is_refused_and_named(group: GroupOfDocuments) -> None:
    group.write({"documents/a.psml": "a", "archive/a.psml": "old", "archive/documents": "a document"})
    (group.inside / "link").symlink_to("/etc")
    assert "'/archive/a.psml'" in refused(group, Conflict, "/documents/a.psml", "/archive")
    assert "'/archive/a.psml'" in refused(group, Conflict, "/documents/a.psml", "/archive/a.psml")
    assert "'/archive/documents'" in refused(group, Conflict, "/documents", "/archive")
    assert "'/archive/a.psml'" in refused(group, Conflict, "/documents", "/archive/a.psml/below")
    assert "a link" in refused(group, Conflict, "/documents", "/link")
    assert "'/link' is a link" in refused(group, Conflict, "/documents", "/link/below")
    refused(group, UnsafePath, "/link", "/archive")


def test_everything_that_is_in_the_way_is_looked_for_before_anything_moves(group: GroupOfDocuments) -> None:
    group.write({f"documents/b/{number}.psml": "new" for number in range(9)})
    group.write({f"archive/documents/b/{number}.psml": "old" for number in range(1, 9)})
    (group.inside / "documents" / "c").mkdir()
    group.write({"archive/documents/c": "a document where a folder would be"})
    before = group.contents()
    outcome = group.run(path="/documents", destination="/archive")
    assert outcome.status is Status.FAILED
    assert "'/archive/documents/b/1.psml'" in outcome.message
    assert "and 4 more exist already" in outcome.message
    assert group.contents() == before
    assert "Moving" not in " ".join(group.reporter.lines())


def test_a_new_path_that_nobody_could_name_any_more_is_refused(group: GroupOfDocuments) -> None:
    deep = "/".join(["d" * 200] * 12)
    group.write({f"documents/{deep}/a.psml": "a"})
    fd = os.open(group.inside, os.O_RDONLY)
    for _ in range(12):
        os.mkdir("x" * 200, dir_fd=fd)
        fd, old = os.open("x" * 200, os.O_RDONLY, dir_fd=fd), fd
        os.close(old)
    os.close(fd)
    outcome = group.run(path="/documents", destination="/" + "/".join(["x" * 200] * 12))
    assert outcome.status is Status.FAILED
    assert "too long a path" in outcome.message
    assert (group.inside / "documents" / deep / "a.psml").read_text() == "a"
