"""Claims about the child that works on members' input: what it can reach, and what comes of its work when it dies."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from psthreads.authoring.children import FILES, NETWORK
from psthreads.authoring.context import Cancelled
from psthreads.processes.bounded.child import BoundedChild, Death, WorkRequest
from psthreads.processes.bounded.inside import Inside, Unusable
from psthreads.processes.validate import validate
from tests.support.group_of_documents import GroupOfDocuments
from tests.support.waiting import wait_for

SECONDS = 0.3
MEMORY = 128 * 1024 * 1024


class Obedient:
    """Does what the fields of a piece of work say."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside
        self._held: list[bytes] = []

    def answer(self, fields: list[bytes]) -> Sequence[bytes]:
        what, *more = (field.decode() for field in fields)
        return [str(getattr(self, f"_{what}")(*more)).encode()]

    def _echo(self, text: str) -> str:
        return text

    def _loop(self) -> None:
        while True:
            pass

    def _compile(self, path: str, *then: str) -> str:
        with self._inside.compiling(path):
            return str(getattr(self, f"_{then[0]}")(*then[1:]))

    def _apply(self, path: str, *then: str) -> str:
        with self._inside.applying(path):
            return str(getattr(self, f"_{then[0]}")(*then[1:]))

    def _wait(self, seconds: str) -> None:
        time.sleep(float(seconds))

    def _slowly(self) -> str:
        for _ in range(3):  # What is compiled has a time of its own.
            self._compile("/schemas/a.rng", "wait", str(0.7 * SECONDS))
        return "done"

    def _grow(self) -> None:
        while True:
            self._held.append(b"x" * 1_000_000)

    def _hold(self) -> str:
        self._held.append(b"x" * (MEMORY // 2))
        return "held"

    def _crash(self, number: str) -> None:
        signal.raise_signal(int(number))

    def _fail(self) -> None:
        raise AttributeError("no such thing")

    def _environment(self) -> str:
        return str(dict(os.environ))

    def _parents_environment(self) -> bytes:
        return Path(f"/proc/{os.getppid()}/environ").read_bytes()

    def _descriptors(self) -> list[str]:
        links = []
        for number in range(2_000):  # The runner of the tests may have many open.
            with suppress(OSError):
                links.append(str(Path(f"/proc/self/fd/{number}").readlink()))
        return links

    def _path(self, path: str) -> str:
        return Path(path).read_text()

    def _write(self, path: str) -> None:
        Path(path).write_text("written")

    def _call(self, port: str) -> None:
        socket.create_connection(("127.0.0.1", int(port)), timeout=1).close()

    def _fork(self) -> int:
        return os.fork()

    def _signal(self) -> None:
        os.kill(os.getppid(), signal.SIGTERM)

    def _execute(self) -> None:
        ctypes.CDLL(None, use_errno=True).execv(b"/bin/true", None)
        raise OSError(ctypes.get_errno(), "exec")

    def _read(self, path: str) -> str:
        return self._inside.files.read(path, 100).decode()

    def _resolve(self, path: str) -> str:
        return self._inside.files.resolve(path)

    def _twice(self, path: str) -> tuple[int, int]:
        with self._inside.files.open(path) as file:
            first = len(file.read())
            file.seek(0)
            return first, len(file.read())


@pytest.fixture
def group(tmp_path: Path) -> GroupOfDocuments:
    return GroupOfDocuments(tmp_path / "root", validate)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    process = psutil.Process()
    children, descriptors = process.children(), process.num_fds()
    yield
    assert process.children() == children
    assert process.num_fds() == descriptors


def results(group: GroupOfDocuments, *works: str) -> list[str | Death]:
    """The answers of a child with little of everything, to work such as "echo hello"."""
    context = group.context()
    try:
        seconds = SECONDS if any("loop" in work for work in works) else 30
        child: BoundedChild[str] = BoundedChild(context, group.folder, Obedient, seconds, MEMORY)
        answers = list(child.answers(WorkRequest(work, [word.encode() for word in work.split()], 0) for work in works))
        assert [item for item, _ in answers] == list(works)
        return [answer if isinstance(answer, Death) else answer[0].decode() for _, answer in answers]
    finally:
        context.clean_up()
        context.close()


def test_answers_come_in_the_order_of_the_work(group: GroupOfDocuments) -> None:
    works = [f"echo {number}" for number in range(1_000)]
    assert results(group, *works) == [str(number) for number in range(1_000)]


def test_more_work_than_a_pipe_holds_goes_through_in_both_directions(group: GroupOfDocuments) -> None:
    texts = [f"{number}" * 200_000 for number in range(10)]
    assert results(group, *(f"echo {text}" for text in texts)) == texts


def test_it_is_at_work_while_the_caller_looks_at_each_answer(group: GroupOfDocuments) -> None:
    begun = mmap.mmap(-1, 8)

    class Counting(Obedient):
        def answer(self, _: list[bytes]) -> Sequence[bytes]:
            begun[:] = (int.from_bytes(begun[:]) + 1).to_bytes(8)
            return [b"done"]

    def is_ahead(number: int) -> bool:
        return number == 1_000 or int.from_bytes(begun[:]) > number

    context = group.context()
    child: BoundedChild[int] = BoundedChild(context, group.folder, Counting)
    for number, _ in child.answers(WorkRequest(number, (), 0) for number in range(1, 1_001)):
        wait_for(partial(is_ahead, number), 5)
    context.clean_up()
    context.close()


@pytest.mark.parametrize(
    ("work", "death"),
    [
        ("loop", Death("took more than 0.3 s", "check")),
        ("compile /schemas/a.rng loop", Death("took more than 0.3 s", "compile", "/schemas/a.rng")),
        ("apply /schemas/a.rng loop", Death("took more than 0.3 s", "check", "/schemas/a.rng")),
        ("grow", Death("needed more than 128 MiB of memory", "check")),
        ("apply /schemas/a.rng grow", Death("needed more than 128 MiB of memory", "check", "/schemas/a.rng")),
        ("crash 11", Death("crashed by signal 11 (Segmentation fault)", "check", is_limit=False)),
        ("fail", Death("failed: AttributeError: no such thing", is_limit=False)),
    ],
)
def test_a_piece_of_work_that_ends_the_child_has_the_reason_and_the_others_their_answers(
    group: GroupOfDocuments, work: str, death: Death
) -> None:
    assert results(group, "echo 1", work, "echo 2", work, "echo 3") == ["1", death, "2", death, "3"]


def test_the_time_of_a_piece_of_work_stands_still_while_a_schema_is_compiled(group: GroupOfDocuments) -> None:
    assert results(group, "slowly", "loop")[0] == "done"


def test_memory_held_for_earlier_work_is_not_held_against_a_later_one(group: GroupOfDocuments) -> None:
    assert results(group, "hold", "hold", "hold", "hold") == ["held"] * 4


def test_after_fifty_deaths_in_a_row_work_goes_on(group: GroupOfDocuments) -> None:
    *deaths, last = results(group, *["crash 11"] * 50, "echo done")
    assert last == "done"
    assert len([death for death in deaths if isinstance(death, Death)]) == 50


def test_a_child_that_dies_while_it_has_nothing_to_do_costs_no_work_its_answer(group: GroupOfDocuments) -> None:
    context = group.context()
    child: BoundedChild[int] = BoundedChild(context, group.folder, Obedient)
    child.start()
    os.kill(child.pid, signal.SIGKILL)
    assert list(child.answers([WorkRequest(1, (b"echo", b"hello"), 0)])) == [(1, [b"hello"])]
    context.clean_up()
    context.close()


def test_what_cannot_be_made_ends_the_start_with_its_reason(group: GroupOfDocuments) -> None:
    def refuse(inside: Inside) -> Obedient:
        raise Unusable(f"it has no {inside.files.read('/a.txt', 9).decode()}")

    def loop(_: Inside) -> Obedient:
        while True:
            pass

    group.write({"a.txt": "sheet"})
    context = group.context()
    with pytest.raises(Unusable, match="it has no sheet"):
        BoundedChild[int](context, group.folder, refuse).start()
    with pytest.raises(Unusable, match=r"it took more than 0.2 s"):
        BoundedChild[int](context, group.folder, loop, 0.2).start()
    context.clean_up()
    context.close()


def test_it_has_neither_environment_nor_descriptors(group: GroupOfDocuments, tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w"):
        environment, descriptors = results(group, "environment", "descriptors")
    assert environment == "{}"
    assert isinstance(descriptors, str)
    assert "secret" not in descriptors
    assert descriptors.count("pipe:") == 2
    assert descriptors.count("/dev/null") == 3


@pytest.fixture
def confinement(group: GroupOfDocuments) -> frozenset[str]:
    context = group.context()
    child: BoundedChild[int] = BoundedChild(context, group.folder, Obedient)
    child.start()
    context.clean_up()
    context.close()
    return child.confinement


def test_it_reads_and_writes_no_file_by_itself(
    group: GroupOfDocuments, confinement: frozenset[str], tmp_path: Path
) -> None:
    if FILES not in confinement:
        pytest.skip("This kernel has no Landlock")
    group.write({"a.txt": "text"})
    works = ["path /etc/passwd", f"path {group.inside}/a.txt", "parents_environment", f"write {tmp_path}/x"]
    for answer in results(group, *works):
        assert isinstance(answer, Death)
        assert "Permission denied" in answer.reason
    assert not (tmp_path / "x").exists()


def test_it_has_no_network_starts_no_program_and_signals_nobody(
    group: GroupOfDocuments, confinement: frozenset[str]
) -> None:
    if NETWORK not in confinement:
        pytest.skip("This kernel has no seccomp")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        for answer in results(group, f"call {server.getsockname()[1]}", "fork", "execute", "signal"):
            assert isinstance(answer, Death)
            assert "PermissionError" in answer.reason
        with pytest.raises(BlockingIOError):
            server.accept()


def test_it_reads_the_files_of_its_group_through_its_parent(group: GroupOfDocuments, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("secret")
    (group.inside / "link").symlink_to(tmp_path / "outside")
    group.write({"d/a.txt": "text", "large.txt": "x" * 5_000_000})
    works = ["read /d/a.txt", "resolve d/a.txt", "twice large.txt", "read absent", "read /../../outside", "read link"]
    read, normal, lengths, *refused = results(group, *works)
    assert (read, normal, lengths) == ("text", "/d/a.txt", "(5000000, 5000000)")
    assert all(isinstance(answer, Death) and not answer.is_limit for answer in refused)
    assert "DocumentNotFound" in str(refused[0])


def test_a_cancel_ends_the_waiting_for_it_at_once(group: GroupOfDocuments) -> None:
    context = group.context()
    child: BoundedChild[int] = BoundedChild(context, group.folder, Obedient)
    child.start()
    signal.signal(signal.SIGALRM, lambda *_: context.interrupt(Cancelled()))
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    began = time.monotonic()
    with pytest.raises(Cancelled):
        list(child.answers([WorkRequest(1, [b"loop"], 0)]))
    context.clean_up()
    assert time.monotonic() - began < 5
    assert not child.pid
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    context.close()
