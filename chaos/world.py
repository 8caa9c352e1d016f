"""The programs that the storms go through, each kept running by somebody who starts it again."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

import psutil

from chaos.fork_limit import ForkLimit
from chaos.network import HERE, Host
from chaos.proxy import Proxy
from chaos.trails import MACHINE, thread_of
from psthreads.domain.config import Config
from psthreads.domain.errors import ConfigError
from psthreads.local.programs import SUPERVISOR, WEB, free_port, start
from psthreads.local.server import RedisServer

MONITOR: Final = "the-monitor-of-the-storm"
"""The token that reads the metrics."""

ROOT: Final = Path(__file__).parent.parent
_POLL_SECONDS: Final = 0.2
_LOOKS: Final = 2  # at a family that is to die
_LOG: Final = "PSTHREADS_CHAOS_LOG"


class Program:
    """A program that is started again when it has died."""

    def __init__(self, name: str, config: Config, command: Sequence[str], log: Path, host: Host = HERE) -> None:
        self.name = name
        self.host = host
        self._config = config
        self._command = command
        self._log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; its output goes to the log."""
        with self._log.open("ab") as log, self.host.entered():
            environment = {MACHINE: self.name, _LOG: str(self._log)}
            self.process = start(self._command, self._config, folder=ROOT, output=log, environment=environment)

    def keep(self) -> None:
        """Start it again if it has died."""
        if self.process is not None and self.process.poll() is not None:
            self.start()

    def children(self) -> list[psutil.Process]:
        """Return the processes that the program started itself."""
        return kin(self.process.pid) if self.process is not None else []

    def family(self) -> list[psutil.Process]:
        """Return the program's process and whatever came from it, also what has left it."""
        # The environment of a process says where it came from, whoever its parent is by now. Another storm on this
        # computer has programs of the same names, with other logs.
        members = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(_LOG) == str(self._log):
                    members.append(process)
        return members

    def kill_family(self) -> None:
        """Kill all of them at the same instant, as a power failure would."""
        stopped: set[int] = set()
        # One that is stopped starts no other any more. The second look finds what had no environment at the first,
        # since its program was being replaced.
        for _ in range(_LOOKS):
            while found := {member.pid for member in self.family()} - stopped:
                for pid in found:
                    strike(pid, signal.SIGSTOP)
                stopped |= found
        for pid in stopped:
            strike(pid, signal.SIGKILL)

    def stop(self) -> None:
        """End it, and whatever it started."""
        if self.process is None:
            return
        strike(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Machine(Program):
    """A supervisor with its workers, and their way to Redis."""

    def __init__(self, name: str, config: Config, folder: Path) -> None:
        self.proxy = Proxy(config.redis_url)
        self.fork_limit = ForkLimit(name)
        self._trails = folder / "trails"
        super().__init__(name, replace(config, redis_url=self.proxy.url), SUPERVISOR, folder / f"{name}.log")

    def start(self) -> None:
        """Start the supervisor."""
        super().start()
        if self.process is not None:
            self.fork_limit.hold(self.process.pid)

    @property
    def warden(self) -> int:
        """The process id of the supervisor's warden."""
        if self.process is None:
            raise RuntimeError("The machine was not started")
        return self.process.pid

    def supervisor(self) -> int:
        """Return the process id of the supervisor; 0 where there is none."""
        # Whatever else has come to be a child of its warden has a session of its own, or a worker's.
        return next((child.pid for child in self.children() if session(child) == self.warden), 0)

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes that live now."""
        # What a worker left behind may have become a child of the supervisor.
        return [child for child in kin(self.supervisor()) if is_worker(child)]

    def horses(self) -> list[int]:
        """Return the process ids of the horses that run something."""
        return [horse for worker in self.workers() for horse in self.horses_of(worker)]

    def horses_of(self, worker: psutil.Process) -> list[int]:
        """Return the process id of a worker's horse, if that runs something."""
        return [horse.pid for horse in kin(worker.pid) if thread_of(horse.pid, self._trails)]

    def set_forking(self, *, may_fork: bool) -> None:
        """Let the supervisor and its workers fork or not."""
        pids = [self.supervisor(), *(worker.pid for worker in self.workers())]
        self.fork_limit.set(list(filter(None, pids)), may_fork=may_fork)


class Programs:
    """A web process and some supervisors, each of which is started again when it has died. A context manager."""

    def __init__(self, config: Config, web: Program, supervisors: Sequence[Program]) -> None:
        self.config = config
        self.web = web
        self.survivors: list[psutil.Process] = []
        """The processes that outlived the programs from which they came."""
        self._all = (*supervisors, web)
        self._is_kept = threading.Lock()  # held while somebody starts or stops them
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper")

    @property
    def address(self) -> str:
        """The address of the web process."""
        return f"http://{self.config.host}:{self.config.port}"

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop all of them, and start them again afterwards."""
        with self._is_kept:
            for program in self._all:
                program.stop()
            yield
            for program in self._all:
                program.start()

    def __enter__(self) -> Self:
        for program in reversed(self._all):
            program.start()
        self._keeper.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._keeper.join()
        for program in self._all:
            program.stop()
        self.survivors = [process for program in self._all for process in program.family()]
        for process in self.survivors:
            strike(process.pid, signal.SIGKILL)

    def _keep(self) -> None:
        while not self._ended.wait(_POLL_SECONDS):
            with self._is_kept:
                for program in self._all:
                    program.keep()


class World(Programs):
    """Redis, a web process and machines, on this computer. A context manager.

    Every supervisor stands for a machine: it has a way of its own to Redis, which can be cut, and can be forbidden to
    fork.
    """

    def __init__(self, folder: Path, machines: int, workers: int, *, isolated: bool = False) -> None:
        # The storm starts it again, and ends before it. Every step is kept, to be judged.
        options = ("--aof-timestamp-enabled", "yes", "--auto-aof-rewrite-percentage", "0")
        self.redis = RedisServer(folder / "redis", *options, tied=False)
        config = replace(
            configured(folder, self.redis.url, machines, workers),
            heartbeat=0.5,
            lost_after=3,
            outage=2.5,
            isolated=isolated,
            metrics_token=MONITOR,
        )
        self.machines = [Machine(f"machine{number}", config, folder) for number in range(machines)]
        super().__init__(config, Program("web", config, WEB, folder / "web.log"), self.machines)

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes that live now."""
        return [worker for machine in self.machines for worker in machine.workers()]

    def restart_redis(self, pause: float) -> None:
        """Kill Redis as a crash would, and start it again after a pause in seconds."""
        self.redis.kill()
        time.sleep(pause)
        # It loads what it had before it answers; a second try is for a socket that is slow to go.
        for _ in range(3):
            with suppress(ConfigError):
                return self.redis.start()
        raise ConfigError("Redis could not be started again.")

    def __enter__(self) -> Self:
        self.redis.start()
        for machine in self.machines:
            machine.proxy.__enter__()
            machine.fork_limit.create()
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.redis.stop()
        for machine in self.machines:
            machine.proxy.__exit__()
            machine.fork_limit.remove()


def configured(folder: Path, redis_url: str, machines: int, workers: int) -> Config:
    """Return the settings of a storm of so many machines, with so many workers each."""
    return Config(
        redis_url=redis_url,
        port=free_port(),
        workers=workers,
        group_threads=machines * workers,
        documents=folder / "documents",
        processes=("chaos.processes",),
        grace=1,
        starts_per_member="off",
        shutdown=2,
    )


def kin(pid: int) -> list[psutil.Process]:
    """Return the living children of a process; none where it is gone, or its id is 0."""
    try:
        return (
            [child for child in psutil.Process(pid).children() if child.status() != psutil.STATUS_ZOMBIE] if pid else []
        )
    except psutil.NoSuchProcess:
        return []


def is_worker(process: psutil.Process) -> bool:
    """Return whether this child of a supervisor is a worker's process."""
    try:
        return session(process) == process.pid and any("worker.worker" in word for word in process.cmdline())
    except psutil.Error:
        return False


def session(process: psutil.Process) -> int:
    """Return the id of a process's session; 0 where the process is gone."""
    try:
        return os.getsid(process.pid)
    except OSError:
        return 0


def strike(pid: int, number: signal.Signals) -> bool:
    """Send a signal; False where the process is gone already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def wait_until(condition: Callable[[], bool], seconds: float, otherwise: str = "") -> bool:
    """Wait for the condition, at most that long; return whether it came true, or raise TimeoutError with a sentence."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            if otherwise:
                raise TimeoutError(otherwise)
            return False
        time.sleep(_POLL_SECONDS / 4)
    return True
