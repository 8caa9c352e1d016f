"""The faults, drawn from a seed, one after the other while threads run."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from chaos.world import World, children, kin, strike

_LULL_SECONDS: Final = (0.2, 1.0)
_PAUSE_SECONDS: Final = (1.0, 9.0)
_AWAY_SECONDS: Final = (0.1, 2.0)


class Storm:
    """Strikes at random until it is told to end. `struck` counts the faults by name."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._random = random.Random(seed)  # noqa: S311 (a storm need not be secret)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._blow, name="storm")
        self._paused: list[tuple[float, int]] = []
        self.struck: Counter[str] = Counter()
        self.killed: list[tuple[float, int]] = []
        """When which horse was killed, or lost its worker: on the monotonic clock, and its process id."""
        self.redis_struck: list[float] = []
        """When Redis was killed or paused."""
        self._faults: list[tuple[int, str, Callable[[], bool]]] = [
            (8, "horse killed", self._kill_horse),
            (5, "worker killed", self._kill_worker),
            (4, "worker and horse killed", self._kill_both),
            (4, "worker paused", self._pause_worker),
            (2, "horse paused", self._pause_horse),
            (2, "worker told to stop", self._stop_worker),
            (1, "supervisor killed", self._kill_supervisor),
            (1, "supervisor told to stop", self._stop_supervisor),
            (3, "web killed", self._kill_web),
            (1, "Redis killed", self._kill_redis),
            (1, "Redis paused", self._pause_redis),
        ]

    def start(self) -> None:
        """Begin to strike."""
        self._thread.start()

    def end(self) -> None:
        """Stop striking, and let everything that stands still go on."""
        self._ended.set()
        self._thread.join()
        self._wake(float("inf"))

    def _blow(self) -> None:
        weights = [weight for weight, _, _ in self._faults]
        while not self._ended.wait(self._random.uniform(*_LULL_SECONDS)):
            self._wake(time.monotonic())
            _, name, fault = self._random.choices(self._faults, weights)[0]
            if fault():
                self.struck[name] += 1

    def _wake(self, now: float) -> None:
        for due, pid in list(self._paused):
            if due <= now:
                strike(pid, signal.SIGCONT)
                self._paused.remove((due, pid))

    def _kill_horse(self) -> bool:
        horses = self._world.horses()
        return bool(horses) and self._kill(self._random.choice(horses).pid)

    def _kill_worker(self) -> bool:
        workers = self._world.workers()
        if not workers:
            return False
        worker = self._random.choice(workers)
        now = time.monotonic()
        self.killed += [(now, horse.pid) for horse in kin(worker)]
        return strike(worker.pid, signal.SIGKILL)

    def _kill_both(self) -> bool:
        workers = self._world.workers()
        if not workers:
            return False
        worker = self._random.choice(workers)
        horses = kin(worker)
        strike(worker.pid, signal.SIGKILL)
        for horse in horses:
            self._kill(horse.pid)
        return True

    def _kill(self, horse: int) -> bool:
        self.killed.append((time.monotonic(), horse))
        return strike(horse, signal.SIGKILL)

    def _pause(self, pids: list[int]) -> bool:
        if not pids:
            return False
        pid = self._random.choice(pids)
        self._paused.append((time.monotonic() + self._random.uniform(*_PAUSE_SECONDS), pid))
        return strike(pid, signal.SIGSTOP)

    def _pause_worker(self) -> bool:
        return self._pause([worker.pid for worker in self._world.workers()])

    def _pause_horse(self) -> bool:
        return self._pause([horse.pid for horse in self._world.horses()])

    def _stop_worker(self) -> bool:
        workers = self._world.workers()
        return bool(workers) and strike(self._random.choice(workers).pid, signal.SIGTERM)

    def _supervisor(self, number: signal.Signals) -> bool:
        process = self._random.choice(self._world.supervisors).process
        return process is not None and strike(process.pid, number)

    def _kill_supervisor(self) -> bool:
        return self._supervisor(signal.SIGKILL)

    def _stop_supervisor(self) -> bool:
        return self._supervisor(signal.SIGTERM)

    def _kill_web(self) -> bool:
        process = self._world.web.process
        if process is None:
            return False
        victims = [process.pid, *(child.pid for child in children(self._world.web))]
        return strike(self._random.choice(victims), signal.SIGKILL)

    def _kill_redis(self) -> bool:
        self.redis_struck.append(time.monotonic())
        self._world.restart_redis(self._random.uniform(*_AWAY_SECONDS))
        return True

    def _pause_redis(self) -> bool:
        self.redis_struck.append(time.monotonic())
        self._paused.append((time.monotonic() + self._random.uniform(*_AWAY_SECONDS), self._world.redis.pid))
        return strike(self._world.redis.pid, signal.SIGSTOP)
