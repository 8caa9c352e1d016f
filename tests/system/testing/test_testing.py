"""The harness: a process is run without Redis, workers and HTTP, and what is said of the run is what happened."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from redis import Redis

from psthreads.authoring.context import Context
from psthreads.authoring.registry import process
from psthreads.domain.access import Group, Member
from psthreads.domain.config import Config
from psthreads.domain.errors import BadParameter, DocumentNotFound, MissingParameter
from psthreads.domain.model import Outcome, Status
from psthreads.processes.export import export
from psthreads.processes.validate import validate
from psthreads.testing import check, run
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.full_disk import full_after
from tests.support.sample_processes import count, end, server_wide
from tests.support.threads import ended, start
from tests.system.stack import worker

ROUTE = "/members/{member}/groups/{group}/harness/"
DOCUMENTS: dict[str, bytes | str] = {f"/documents/{number}.txt": "word " * 50 for number in range(5)}
_log = logging.getLogger("some.library")


@process(title="Working", route=ROUTE + "work")
def work(context: Context, path: str = "/") -> str:
    """Does a little of everything that a process can do."""
    context.cleanup(context.log, "cleaned up")
    folder = context.temporary()
    context.message("Reading")
    with context.bar("processing", total=context.folder.count(path)) as bar:
        for document in bar.iter(context.folder.walk(path)):
            (folder / "one.txt").write_bytes(context.folder.read(document.path, 100))
            _log.warning("read %s", document.path)
    context.warning("Not all of it")
    with context.result("words.txt") as file:
        file.write(b"words")
        with context.shield():
            context.message("Half")
            context.folder.write("/new.txt", b"new")
    context.element("words", "5", {"of": "all"})
    context.check()
    return "Worked"


def test_a_run_tells_all_that_came_of_it() -> None:
    done = run(work, documents={**DOCUMENTS, "/empty/": b""})
    assert (done.status, done.message, done.error) == (Status.COMPLETED, "Worked", None)
    assert done.messages == ("Reading", "Not all of it", "Half")
    assert (done.warnings, done.errors) == (1, 0)
    assert done.bars["processing"].states == ((0, 5), (1, 5), (2, 5), (3, 5), (4, 5), (5, 5))
    assert (done.bars["processing"].current, done.bars["processing"].total) == (5, 5)
    assert done.elements.keys() == {"words"}
    assert (done.elements["words"].text, done.elements["words"].attributes) == ("5", {"of": "all"})
    assert done.results == {"words.txt": b"words"}
    assert done.documents == {**dict.fromkeys(DOCUMENTS, b"word " * 50), "/new.txt": b"new"}
    assert done.leftovers == ()
    assert [event.seq for event in done.events] == list(range(1, len(done.events) + 1))
    assert done.log[0] == "Reading"
    assert "some.library: read /documents/0.txt" in done.log
    assert done.log[-1] == "cleaned up"


def test_a_cancel_at_every_checkpoint_is_a_cancel() -> None:
    whole = run(work, documents=DOCUMENTS)
    # A bar and its five steps, five lines of logging, two messages, a warning, an element, a check, and the file twice.
    assert whole.checkpoints == 6 + 5 + 2 + 1 + 1 + 1 + 2
    for n in range(whole.checkpoints):
        done = run(work, documents=DOCUMENTS, cancel_at=n)
        assert (done.status, done.message, done.interrupted) == (Status.CANCELLED, "Cancelled by jjones", True)
        assert done.leftovers == ()
        assert done.log[-1] == "cleaned up"
        # Within a shield the interrupt waits for its end.
        assert ("/new.txt" in done.documents) == ("Half" in done.messages)
        assert done.checkpoints == n + 1 or "Half" in done.messages


def test_a_cancel_after_the_last_checkpoint_never_comes() -> None:
    whole = run(work, documents=DOCUMENTS)
    done = run(work, documents=DOCUMENTS, cancel_at=whole.checkpoints)
    assert (done.status, done.interrupted) == (Status.COMPLETED, False)


def test_a_process_that_swallows_the_cancel_is_cancelled_all_the_same() -> None:
    @process(title="Stubborn", route=ROUTE + "stubborn")
    def stubborn(context: Context) -> str:
        with suppress(BaseException):
            context.message("One")
        return "I won"

    done = run(stubborn, cancel_at=0)
    assert (done.status, done.message, done.error) == (Status.CANCELLED, "Cancelled by jjones", None)


def test_a_time_limit_and_a_shutdown_end_it_as_a_worker_would() -> None:
    assert run(count, time_out_at=1).message == "Timed out after 21600 s"
    given_back = run(export, documents=DOCUMENTS, shut_down_at=1)
    assert (given_back.status, given_back.message) == (Status.INITIALISED, "Worker restarted")
    lost = run(count, shut_down_at=1)
    assert (lost.status, lost.message) == (Status.FAILED, "Worker restarted")
    with pytest.raises(ValueError, match="Only the first interrupt counts"):
        run(count, cancel_at=1, time_out_at=2)


@pytest.mark.parametrize(
    "how", ["warn", "error", "recover", "raise", "base", "exit", "finally", "cancel", "outcome", ""]
)
def test_a_run_ends_as_a_thread_of_a_real_worker_does(
    how: str, redis: Redis, config: Config, engine: Engine, store: ThreadStore
) -> None:
    with worker(config):
        real = ended(store, start(engine, "end", how=how))
    done = run(end, {"how": how})
    assert (done.status, done.message) == (real.status, real.message)
    assert (done.warnings, done.errors) == (real.warnings, real.errors)
    log = store.log(real.id, 1, 100).events
    # The store adds how it began and how it ended.
    assert [event.message for event in done.events] == [
        event.message for event in log if not event.message.startswith(("Accepted", "Started"))
    ][:-1]


def test_parameters_are_texts_or_values_and_wrong_ones_are_refused() -> None:
    assert run(count, {"to": "2"}).message == run(count, {"to": 2}).message == "Counted to 2"
    with pytest.raises(BadParameter, match="'to' is 'two'"):
        run(count, {"to": "two"})
    with pytest.raises(MissingParameter):
        run(end)
    with pytest.raises(ValueError, match="'count' has no parameter 'up-to'"):
        run(count, {"up-to": 2})


def test_a_check_answers_refuses_or_lets_it_start() -> None:
    answer = check(export, documents={"/a.txt": "a"})
    assert answer is not None
    assert (answer.filename, answer.mimetype) == ("acme-export.zip", "application/zip")
    assert answer.content.startswith(b"PK")
    assert check(export, documents={f"/{number}.txt": "a" for number in range(30)}) is None
    with pytest.raises(DocumentNotFound):
        check(validate, {"path": "/nowhere"}, documents={"/a.xml": "<a/>"})


def test_the_group_and_the_member_are_those_given() -> None:
    @process(title="Greeting", route=ROUTE + "greet")
    def greet(context: Context) -> str:
        return f"{context.member.username} of {context.group.name if context.group else 'none'}"

    assert run(greet).message == "jjones of acme"
    assert run(greet, group=Group(9, "press"), member=Member(5, "kim")).message == "kim of press"
    assert run(server_wide).message == "At 1"
    with pytest.raises(ValueError, match="works on the whole server"):
        run(server_wide, documents=DOCUMENTS)


# A full disk.


WRITERS: dict[str, Callable[[Context, Path, bytes], object]] = {
    "a document": lambda context, _folder, data: context.folder.write("/big.bin", data),
    "Path.write_bytes": lambda _context, folder, data: (folder / "a").write_bytes(data),
    "Path.write_text": lambda _context, folder, data: (folder / "a").write_text(data.decode()),
    "open": lambda _context, folder, data: _all(folder / "a", data),
    "os.write": lambda _context, folder, data: _all_by_number(folder / "a", data),
    "a zip file": lambda _context, folder, data: zipfile.ZipFile(folder / "a.zip", "w").writestr("a", data),
    "tempfile": lambda _context, folder, data: _temporary(folder, data),
    "shutil.copyfile": lambda _context, folder, _data: shutil.copyfile(__file__, folder / "a"),
}


def _all(path: Path, data: bytes) -> None:
    with open(path, "w+b", buffering=0) as file:  # noqa: PTH123 (one of the ways)
        while data:
            data = data[file.write(data) :]


def _all_by_number(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while data:
            data = data[os.write(fd, data) :]
    finally:
        os.close(fd)


def _temporary(folder: Path, data: bytes) -> None:
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(data)


@process(title="Writing", route=ROUTE + "write")
def write(context: Context, how: str) -> str:
    """Writes 2,000 bytes in one of many ways."""
    WRITERS[how](context, context.temporary(), b"x" * 2000)
    return "Written"


@pytest.mark.parametrize("how", WRITERS)
def test_a_full_disk_refuses_what_does_not_fit(how: str) -> None:
    with full_after(1000):
        done = run(write, {"how": how})
    assert (done.status, done.message.partition(":")[0]) == (Status.FAILED, "OSError")
    assert "[Errno 28] No space left on device" in done.message
    assert done.leftovers == ()
    assert done.documents == {}
    with full_after(100_000):
        assert run(write, {"how": how}).message == "Written"


@pytest.mark.parametrize("room", [0, 1, 4])
def test_a_result_file_that_does_not_fit_leaves_nothing(room: int) -> None:
    with full_after(room):
        done = run(work)
    assert done.status is Status.FAILED
    assert (done.results, done.leftovers) == ({}, ())
    with full_after(8):
        enough = run(work)
    assert (enough.status, enough.results) == (Status.COMPLETED, {"words.txt": b"words"})


def test_the_disk_is_whole_again_after_the_run(tmp_path: Path) -> None:
    before = (open, os.write, os.sendfile)
    with full_after(0):
        run(write, {"how": "open"})
    assert before == (open, os.write, os.sendfile)
    assert (tmp_path / "a").write_bytes(b"x" * 2000) == 2000


# It leaves nothing behind.


@process(title="Littering", route=ROUTE + "litter")
def litter(context: Context) -> None:
    """Leaves files in all the places where none should stay."""
    folder = context.temporary()
    (folder.parent / "ours.txt").write_text("left")
    tempfile.mkstemp(prefix="theirs-")[0]


def test_what_is_left_behind_is_told_and_then_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    done = run(litter)
    assert [Path(path).name.partition("-")[0] for path in done.leftovers] == ["ours.txt", "theirs"]
    assert list(tmp_path.iterdir()) == []


def test_logging_and_the_temporary_folder_are_as_before() -> None:
    root = logging.getLogger()
    before = (list(root.handlers), root.level, tempfile.tempdir, threading.active_count(), warnings.showwarning)
    run(work, documents=DOCUMENTS)
    run(work, documents=DOCUMENTS, cancel_at=3)
    run(end, {"how": "raise"})
    assert before == (list(root.handlers), root.level, tempfile.tempdir, threading.active_count(), warnings.showwarning)


def test_it_works_in_any_python_thread_and_one_run_at_a_time() -> None:
    found: list[tuple[str, str, int]] = []

    def one(n: int) -> None:
        done = run(work, documents=DOCUMENTS, cancel_at=n)
        found.append((done.status, done.message, len(done.leftovers)))

    runners = [threading.Thread(target=one, args=(n,)) for n in range(8)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    assert found == [("cancelled", "Cancelled by jjones", 0)] * 8


def test_what_another_python_thread_reports_is_in_the_log_and_no_checkpoint() -> None:
    @process(title="Helped", route=ROUTE + "helped")
    def helped(context: Context) -> None:
        helper = threading.Thread(target=context.log, args=("from the helper",))
        helper.start()
        helper.join()

    done = run(helped)
    assert (done.log, done.checkpoints) == (["from the helper"], 0)


def test_a_ctrl_c_goes_through() -> None:
    @process(title="Interrupted", route=ROUTE + "interrupted")
    def interrupted(context: Context) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(interrupted)


def test_many_lines_are_all_there_and_in_order() -> None:
    @process(title="Talking", route=ROUTE + "talk")
    def talk(context: Context) -> Outcome:
        for number in range(10_000):
            context.log(str(number))
        return Outcome(Status.COMPLETED, "Said")

    assert run(talk).log == [str(number) for number in range(10_000)]
