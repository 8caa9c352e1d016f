"""The faults that a storm consists of. Each strikes at once, and says for how long it lasts and how it ends.

A fault's name is what `make chaos FAULTS=` takes.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import psutil
from redis import Redis
from redis.exceptions import RedisError

from chaos.world import Machine, World, kin, strike

REDIS: Final = "Redis"
WEB: Final = "web"

_AWAY_SECONDS: Final = (0.1, 2.0)
_PAUSE_SECONDS: Final = (1.0, 8.0)
_REFUSAL_SECONDS: Final = (0.5, 4.0)
_CUT_SECONDS: Final = (1.0, 8.0)
_LONG_CUT_SECONDS: Final = (12.0, 40.0)
_IS_LONG: Final = 0.15
_FULL_BYTES: Final = 1
_NOWHERE: Final = ("REPLICAOF", "127.0.0.1", "1")


@dataclass(frozen=True, slots=True)
class Lost:
    """A horse that a fault has ended, or cut off. `watched` says whether its machine could notice it."""

    at: float
    pid: int
    watched: bool


@dataclass(frozen=True, slots=True)
class Hit:
    """The effect of a fault: its place, the horses that it cost, and how to end it after how many seconds."""

    place: str
    losses: tuple[Lost, ...] = ()
    seconds: float = 0.0
    mend: Callable[[], object] | None = None


class Faults:
    """The faults of one world, with the random numbers of one seed. One that has nothing to strike returns None."""

    def __init__(self, world: World, draw: random.Random, redis: Redis) -> None:
        self._world = world
        self._draw = draw
        self._redis = redis
        self._lasting: dict[str, str] = {}
        self.is_calm = False
        """Whether to strike a machine where nothing else is wrong, so that what follows can be timed."""

    def has_target(self) -> bool:
        """Return whether a calm fault would find a machine that is at work."""
        return bool(self._targets())

    # A program is killed.

    def kill_horse(self) -> Hit | None:
        """Kill one horse."""
        machine, horse = self._horse()
        return self._kill(machine, [horse], [horse]) if horse else None

    def kill_worker(self) -> Hit | None:
        """Kill one worker, and neither its horse nor what that started."""
        machine, worker = self._worker()
        return self._kill(machine, [worker.pid], machine.horses_of(worker)) if worker else None

    def kill_both(self) -> Hit | None:
        """Kill one worker and its horse."""
        machine, worker = self._worker()
        if worker is None:
            return None
        horses = machine.horses_of(worker)
        return self._kill(machine, [worker.pid, *(horse.pid for horse in kin(worker.pid))], horses)

    def kill_supervisor(self) -> Hit | None:
        """Kill one supervisor, and nothing that it started."""
        machine = self._machine()
        return self._kill(machine, self._supervisor(machine), machine.horses(), watched=False)

    def kill_warden(self) -> Hit | None:
        """Kill the warden of one supervisor, and nothing that it started."""
        machine = self._machine()
        return self._kill(machine, [machine.warden], machine.horses(), watched=False)

    def kill_machine(self) -> Hit | None:
        """Kill everything on one machine, as a power failure would."""
        machine = self._machine()
        horses = machine.horses()
        machine.kill_family()
        return self._kill(machine, [], horses, watched=False)

    def kill_web(self) -> Hit | None:
        """Kill a web process or its master."""
        victims = [self._world.web.process, *self._world.web.children()]
        victim = self._draw.choice(victims)
        return Hit(WEB) if victim and strike(victim.pid, signal.SIGKILL) else None

    def kill_redis(self) -> Hit | None:
        """Kill Redis, and start it again on its data."""
        if REDIS in self._lasting:
            return None
        self._world.restart_redis(self._draw.uniform(*_AWAY_SECONDS))
        return Hit(REDIS)

    # A program is told to stop.

    def stop_worker(self) -> Hit | None:
        """Tell one worker to stop."""
        machine, worker = self._worker()
        return Hit(machine.name) if worker and strike(worker.pid, signal.SIGTERM) else None

    def stop_supervisor(self) -> Hit | None:
        """Tell one supervisor to stop."""
        machine = self._machine()
        return Hit(machine.name) if strike(machine.warden, signal.SIGTERM) else None

    # A program stands still for a while.

    def pause_horse(self) -> Hit | None:
        """Let one horse stand still."""
        machine, horse = self._horse()
        return self._pause(machine.name, horse) if horse else None

    def pause_worker(self) -> Hit | None:
        """Let one worker stand still, but not its horse."""
        machine, worker = self._worker()
        return self._pause(machine.name, worker.pid) if worker else None

    def pause_supervisor(self) -> Hit | None:
        """Let one supervisor stand still."""
        machine = self._machine()
        return next((self._pause(machine.name, pid) for pid in self._supervisor(machine)), None)

    def pause_warden(self) -> Hit | None:
        """Let the warden of one supervisor stand still."""
        machine = self._machine()
        return self._pause(machine.name, machine.warden)

    def pause_web_master(self) -> Hit | None:
        """Let the master of the web processes stand still."""
        process = self._world.web.process
        return self._pause(WEB, process.pid) if process else None

    def pause_web_worker(self) -> Hit | None:
        """Let one web process stand still."""
        workers = self._world.web.children()
        return self._pause(WEB, self._draw.choice(workers).pid) if workers else None

    def pause_redis(self) -> Hit | None:
        """Let Redis hang."""
        if REDIS in self._lasting or not strike(self._world.redis.pid, signal.SIGSTOP):
            return None
        return self._last(REDIS, _REFUSAL_SECONDS, partial(strike, self._world.redis.pid, signal.SIGCONT))

    # Redis refuses, or cannot be reached.

    def read_only(self) -> Hit | None:
        """Make Redis a replica, which takes no writes."""
        return self._command(_NOWHERE, ("REPLICAOF", "NO", "ONE"))

    def full(self) -> Hit | None:
        """Fill Redis."""
        return self._command(("CONFIG", "SET", "maxmemory", _FULL_BYTES), ("CONFIG", "SET", "maxmemory", 0))

    def cut(self) -> Hit | None:
        """Close a machine's connections to Redis, and each new one."""
        return self._cut(lambda machine: machine.proxy.close())

    def stall(self) -> Hit | None:
        """Drop what a machine and Redis send to each other."""
        return self._cut(lambda machine: machine.proxy.cut())

    # The machine refuses.

    def no_fork(self) -> Hit | None:
        """Let a machine start no process."""
        machine = self._machine()
        key = f"{machine.name} forks"
        if not machine.fork_limit.is_possible or key in self._lasting:
            return None
        machine.set_forking(may_fork=False)
        return self._last(machine.name, _REFUSAL_SECONDS, partial(machine.set_forking, may_fork=True), key=key)

    def _machine(self) -> Machine:
        targets = self._targets() if self.is_calm else []
        return self._draw.choice(targets or self._world.machines)

    def _targets(self) -> list[Machine]:
        """Return the machines that are at work, and where nothing else is wrong."""
        struck = self._lasting.values()
        return [each for each in self._world.machines if each.name not in struck and each.horses()]

    def _horse(self) -> tuple[Machine, int]:
        """Return a horse that runs something and its machine, 0 where there is none."""
        horses = [(machine, horse) for machine in self._world.machines for horse in machine.horses()]
        return self._draw.choice(horses) if horses else (self._machine(), 0)

    def _worker(self) -> tuple[Machine, psutil.Process | None]:
        machine = self._machine()
        workers = machine.workers()
        # One that is at work is more worth killing.
        busy = [worker for worker in workers if machine.horses_of(worker)]
        return machine, self._draw.choice(busy or workers) if workers else None

    @staticmethod
    def _supervisor(machine: Machine) -> list[int]:
        return list(filter(None, [machine.supervisor()]))

    @staticmethod
    def _kill(machine: Machine, victims: list[int], horses: list[int], *, watched: bool = True) -> Hit:
        """Kill the victims, which costs these horses."""
        for pid in victims:
            strike(pid, signal.SIGKILL)
        at = time.monotonic()
        return Hit(machine.name, tuple(Lost(at, pid, watched) for pid in horses))

    def _last(
        self,
        place: str,
        bounds: tuple[float, float],
        mend: Callable[[], object],
        losses: tuple[Lost, ...] = (),
        key: str = "",
    ) -> Hit:
        """Return a fault that lasts. Another one with its key would end it too early."""
        key = key or place
        self._lasting[key] = place

        def end() -> None:
            mend()
            self._lasting.pop(key, None)

        return Hit(place, losses, self._draw.uniform(*bounds), end)

    def _pause(self, place: str, pid: int) -> Hit | None:
        if not strike(pid, signal.SIGSTOP):
            return None
        key = f"process {pid}"
        return self._last(place, _PAUSE_SECONDS, partial(strike, pid, signal.SIGCONT), key=key)

    def _command(self, begin: tuple[str | int, ...], end: tuple[str | int, ...]) -> Hit | None:
        if REDIS in self._lasting:
            return None
        try:
            self._redis.execute_command(*begin)  # type: ignore[no-untyped-call]
        except RedisError:
            return None
        return self._last(REDIS, _REFUSAL_SECONDS, partial(self._persist, *end))

    def _persist(self, *command: str | int) -> None:
        while True:
            try:
                self._redis.execute_command(*command)  # type: ignore[no-untyped-call]
            except RedisError:
                time.sleep(0.1)
            else:
                return

    def _cut(self, cut: Callable[[Machine], None]) -> Hit | None:
        machine = self._machine()
        if machine.name in self._lasting:
            return None
        at = time.monotonic()
        cut(machine)
        bounds = _LONG_CUT_SECONDS if self._draw.random() < _IS_LONG else _CUT_SECONDS
        losses = tuple(Lost(at, pid, watched=False) for pid in machine.horses())
        return self._last(machine.name, bounds, machine.proxy.mend, losses)
