"""Claims about the move of documents once it is under way: what goes wrong, many at once, and stopped."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from psthreads.authoring.context import Cancelled
from psthreads.domain.errors import Conflict
from psthreads.domain.model import Level, Status
from psthreads.system.renaming import link_then_unlink, rename_to_new
from tests.support.backends import in_both
from tests.support.group_of_documents import GroupOfDocuments
from tests.support.moving import fill, group

__all__ = ["group"]


def test_a_document_that_appears_in_the_way_is_never_overwritten(group: GroupOfDocuments) -> None:
    fill(group, 20, each=20)
    context = group.context()
    say = context.message

    def message(text: str) -> None:
        say(text)
        if "00003" in text:
            (group.inside / "moved" / "000" / "00007.psml").write_text("somebody else's")

    context.message = message  # type: ignore[method-assign]
    outcome = group.run(context=context, path="/documents", destination="/moved")
    assert outcome.status is Status.FAILED
    assert outcome.message.startswith("Moved 19 of 22 files/folders")
    assert group.reporter.lines(Level.ERROR) == [
        "/documents/000/00007.psml was not moved: There is something at '/moved/000/00007.psml' already."
    ]
    contents = group.contents()
    assert contents.pop("moved/000/00007.psml") == b"somebody else's"
    assert contents.pop("documents/000/00007.psml") == b"<document id='7'/>"
    assert len(contents) == 19
    assert all(path.startswith("moved/") for path in contents)


def test_a_race_for_a_name_has_one_winner_and_no_loser(group: GroupOfDocuments) -> None:
    for number in range(200):
        group.write({f"a/{number}": "a", f"b/{number}": "b"})
    (group.inside / "to").mkdir()
    barrier = threading.Barrier(2)

    def race(source: str) -> None:
        folder = group.documents.group(group.folder.group)
        barrier.wait(60)
        for number in range(200):
            try:
                folder.move(f"/{source}/{number}", f"/to/{number}")
            except Conflict:
                continue

    racers = [threading.Thread(target=race, args=(source,)) for source in "ab"]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    contents = group.contents()
    assert len(contents) == 400
    for number in range(200):
        won = contents[f"to/{number}"].decode()
        assert f"{won}/{number}" not in contents
    assert sum(path.startswith("to/") for path in contents) == 200


@pytest.mark.parametrize("rename", [rename_to_new, link_then_unlink])
def test_neither_way_to_rename_replaces_anything(tmp_path: Path, rename: object) -> None:
    assert callable(rename)
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    fd = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(FileExistsError):
        rename(fd, "a", fd, "b")
    assert ((tmp_path / "a").read_text(), (tmp_path / "b").read_text()) == ("a", "b")
    rename(fd, "a", fd, "ä")
    with pytest.raises(FileNotFoundError):
        rename(fd, "a", fd, "c")
    os.close(fd)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "ä"]


def test_an_interrupt_in_the_midst_of_a_rename_in_two_steps_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("a")
    fd, unlink = os.open(tmp_path, os.O_RDONLY), os.unlink

    def interrupted(name: str, *, dir_fd: int) -> None:
        unlink(name, dir_fd=dir_fd)
        raise Cancelled

    monkeypatch.setattr(os, "unlink", interrupted)
    with pytest.raises(Cancelled):
        link_then_unlink(fd, "a", fd, "b")
    os.close(fd)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


@in_both("group")
def test_a_folder_can_become_one_with_the_groups_own(group: GroupOfDocuments) -> None:
    group.write({"documents/a.psml": "a", "documents/b/c.psml": "c", "b/x.psml": "x"})
    outcome = group.run(path="/documents", destination="/", merge="true")
    assert outcome.message == "Successfully moved 4 files/folders"
    assert sorted(group.contents()) == ["a.psml", "b/c.psml", "b/x.psml"]
    group.write({"more/a.psml": "new"})
    outcome = group.run(path="/more", destination="/", merge="true")
    assert outcome.message.startswith("Nothing was moved, because nothing is overwritten: '/a.psml' exists already")


def test_links_and_pipes_are_left_in_place_with_a_warning(group: GroupOfDocuments, tmp_path: Path) -> None:
    group.write({"documents/a.psml": "a", "documents/b/c.psml": "c"})
    (tmp_path / "secret").write_text("secret")
    (group.inside / "documents" / "b" / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(group.inside / "documents" / "b" / "pipe")
    outcome = group.run(path="/documents", destination="/moved")
    assert outcome.status is Status.COMPLETED
    assert outcome.message == "Successfully moved 2 files/folders; 2 were left in place"
    warned = [line for line in group.reporter.lines(Level.WARN) if "was left in place" in line]
    assert sorted(line.split()[0] for line in warned) == ["/documents/b/link", "/documents/b/pipe"]
    assert "Folder /documents/b stays, since it is not empty." in group.reporter.lines(Level.WARN)
    assert (group.inside / "documents" / "b" / "link").readlink() == tmp_path / "secret"
    assert sorted(group.contents()) == ["moved/a.psml", "moved/b/c.psml"]


def test_a_document_that_goes_meanwhile_is_a_warning(group: GroupOfDocuments) -> None:
    fill(group, 5)
    context = group.context()
    say = context.message

    def message(text: str) -> None:
        say(text)
        if "00001" in text:
            (group.inside / "documents" / "000" / "00003.psml").unlink()

    context.message = message  # type: ignore[method-assign]
    outcome = group.run(context=context, path="/documents", destination="/moved")
    assert outcome.status is Status.COMPLETED
    assert group.reporter.lines(Level.WARN) == ["/documents/000/00003.psml was not moved: it is gone."]
    assert len(group.contents()) == 4


@pytest.mark.parametrize(
    ("number", "said"), [(18, "on another disk"), (28, "No space left"), (13, "Permission denied")]
)
def test_what_the_file_system_refuses_is_an_error_of_that_document(
    group: GroupOfDocuments, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    def rename(from_folder: int, name: str, to_folder: int, new: str) -> None:
        if name == "00002.psml":
            raise OSError(number, os.strerror(number))
        rename_to_new(from_folder, name, to_folder, new)

    fill(group, 5)
    monkeypatch.setattr("psthreads.documents.folders.folder.rename_to_new", rename)
    outcome = group.run(path="/documents", destination="/moved")
    assert outcome.status is Status.FAILED
    (line,) = group.reporter.lines(Level.ERROR)
    assert line.startswith("/documents/000/00002.psml was not moved:")
    assert said in line
    assert sorted(group.contents()) == [
        "documents/000/00002.psml",
        *(f"moved/000/0000{number}.psml" for number in (0, 1, 3, 4)),
    ]


# Many, and stopped.


@in_both("group")
def test_a_cancelled_move_says_what_stands_where(group: GroupOfDocuments) -> None:
    fill(group, 400)
    context = group.context()
    say = context.message

    def message(text: str) -> None:
        say(text)
        if "00199" in text:
            os.kill(os.getpid(), 14)

    context.message = message  # type: ignore[method-assign]
    outcome = group.run(context=context, path="/documents", destination="/moved")
    assert outcome.status is Status.CANCELLED
    assert group.reporter.lines()[-1].startswith("Stopped with 203 of 409 files/folders moved.")
