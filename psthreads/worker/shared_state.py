"""The page of memory that a worker shares with its horse and its supervisor: what runs, and how long it may.

The horse writes what it runs, the worker and the supervisor when each has renewed the lease; everybody reads it at any
moment, also when the writers are dead or stopped. Times are seconds on the clock `steady`.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Self

from psthreads.system.clock import steady
from psthreads.threads.leases import INTERRUPTED, KILLED

_NEVER: Final = float("inf")
_TIME: Final = struct.Struct("@d")
_COUNT: Final = struct.Struct("@Q")
_NAME: Final = struct.Struct("@40s")
# number, phase, killable, began, limit, sent, lease, and a thread's id and a token, hexadecimal
_EXECUTION: Final = struct.Struct("@QBBdddd40s40s")
_BEAT: Final = struct.Struct("@Qd")  # an execution's number, and when the request was sent that renewed its lease
_LOOP_AT, _CLAIMS_AT, _NAME_AT = 0, 8, 24
_SHORTAGE_AT, _STOPS_AT = 16, 17
# Two places for each record, and a count of what was written: the record is in the place that its last bit names.
_EXECUTIONS_AT, _BEATS_AT, _JOINT_BEATS_AT = (72, 128, 320), (80, 512, 576), (88, 640, 704)


class Phase(IntEnum):
    """How far an execution has come."""

    IDLE = 0
    """There is none, or it has ended in the store, too."""
    TAKEN = 1
    """Its thread was taken from the queue, and may be claimed, but its function is not called."""
    PASSED_ON = 2
    """Its thread is claimed, and the horse leaves it to the next one."""
    BEGUN = 3
    """Its function is called, and may be at work."""
    ENDING = 4
    """Nothing of it is at work any more, and the end of its thread is not written for certain."""


@dataclass(frozen=True, slots=True)
class Execution:
    """What a horse runs, or was about to run. Its `number` is the horse's count of executions.

    `limit` is how long its function may take from `began` on, in seconds, and `killable` whether it is killed when it
    does not stop in time. `sent` is when the claim was sent that began the lease of so many seconds.
    """

    thread_id: str = ""
    token: str = ""
    number: int = 0
    phase: Phase = Phase.IDLE
    killable: bool = True
    began: float = 0.0
    limit: float = _NEVER
    sent: float = _NEVER
    lease: float = 0.0

    @property
    def has_begun(self) -> bool:
        """Whether its function was called, and the end of its thread is not written for certain."""
        return self.phase in {Phase.BEGUN, Phase.ENDING}


class SharedState:
    """One page of shared memory. Without a descriptor it is shared with forked processes alone."""

    def __init__(self, fd: int = -1) -> None:
        self._page = mmap.mmap(fd, mmap.PAGESIZE)
        self.rest()

    @classmethod
    def share(cls) -> tuple[Self, int]:
        """Return a new page, and a descriptor by which another program can map it; the caller closes it.

        Raises OSError where the system has no room for it.
        """
        if hasattr(os, "memfd_create"):
            fd = os.memfd_create("psthreads-state")
        else:
            with tempfile.TemporaryFile() as file:
                fd = os.dup(file.fileno())
        try:
            os.ftruncate(fd, mmap.PAGESIZE)
            return cls(fd), fd
        except BaseException:
            os.close(fd)
            raise

    # For the worker.

    def introduce(self, name: str) -> None:
        """Note the name by which Redis knows the worker."""
        _NAME.pack_into(self._page, _NAME_AT, name.encode())

    def renew(self, number: int, sent: float) -> None:
        """Note that a request that was sent then has renewed the lease of this execution."""
        self._publish(_BEATS_AT, _BEAT, number, sent)

    def renewed_jointly(self) -> float:
        """Return when the supervisor sent the last request that renewed all that this worker has in Redis."""
        return float(self._read(_JOINT_BEATS_AT, _BEAT)[1])

    def tick(self) -> None:
        """Note that the loop that watches the horse goes round."""
        _TIME.pack_into(self._page, _LOOP_AT, steady())

    def rest(self) -> None:
        """Note that there is no horse to watch."""
        _TIME.pack_into(self._page, _LOOP_AT, _NEVER)

    def settle(self) -> None:
        """Note that the execution of a horse that is dead has ended."""
        self.note(Execution(number=self.execution.number))

    def stop(self) -> None:
        """Have the horse take no other thread, and end."""
        self._page[_STOPS_AT] = 1

    def forget_shortage(self) -> None:
        """Forget what `note_shortage` noted."""
        self._page[_SHORTAGE_AT] = 0

    # For the supervisor.

    def renew_jointly(self, number: int, sent: float) -> None:
        """Note that a request of the supervisor did what `renew` says, and renewed the worker's record as well."""
        self._publish(_JOINT_BEATS_AT, _BEAT, number, sent)

    # For the horse.

    def note(self, execution: Execution) -> None:
        """Note how far the horse has come."""
        self._publish(
            _EXECUTIONS_AT,
            _EXECUTION,
            execution.number,
            execution.phase,
            execution.killable,
            execution.began,
            execution.limit,
            execution.sent,
            execution.lease,
            execution.thread_id.encode(),
            execution.token.encode(),
        )

    def note_shortage(self) -> None:
        """Note that the horse cannot start a Python thread."""
        self._page[_SHORTAGE_AT] = 1

    def note_claims(self, claims: int) -> None:
        """Note how many claims the horse has seen in Redis."""
        _COUNT.pack_into(self._page, _CLAIMS_AT, claims)

    # For all.

    @property
    def stops(self) -> bool:
        """Whether the horse is to take no other thread."""
        return bool(self._page[_STOPS_AT])

    @property
    def is_short_of_threads(self) -> bool:
        """Whether the horse noted that it could not start a Python thread."""
        return bool(self._page[_SHORTAGE_AT])

    @property
    def claims(self) -> int:
        """How many claims a horse has seen in Redis."""
        return int(_COUNT.unpack_from(self._page, _CLAIMS_AT)[0])

    @property
    def execution(self) -> Execution:
        """What runs, or is about to."""
        number, phase, killable, began, limit, sent, lease, thread_id, token = self._read(_EXECUTIONS_AT, _EXECUTION)
        return Execution(
            _text(thread_id), _text(token), number, Phase(phase), bool(killable), began, limit, sent, lease
        )

    def renewed_at(self) -> float:
        """Return when the request was sent that last renewed the lease of what runs; infinite where nothing does."""
        number, phase, _, _, _, sent, _, _, _ = self._read(_EXECUTIONS_AT, _EXECUTION)
        return _NEVER if phase == Phase.IDLE else self._sent(number, sent)

    def kill_at(self, number: int = 0) -> float:
        """Return when the code is to be dead, unless the lease is renewed; infinite where nothing runs.

        With a number, of this execution alone: the beginning of time where it is not the one that runs.
        """
        return self._after(KILLED, number)

    def cut_at(self, number: int = 0) -> float:
        """Return when the code is to be interrupted, as `kill_at` does."""
        return self._after(INTERRUPTED, number)

    @property
    def loop_at(self) -> float:
        """When the loop that watches the horse last went round; infinite where there is no horse."""
        return float(_TIME.unpack_from(self._page, _LOOP_AT)[0])

    @property
    def worker(self) -> str:
        """The name by which Redis knows the worker; empty before it has one."""
        return _text(_NAME.unpack_from(self._page, _NAME_AT)[0])

    def _after(self, part: float, number: int) -> float:
        running, phase, _, _, _, sent, lease, _, _ = self._read(_EXECUTIONS_AT, _EXECUTION)
        if number not in {0, running}:
            return -_NEVER
        if phase not in {Phase.BEGUN, Phase.ENDING}:
            return _NEVER
        return self._sent(running, sent) + part * float(lease)

    def _sent(self, number: int, claim: float) -> float:
        beats = (self._read(where, _BEAT) for where in (_BEATS_AT, _JOINT_BEATS_AT))
        return max([claim, *(float(sent) for renewed, sent in beats if renewed == number)])

    def _publish(self, where: tuple[int, ...], form: struct.Struct, *values: object) -> None:
        # A reader never sees half of a record, and a writer that is killed leaves a whole one.
        count = _COUNT.unpack_from(self._page, where[0])[0] + 1
        form.pack_into(self._page, where[1 + count % 2], *values)
        _COUNT.pack_into(self._page, where[0], count)

    def _read(self, where: tuple[int, ...], form: struct.Struct) -> tuple[Any, ...]:
        while True:
            count = _COUNT.unpack_from(self._page, where[0])[0]
            values = form.unpack_from(self._page, where[1 + count % 2])
            if _COUNT.unpack_from(self._page, where[0])[0] == count:
                return values


def _text(field: bytes) -> str:
    return field.rstrip(b"\0").decode(errors="replace")
