"""The parent's side: a child that works on members' input, and another one when it dies.

It dies when a piece of work takes too long or needs too much memory, or when a library crashes. That piece has no
answer then but the reason, and the child's successor goes on behind it. All waiting can be interrupted.
"""

from __future__ import annotations

import fcntl
import os
import resource
import select
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from psthreads.authoring.children import fork_child
from psthreads.authoring.context import Context
from psthreads.processes.bounded import frames
from psthreads.processes.bounded.files import Files, FileServer
from psthreads.processes.bounded.inside import OUT_OF_HEAP, OUT_OF_MEMORY, Inside, Unusable, Work
from psthreads.processes.bounded.stage import Stage, StageBoard

T = TypeVar("T")

SECONDS: Final = 30.0
"""The time that a piece of work has, and a second more for each megabyte beyond 16; also that of each schema."""

MEMORY: Final = 1024 * 1024 * 1024
"""The bytes that a child may need in addition to those it starts with, where the thread may have twice as many."""

_MOST_AHEAD: Final = 256  # pieces of work that are sent before their turn
_BYTES_AHEAD: Final = 512 * 1024
_CHUNK: Final = 256 * 1024
_LOOK_SECONDS: Final = 0.1  # at the child's deadline
# Of the address space that a thread's processes may have, which is twice their memory.
_SHARE: Final = 4


@dataclass(frozen=True, slots=True)
class WorkRequest(Generic[T]):
    """A piece of work: what it is about, for the caller, its fields, and how many bytes of input it stands for."""

    item: T
    fields: Sequence[bytes]
    size: int


@dataclass(frozen=True, slots=True)
class Death:
    """Why a piece of work has no answer: "took more than 30 s", for example.

    `action` and `subject` say at what: COMPILE and the path of a schema, CHECK and that of the schema that was
    applied. `is_limit` is False where a library failed or crashed.
    """

    reason: str
    action: str = ""
    subject: str = ""
    is_limit: bool = True


class _Piece(Generic[T]):
    """A request on its way. `is_second` is true where it was sent to a second child."""

    __slots__ = ("death", "is_second", "request", "size")

    def __init__(self, request: WorkRequest[T]) -> None:
        self.request = request
        self.size = sum(map(len, request.fields))
        self.death: Death | None = None
        self.is_second = False


class BoundedChild(Generic[T]):
    """Does work of one kind in a child process, which ends when the process's function does, in whatever way.

    `make` makes the work in the child, and may raise Unusable. The child is started with the first request, or by
    `start`. `deaths` is called with each death before the next child starts, which knows what the parent then does.
    `memory` is MEMORY by default, or half of the thread's if that is less.
    """

    def __init__(
        self,
        context: Context,
        files: Files,
        make: Callable[[Inside], Work],
        seconds: float = SECONDS,
        memory: int = 0,
        deaths: Callable[[Death], object] = lambda _: None,
    ) -> None:
        self.confinement: frozenset[str] = frozenset()
        self.pid = 0
        self._context = context
        self._files = files
        self._make = make
        self._seconds = seconds
        self._memory = memory or _default_memory()
        self._deaths = deaths
        self._answered = 0
        context.cleanup(self.stop)

    def start(self) -> None:
        """Start the child; raises Unusable if it cannot begin."""
        self._fork()
        try:
            kind, fields = self._next_frame()
        except EOFError:
            raise Unusable(f"it {self._cause_of_death().reason}") from None
        if kind == frames.UNUSABLE:
            self.stop()
            raise Unusable(fields[0].decode())
        self.confinement = frozenset(field.decode() for field in fields)

    def answers(self, requests: Iterable[WorkRequest[T]]) -> Iterator[tuple[T, list[bytes] | Death]]:
        """Yield each request's item with its answer, in order."""
        source = iter(requests)
        self._ahead = 0
        pending: deque[_Piece[T]] = deque()
        while True:
            # In quarters, so that the child has some while the answers to others are worked on.
            has_space = len(pending) <= _MOST_AHEAD * 3 // 4 and self._ahead <= _BYTES_AHEAD * 3 // 4
            if has_space and (new := self._more(len(pending), source)):
                pending += new
                self._send(new)
            if not pending:
                return
            piece = pending[0]
            answer: list[bytes] | Death
            if piece.death is not None:
                answer = piece.death
            else:
                try:
                    kind, *fields = self._next_answer()
                except EOFError:
                    self._bury(pending)
                    continue
                self._answered += 1
                answer = fields if kind == frames.ANSWERED else Death(f"failed: {fields[0].decode()}", is_limit=False)
            pending.popleft()
            self._ahead -= piece.size
            yield piece.request.item, answer

    def stop(self) -> None:
        """Kill the child, if there is one."""
        with self._context.shield():
            if self.pid:
                self._wait()

    def _more(self, count: int, source: Iterator[WorkRequest[T]]) -> list[_Piece[T]]:
        """Return further pieces of work, beside the `count` ahead."""
        new: list[_Piece[T]] = []
        while count + len(new) < _MOST_AHEAD and self._ahead < _BYTES_AHEAD and (request := next(source, None)):
            new.append(_Piece(request))
            self._ahead += new[-1].size
        return new

    def _send(self, pieces: Sequence[_Piece[T]]) -> None:
        if not self.pid:
            self.start()
        parts = [[b"%d" % piece.request.size, *piece.request.fields] for piece in pieces]
        self._outgoing.append(memoryview(frames.pack(frames.REQUESTS, frames.put_together(parts))))
        self._write()  # Now: the child is to work on it while the caller works on the answers that are here.

    def _bury(self, pending: Iterable[_Piece[T]]) -> None:
        """Note the reason for the piece of work that the dead child was at, and give the others to another child."""
        alive = [piece for piece in pending if piece.death is None]
        death = self._cause_of_death()
        number = self._number
        self._deaths(death)
        piece = alive[max(0, min(number - self._answered - 1, len(alive) - 1))]
        # A child that has worked for long may hold memory for what came before, and one that was idle was killed.
        is_crowded = number > 1 and "memory" in death.reason
        if is_crowded or (not death.action and not piece.is_second):
            piece.is_second = True
        else:
            piece.death = death
            alive.remove(piece)
        for (
            each
        ) in alive:  # Apart, so that each is answered before the next begins, and this one comes first some time.
            self._send([each])

    def _fork(self) -> None:
        with self._context.shield():
            child_requests, requests = os.pipe()
            responses, child_responses = os.pipe()
            board = StageBoard()
            inside = Inside(self._files.group, board, child_requests, child_responses, self._seconds)
            self.pid = fork_child(lambda: inside.run(self._make, self._memory))
            os.close(child_requests)
            os.close(child_responses)
            os.set_blocking(requests, False)
            with suppress(AttributeError, OSError):  # Linux only, and not beyond what a user's pipes may hold.
                fcntl.fcntl(requests, fcntl.F_SETPIPE_SZ, _BYTES_AHEAD)
            self._requests, self._responses, self._board = requests, responses, board
            self._server = FileServer(self._files)
        self._outgoing: deque[memoryview] = deque()
        self._received = bytearray()
        self._at = 0
        self._answers: deque[list[bytes]] = deque()
        self._answered = 0
        self._overdue: Stage | None = None

    def _next_frame(self) -> frames.Frame:
        """Return the next frame that is no question; raises EOFError if the child is dead."""
        while True:
            try:
                kind, fields = frames.read(self._exactly)
            except ValueError:
                raise EOFError from None
            if kind != frames.ASK:
                return kind, fields
            self._outgoing.append(memoryview(frames.pack(*self._server.reply(fields))))

    def _next_answer(self) -> list[bytes]:
        """Return the next answer; raises EOFError if the child is dead."""
        if not self._answers:
            kind, fields = self._next_frame()
            if kind != frames.ANSWERS:
                raise EOFError
            self._answers.extend(frames.taken_apart(fields))
        return self._answers.popleft()

    def _exactly(self, size: int) -> bytes:
        while len(self._received) - self._at < size:
            self._move()
        data = bytes(memoryview(self._received)[self._at : self._at + size])
        self._at += size
        if self._at == len(self._received) or self._at > _CHUNK:
            del self._received[: self._at]
            self._at = 0
        return data

    def _move(self) -> None:
        """Move bytes in either direction, or wait until some can be; raises EOFError if the child is dead."""
        poll = select.poll()
        poll.register(self._responses, select.POLLIN)
        if self._outgoing:
            poll.register(self._requests, select.POLLOUT)
        events = dict(poll.poll(1000 * self._patience()))
        if self._requests in events:
            self._write()
        if self._responses in events:
            data = os.read(self._responses, _CHUNK)
            if not data:
                raise EOFError
            self._received += data
        elif not events and (stage := self._board.read()).deadline and stage.deadline < time.monotonic():
            self._overdue = stage
            raise EOFError

    def _write(self) -> None:
        """Write as much as the pipe takes."""
        try:
            while self._outgoing:
                self._outgoing[0] = self._outgoing[0][os.write(self._requests, self._outgoing[0]) :]
                if not self._outgoing[0]:
                    self._outgoing.popleft()
        except BlockingIOError:
            pass
        except BrokenPipeError:  # What it has answered is still to be read.
            self._outgoing.clear()

    def _patience(self) -> float:
        deadline = self._board.read().deadline
        left = deadline - time.monotonic() if deadline else _LOOK_SECONDS
        return max(0.001, min(left, _LOOK_SECONDS))

    def _cause_of_death(self) -> Death:
        stage = self._overdue or self._board.read()
        self._number = stage.number
        code = self._wait()
        action, subject = stage.action, stage.subject
        if self._overdue:
            return Death(f"took more than {stage.seconds:,.3g} s", action, subject)
        if code in {OUT_OF_MEMORY, OUT_OF_HEAP}:
            return Death(f"needed more than {self._memory // 1024 // 1024:,} MiB of memory", action, subject)
        if code < 0:
            reason = f"crashed by signal {-code} ({signal.strsignal(-code)})"
        else:
            reason = f"ended with exit code {code}"
        return Death(reason, action, subject, is_limit=False)

    def _wait(self) -> int:
        with self._context.shield():
            # One that has ended keeps its exit status.
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            _, status = os.waitpid(self.pid, 0)
            self.pid = 0
            os.close(self._requests)
            os.close(self._responses)
            self._server.close()
            self._board.close()
        return os.waitstatus_to_exitcode(status)


def _default_memory() -> int:
    space, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return MEMORY if space == resource.RLIM_INFINITY else min(MEMORY, space // _SHARE)
