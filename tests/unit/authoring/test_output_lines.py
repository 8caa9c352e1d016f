"""Lines of a log from the bytes that programs write, and the pipe that keeps them when the reader dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from psthreads.authoring.capture.lines import OutputLines
from psthreads.domain.model import MAX_TEXT, clean
from psthreads.system.output_pipe import OutputPipe

TEXT = "naïve 世界 \U0001f600\nnext line\r\n\nlast"


def lines(*pieces: bytes) -> list[str]:
    assembled = OutputLines()
    return [line for piece in pieces for line in assembled.feed(piece)] + assembled.end()


def test_no_character_is_torn_wherever_the_reads_end() -> None:
    data = TEXT.encode()
    for size in range(1, len(data) + 1):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert lines(*pieces) == ["naïve 世界 \U0001f600", "next line", "", "last"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x1b[1;31mred\x1b[0m and \x1b[?25lhidden\n", ["red and hidden"]),
        (b"\x1b]0;title\x07named \x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\\n", ["named link"]),
        (b"\x1b(Bplain\x1b=\x07\x00\ttab\n", ["plain\ttab"]),
        (b"caf\xe9 \xff\xfe\n", ["caf\ufffd \ufffd\ufffd"]),
        (b"Loading\rDone\n", ["Done"]),
        (b"\r 10%\r 20%\r100%\n", ["100%"]),
        (b"\r 10%\r100%\r\n", ["100%"]),
        (b"\r100%\r     \r\nnext\n", ["100%", "next"]),
        (b"\r\r\n", []),
        (b"a\n\nb\n", ["a", "", "b"]),
    ],
)
def test_a_terminals_controls_are_no_text(data: bytes, expected: list[str]) -> None:
    assert lines(data) == expected
    assert lines(*(data[at : at + 1] for at in range(len(data)))) == expected


def test_a_long_line_is_cut_and_says_so_and_the_next_one_is_whole() -> None:
    for size in (1_000, 70_000, 300_000):
        data = b"x" * 200_000 + b"\nnext\n"
        cut, following = lines(*(data[at : at + size] for at in range(0, len(data), size)))
        assert cut.startswith("xxx")
        assert "cut" in clean(cut)[-60:]  # as the log does
        assert following == "next"
    # As long as a line of the log: whole.
    assert lines(b"x" * MAX_TEXT + b"\n") == ["x" * MAX_TEXT]


def test_an_incomplete_line_comes_after_a_while_and_a_bar_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("psthreads.authoring.capture.lines.time.monotonic", lambda: now)
    assembled = OutputLines()
    assert assembled.feed("Continue? \U0001f600".encode()[:-1]) == []
    assert assembled.partial() == []
    now = 0.6
    assert assembled.partial() == ["Continue? "]
    assert assembled.feed("\U0001f600".encode()[-1:] + b" yes\n") == ["\U0001f600 yes"]
    shown = []
    for percent in range(100):
        now += 0.7
        shown += assembled.feed(f"\r{percent} %".encode()) + assembled.partial()
    shown += assembled.feed(b"\r100 %\n")
    assert shown[-1] == "100 %"
    assert 5 < len(shown) < 10, shown
    assert assembled.feed(b"next\n") == ["next"]


@pytest.fixture
def pipe() -> Iterator[OutputPipe]:
    pipe = OutputPipe()
    yield pipe
    pipe.close()


def _in_fork(work: Callable[[], None]) -> None:
    if (pid := os.fork()) == 0:
        try:
            work()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_dead_readers_parent_finds_what_it_had_not_let_go_of(pipe: OutputPipe) -> None:
    def work() -> None:
        os.write(pipe.writer, b"stored\n")
        assert pipe.read() == b"stored\n"
        pipe.release(7)
        os.write(pipe.writer, b"read\n")
        pipe.read()
        os.write(pipe.writer, b"unread\n")

    _in_fork(work)
    assert pipe.rest() == b"read\nunread\n"


def test_a_death_in_the_middle_of_a_read_loses_nothing(pipe: OutputPipe) -> None:
    def work() -> None:
        pipe._note = lambda: None  # type: ignore[method-assign] # dead before the note of it
        os.write(pipe.writer, b"read\n")
        pipe.read()

    _in_fork(work)
    assert pipe.rest() == b"read\n"


def test_a_reader_that_is_let_go_of_nothing_stops_and_goes_on_later(pipe: OutputPipe) -> None:
    total = 0
    while not pipe.is_full:
        os.write(pipe.writer, b"x" * 10_000)
        total += len(pipe.read())
    os.write(pipe.writer, b"y")
    assert pipe.read() == b""
    pipe.release(total - 10)
    assert pipe.read().endswith(b"y")
    assert pipe.rest().lstrip(b"x") == b"y"
    pipe.release(pipe.position)
    assert pipe.rest() == b""
    for _ in range(300):  # Far more than it holds.
        os.write(pipe.writer, b"z" * 16_000)
        assert len(pipe.read()) == 16_000
        pipe.release(pipe.position)
    assert pipe.rest() == b""
