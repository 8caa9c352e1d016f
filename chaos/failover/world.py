"""The programs of the storm of failovers, and its faults: Redis with a replica and Sentinels, web and supervisors."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

from redis.exceptions import RedisError

from chaos.failover.partitions import HOSTS, Partition
from chaos.failover.replicated_redis import Node, ReplicatedRedis
from chaos.network import HERE, Network
from chaos.proxy import Proxy
from chaos.world import ROOT, Program, Programs, configured, wait_until
from psthreads.local.programs import SUPERVISOR, WEB

_WORKERS: Final = 2
_LEASE_SECONDS: Final = 4.0
_LINK_SECONDS: Final = 20.0
_MOVE_SECONDS: Final = 30.0
_ASK_AGAIN_SECONDS: Final = 5.0  # A failover under way takes less.
_DEAD_SECONDS: Final = 1.0  # before somebody starts a dead primary again


class FailoverWorld(Programs):
    """A web process, two machines, a Redis with a replica, and three Sentinels; `replicas` is PSTHREADS_REPLICAS.

    With a network, each is on its own host of HOSTS, and the Sentinels on those of both Redis and the web process; else
    all are on this computer. A context manager.
    """

    def __init__(self, folder: Path, replicas: int, network: Network | None = None) -> None:
        self.network = network
        web, first, second, *redis = network.hosts if network else [HERE] * len(HOSTS)
        self.redis = ReplicatedRedis(folder / "redis", hosts=redis, sentinels=(web, *redis))
        config = replace(
            configured(folder, self.redis.url, 2, _WORKERS), replicas=replicas, host=web.address, heartbeat=1
        )
        if network:  # so that the longest partitions outlast them
            config = replace(config, lost_after=_LEASE_SECONDS, outage=_LEASE_SECONDS)
        supervisors = [
            Program(name, config, SUPERVISOR, folder / f"{name}.log", host)
            for name, host in (("machine0", first), ("machine1", second))
        ]
        super().__init__(config, Program("web", config, WEB, folder / "web.log", web), supervisors)

    # The faults. Each returns when it struck, on the monotonic clock.

    def fail_over(self) -> float | None:
        """Have the Sentinels exchange the two, as an operator would; return None where they do not."""
        before = self.redis.primary()
        at = time.monotonic()

        def has_moved() -> bool:
            # They refuse for a while after a failover, and give up one that they accepted where no replica answers.
            with suppress(RedisError):
                self.redis.fail_over()
            return wait_until(lambda: self._has_moved(before), _ASK_AGAIN_SECONDS)

        return at if wait_until(has_moved, _MOVE_SECONDS) else None

    def kill_primary(self, behind: float) -> float:
        """Kill the primary while its replica is so many seconds behind, and start it again as a replica.

        Raises TimeoutError where no replica takes its place.
        """
        primary, replica = self.redis.primary(), self.redis.replicas()[0]
        with Proxy(f"redis://127.0.0.1:{primary.port}") as link:
            replica.follow("127.0.0.1", _port(link))
            wait_until(lambda: _follows(replica, _port(link)), _LINK_SECONDS, "The replica does not use the link.")
            link.cut()
            time.sleep(behind)
            at = time.monotonic()
            primary.kill()
            link.close()
        wait_until(lambda: self._has_moved(primary), _MOVE_SECONDS, "No replica became the primary.")
        time.sleep(_DEAD_SECONDS)
        primary.start()
        primary.follow("127.0.0.1", self.redis.primary().port)
        return at

    def adopt(self) -> bool:
        """Do what an operator does where Redis has become older than the documents; return whether it was so."""
        checked = self._command("admin", "installation", "check")
        if "older than the documents" not in checked:
            return False
        with self.stopped():
            # A worker that could not say goodbye counts as alive for as long as its record lasts.
            wait_until(
                lambda: "belong together now" in self._command("admin", "installation", "adopt", "--yes"),
                120,
                "The installation cannot be adopted.",
            )
        return True

    def separate(self, partition: Partition, seconds: float) -> float:
        """Have hosts not hear each other for so long."""
        if self.network is None:
            raise RuntimeError("This world has no hosts")
        at = time.monotonic()
        for source, target in partition.ways:
            self.network.cut(source, target)
        time.sleep(seconds)
        self.network.mend()
        return at

    def _has_moved(self, before: Node) -> bool:
        with suppress(RedisError):
            return self.redis.primary() is not before
        return False

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
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.redis.__exit__()


def _port(link: Proxy) -> int:
    return int(link.url.rpartition(":")[2].partition("/")[0])


def _follows(replica: Node, port: int) -> bool:
    state = replica.replication()
    return state.get("master_port") == port and state.get("master_link_status") == "up"
