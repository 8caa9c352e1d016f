"""Claims about the move process: where things go, what is never overwritten, and one place for each document."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from group_of_documents import GroupOfDocuments
from lxml import etree
from moments import DOCUMENTS, Moments, seconds_of
from people import People
from stack import worker
from threads import ended

from psthreads.access import Role
from psthreads.config import Config
from psthreads.context import Cancelled
from psthreads.documents import Documents
from psthreads.errors import BadParameter, Conflict, DocumentNotFound, MissingParameter, PsthreadsError, UnsafePath
from psthreads.model import Level, Status
from psthreads.processes.move import move
from psthreads.renaming import link_then_unlink, rename_to_new
from psthreads.store import ThreadStore
from psthreads.web import create_app


@pytest.fixture
def group(tmp_path: Path) -> GroupOfDocuments:
    return GroupOfDocuments(tmp_path / "root", move)


def fill(group: GroupOfDocuments, count: int, folder: str = "documents", each: int = 50) -> None:
    for number in range(count):
        path = group.inside / folder / f"{number // each:03}" / f"{number:05}.psml"
        if number % each == 0:
            path.parent.mkdir(parents=True)
        path.write_text(f"<document id='{number}'/>")


def refused(group: GroupOfDocuments, kind: type[PsthreadsError], path: str, destination: str, merge: str = "") -> str:
    """Why the start is refused; nothing may have changed."""
    before = group.contents()
    with pytest.raises(kind) as caught:
        group.check(path=path, destination=destination, merge=merge or "false")
    assert group.contents() == before
    return caught.value.message


# What clients know.


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


def test_a_folder_meets_one_of_its_own_name_and_they_become_one(group: GroupOfDocuments) -> None:
    group.write({"documents/b/a.psml": "a", "archive/documents/b/x.psml": "x"})
    group.check(path="/documents", destination="/archive")
    assert group.run(path="/documents", destination="/archive").status is Status.COMPLETED
    assert group.contents() == {"archive/documents/b/a.psml": b"a", "archive/documents/b/x.psml": b"x"}


def test_merge_puts_what_is_in_a_folder_into_the_destination_itself(group: GroupOfDocuments) -> None:
    group.write({"documents/b/a.psml": "a", "archive/b/x.psml": "x"})
    group.check(path="/documents", destination="/archive", merge="true")
    group.run(path="/documents", destination="/archive", merge="true")
    assert group.contents() == {"archive/b/a.psml": b"a", "archive/b/x.psml": b"x"}
    assert not (group.inside / "documents").exists()


# What is refused before anything starts.


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
    assert "and 4 more are there already" in outcome.message
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


# What goes wrong on the way.


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
        barrier.wait()
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


def test_a_folder_can_become_one_with_the_groups_own(group: GroupOfDocuments) -> None:
    group.write({"documents/a.psml": "a", "documents/b/c.psml": "c", "b/x.psml": "x"})
    outcome = group.run(path="/documents", destination="/", merge="true")
    assert outcome.message == "Successfully moved 4 files/folders"
    assert sorted(group.contents()) == ["a.psml", "b/c.psml", "b/x.psml"]
    group.write({"more/a.psml": "new"})
    outcome = group.run(path="/more", destination="/", merge="true")
    assert outcome.message.startswith("Nothing was moved, since nothing is overwritten: '/a.psml' is there already")


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
    monkeypatch.setattr("psthreads.folder.rename_to_new", rename)
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


def test_ten_thousand_documents_are_moved_each_with_its_content(group: GroupOfDocuments) -> None:
    fill(group, 10_000, each=100)
    before = group.contents()
    outcome = group.run(path="/documents", destination="/moved")
    assert outcome.message == "Successfully moved 10,101 files/folders"
    assert len([line for line in group.reporter.lines() if line.startswith("Moving /")]) == 10_101
    assert group.contents() == {path.replace("documents", "moved", 1): data for path, data in before.items()}
    assert sum(1 for path in (group.inside / "moved").rglob("*") if path.is_dir()) == 100
    assert not (group.inside / "documents").exists()


# An interrupt that comes while Python removes an object is raised at the next report, and told to stderr.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_move_that_is_cancelled_anywhere_leaves_each_document_in_one_place_and_can_be_continued(
    group: GroupOfDocuments,
) -> None:
    fill(group, DOCUMENTS)
    whole = {path.partition("/")[2]: data for path, data in group.contents().items()}
    places = ("documents", "moved")
    longest = seconds_of(lambda: group.run(path="/documents", destination="/moved"))
    cut_short = 0
    moments = Moments(longest)
    for number, moment in enumerate(moments):
        source, target = places[(number + 1) % 2], places[number % 2]
        outcome = group.run(after=moment, path=f"/{source}", destination=f"/{target}")
        found = group.contents()
        assert {path.partition("/")[2]: data for path, data in found.items()} == whole
        assert len(found) == len(whole)
        assert not group.leftovers()
        moved = {path for path in found if path.startswith(f"{target}/")}
        lines = group.reporter.lines()
        logged = {line.removeprefix(f"Moving /{source}/") for line in lines if line.startswith("Moving /")}
        assert {path.partition("/")[2] for path in moved} == {name for name in logged if name.endswith(".psml")}
        moments.note(in_time=outcome.status is Status.CANCELLED)
        if outcome.status is Status.CANCELLED:
            cut_short += 0 < len(moved) < len(whole)
            assert not [
                path for path in (group.inside / target).rglob("*") if path.is_dir() and not any(path.iterdir())
            ]
            group.run(path=f"/{source}", destination=f"/{target}", merge="true")
        assert not (group.inside / source).exists()
        assert len(group.contents()) == len(whole)
    assert cut_short > 20, f"Only {cut_short} of {moments.in_time} cancels came while documents were moved"


def test_a_cancelled_move_says_what_stands_where(group: GroupOfDocuments) -> None:
    fill(group, 2_000)
    context = group.context()
    say = context.message

    def message(text: str) -> None:
        say(text)
        if "00999" in text:
            os.kill(os.getpid(), 14)

    context.message = message  # type: ignore[method-assign]
    outcome = group.run(context=context, path="/documents", destination="/moved")
    assert outcome.status is Status.CANCELLED
    assert group.reporter.lines()[-1].startswith("Stopped with 1,019 of 2,041 files/folders moved.")


# Through the web and a worker.


def test_a_move_through_a_worker(config: Config, people: People, store: ThreadStore) -> None:
    folder = Documents(config.documents).group(people.acme)
    for number in range(30):
        folder.write(f"/documents/{number}.psml", b"<a/>")
    client = create_app(config).test_client(use_cookies=False)
    route = "/ps/service/members/~contributor/groups/acme/move?path=/documents&destination="
    headers = people.bearer("contributor")
    assert client.post(f"{route}/documents/below", headers=headers).status_code == 400
    assert client.post(route.replace("/documents", "/nope") + "/x", headers=headers).status_code == 404
    assert client.post(f"{route}/archive", headers=people.bearer("reviewer")).status_code == 403
    answer = client.post(f"{route}/archive", headers=headers)
    assert answer.status_code == 202
    thread = etree.fromstring(answer.data)
    assert thread.get("name") == "Moving thread for group acme"
    with worker(config):
        done = ended(store, store.fetch(thread.attrib["id"]))
    assert (done.status, done.message) == (Status.COMPLETED, "Successfully moved 31 files/folders")
    assert folder.count("/archive") == 30
    with pytest.raises(DocumentNotFound):
        folder.resolve("/documents")
