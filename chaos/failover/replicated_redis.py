"""A primary, its replicas and the Sentinels that watch them, each a process of its own on this machine."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from redis import Redis
from redis.exceptions import RedisError

from chaos.network import HERE, Host
from chaos.world import wait_until
from psthreads.local.programs import free_port
from psthreads.local.server import RedisServer, find_binary

NAME: Final = "storm"
"""The name by which the Sentinels know the primary."""

_READY_SECONDS: Final = 40.0
_STOP_SECONDS: Final = 10.0


class Node(RedisServer):
    """A Redis that other programs reach by a port of this machine. Killed and started again, it knows no primary."""

    def __init__(self, folder: Path, *options: str, host: Host = HERE) -> None:
        self.host = host
        self.port = free_port()
        super().__init__(folder, "--port", str(self.port), "--protected-mode", "no", *options, tied=False)

    def start(self) -> None:
        """Start it on its host."""
        with self.host.entered():
            super().start()

    def follow(self, host: str, port: int) -> None:
        """Become a replica of the node there. Raises RedisError."""
        self.ask("REPLICAOF", host, port)

    def ask(self, *command: str | int) -> Any:
        """Return the answer to a command. Raises RedisError."""
        with Redis(self.host.address, self.port, socket_timeout=2, decode_responses=True) as redis:
            return redis.execute_command(*command)

    def replication(self) -> dict[str, Any]:
        """Return what the node says of its replication, nothing where it does not answer."""
        with suppress(RedisError):
            answer: dict[str, Any] = self.ask("INFO", "replication")
            return answer
        return {}


class ReplicatedRedis:
    """One primary at first, its replicas and three Sentinels. A context manager.

    Each of `hosts` has a Redis, the first one the primary, and each of `sentinels` a Sentinel. `down_ms` is after how
    many milliseconds of silence a Sentinel counts a node as down.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        hosts: Sequence[Host] = (HERE, HERE),
        sentinels: Sequence[Host] = (HERE, HERE, HERE),
        down_ms: int = 500,
        password: str = "",
    ) -> None:
        self._down_ms = down_ms
        self._password = password
        self._folder = folder
        self.nodes = [Node(folder / f"redis{number}", *options, host=host) for number, host in enumerate(hosts)]
        self._places = [(host, free_port()) for host in sentinels]
        self._sentinels: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        """The address for REDIS_URL."""
        hosts = ",".join(f"{host.address}:{port}" for host, port in self._places)
        return f"redis+sentinel://{hosts}/{NAME}/0{f'?sentinel_password={self._password}' if self._password else ''}"

    def primary(self) -> Node:
        """Return the node that the Sentinels call the primary."""
        address, port = self._ask_sentinel("GET-MASTER-ADDR-BY-NAME", NAME)
        return next(node for node in self.nodes if (node.host.address, node.port) == (address, int(port)))

    def replicas(self) -> list[Node]:
        """Return the other nodes."""
        primary = self.primary()
        return [node for node in self.nodes if node is not primary]

    def fail_over(self) -> None:
        """Have the Sentinels make a replica the primary, as an operator would. Raises RedisError where they refuse."""
        self._ask_sentinel("FAILOVER", NAME)

    def is_whole(self) -> bool:
        """Return whether all replicas follow the primary, and the Sentinels know all of them and each other."""
        try:
            state = self._ask_sentinel("MASTER", NAME)
            facts = dict(zip(state[::2], state[1::2], strict=True)) if isinstance(state, list) else dict(state)
            primary = self.primary()
        except (RedisError, StopIteration):
            return False
        others = [node for node in self.nodes if node is not primary]
        return (
            int(facts["num-other-sentinels"]) == len(self._places) - 1
            and int(facts["num-slaves"]) >= len(others)
            and primary.replication().get("role") == "master"
            and all(
                ((said := node.replication()).get("master_host"), said.get("master_port"))
                == (primary.host.address, primary.port)
                and said.get("master_link_status") == "up"
                for node in others
            )
        )

    def wait_until_whole(self, seconds: float = _READY_SECONDS) -> None:
        """Wait until `is_whole`; raise TimeoutError where it takes longer."""
        wait_until(self.is_whole, seconds, "The replicas and the Sentinels did not find each other.")

    def __enter__(self) -> Self:
        first = self.nodes[0]
        for node in self.nodes:
            node.start()
        for node in self.nodes[1:]:
            node.follow(first.host.address, first.port)
        for host, port in self._places:
            self._start_sentinel(host, port, first)
        self.wait_until_whole()
        return self

    def __exit__(self, *_: object) -> None:
        for sentinel in self._sentinels:
            sentinel.terminate()
        for sentinel in self._sentinels:
            try:
                sentinel.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                sentinel.kill()
                sentinel.wait()
        for node in self.nodes:
            node.stop()

    def _start_sentinel(self, host: Host, port: int, primary: Node) -> None:
        folder = self._folder / f"sentinel{port}"
        folder.mkdir(parents=True)
        file = folder / "sentinel.conf"
        lines = [
            f"port {port}",
            f"dir {folder}",
            f"logfile {folder}/sentinel.log",
            "protected-mode no",
            f"sentinel monitor {NAME} {primary.host.address} {primary.port} 2",
            f"sentinel down-after-milliseconds {NAME} {self._down_ms}",
            f"sentinel failover-timeout {NAME} 6000",
            *([f"requirepass {self._password}"] if self._password else []),
        ]
        file.write_text("\n".join(lines) + "\n")
        command = [str(find_binary()), str(file), "--sentinel"]
        with host.entered():
            self._sentinels.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))  # noqa: S603 (the server's own binary)

    def _ask_sentinel(self, *command: str) -> Any:
        host, port = self._places[0]
        with Redis(
            host.address, port, password=self._password or None, socket_timeout=2, decode_responses=True
        ) as sentinel:
            return sentinel.execute_command("SENTINEL", *command)
