"""The programs of the storm of failovers, and its faults: Redis with a replica and Sentinels, web and supervisors."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from redis.exceptions import RedisError

from chaos.failover.replicated_redis import Node, ReplicatedRedis, wait_until
from chaos.proxy import Proxy
from chaos.world import ROOT, Program
from psthreads.domain.config import Config
from psthreads.local.programs import SUPERVISOR, WEB, free_port

_KEEP_SECONDS: Final = 0.2
_LINK_SECONDS: Final = 20.0
_MOVE_SECONDS: Final = 30.0
_DEAD_SECONDS: Final = 1.0  # before somebody starts a dead primary again


class FailoverWorld:
    """Everything on this machine; `replicas` is PSTHREADS_REPLICAS. A context manager."""

    def __init__(self, folder: Path, replicas: int, machines: int = 2, workers: int = 2) -> None:
        self.redis = ReplicatedRedis(folder / "redis")
        self.config = Config(
            redis_url=self.redis.url,
            replicas=replicas,
            port=free_port(),
            workers=workers,
            group_threads=machines * workers,
            documents=folder / "documents",
            processes=("chaos.processes",),
            heartbeat=1,
            starts_per_member="off",
            shutdown=2,
            grace=1,
        )
        self._programs = [
            Program("web", self.config, WEB, folder / "web.log"),
            *(
                Program(f"machine{number}", self.config, SUPERVISOR, folder / f"machine{number}.log")
                for number in range(machines)
            ),
        ]
        self._is_kept = threading.Lock()  # held while somebody starts or stops the programs
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper")

    @property
    def address(self) -> str:
        """Where the web process answers."""
        return f"http://127.0.0.1:{self.config.port}"

    # The faults. Each returns once a replica has become the primary, and says when it struck.

    def fail_over(self) -> float:
        """Have the Sentinels exchange the two, as an operator would."""
        before = self.redis.primary()
        at = time.monotonic()
        while True:
            with suppress(RedisError):
                self.redis.fail_over()
                break
            time.sleep(0.5)  # They refuse for a while after a failover.
        self._await_other(before)
        return at

    def kill_primary(self, behind: float) -> float:
        """Kill the primary while its replica is so many seconds behind, and start it again as a replica."""
        primary, replica = self.redis.primary(), self.redis.replicas()[0]
        with Proxy(f"redis://127.0.0.1:{primary.port}") as link:
            replica.ask("REPLICAOF", "127.0.0.1", _port(link))
            wait_until(lambda: _follows(replica, _port(link)), _LINK_SECONDS, "The replica does not use the link.")
            link.cut()
            time.sleep(behind)
            at = time.monotonic()
            primary.kill()
            link.close()
        self._await_other(primary)
        time.sleep(_DEAD_SECONDS)
        primary.start()
        primary.ask("REPLICAOF", "127.0.0.1", self.redis.primary().port)
        return at

    def adopt(self) -> bool:
        """Do what an operator does where Redis has become older than the documents; return whether it was so."""
        checked = self._command("admin", "installation", "check")
        if "older than the documents" not in checked:
            return False
        with self._is_kept:
            for program in self._programs:
                program.stop()
            # A worker that could not say goodbye counts as alive for as long as its record lasts.
            wait_until(
                lambda: "belong together now" in self._command("admin", "installation", "adopt", "--yes"),
                120,
                "The installation cannot be adopted.",
            )
            for program in self._programs:
                program.start()
        return True

    def _await_other(self, before: Node) -> None:
        def has_moved() -> bool:
            with suppress(RedisError):
                return self.redis.primary() is not before
            return False

        wait_until(has_moved, _MOVE_SECONDS, "No replica became the primary.")

    def _command(self, *words: str) -> str:
        ran = subprocess.run(  # noqa: S603 (our own program)
            [sys.executable, "-m", "psthreads", *words],
            cwd=ROOT,
            env={**os.environ, **self.config.to_env()},
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return ran.stdout + ran.stderr

    def __enter__(self) -> Self:
        self.redis.__enter__()
        for program in self._programs:
            program.start()
        self._keeper.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._keeper.join()
        for program in self._programs:
            program.stop()
            for process in program.family():
                with suppress(ProcessLookupError):
                    os.kill(process.pid, 9)
        self.redis.__exit__()

    def _keep(self) -> None:
        while not self._ended.wait(_KEEP_SECONDS):
            if self._is_kept.acquire(blocking=False):
                try:
                    for program in self._programs:
                        program.keep()
                finally:
                    self._is_kept.release()


def _port(link: Proxy) -> int:
    return int(link.url.rpartition(":")[2].partition("/")[0])


def _follows(replica: Node, port: int) -> bool:
    state = replica.replication()
    return state.get("master_port") == port and state.get("master_link_status") == "up"
