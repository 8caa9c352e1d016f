"""Hosts with networks of their own on one computer, and the partitions between them.

Each is a network namespace with a cable to a switch, which is a bridge in another one: that of the storm itself, so
that nothing of the computer's own network is touched, and nothing of it is left when the programs have ended. A
partition is silent: one host sends what is for the other to a hardware address that nobody has.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

_NEW_NETWORK: Final = 0x40000000  # CLONE_NEWNET
_OWN: Final = "/proc/thread-self/ns/net"
_SWITCH: Final = "switch"
_NET: Final = "10.99.0."
_NOBODY: Final = "02:00:00:00:00:fe"


class Host:
    """A place where programs run, which others reach at `address`; `namespace` is None for this computer itself."""

    def __init__(self, address: str, namespace: int | None = None) -> None:
        self.address = address
        self._namespace = namespace

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let this Python thread, and the processes that it starts meanwhile, use the host's network."""
        if self._namespace is None:
            yield
            return
        outside = os.open(_OWN, os.O_RDONLY)
        try:
            _call("setns", self._namespace, _NEW_NETWORK)
            yield
        finally:
            _call("setns", outside, _NEW_NETWORK)
            os.close(outside)

    def close(self) -> None:
        """Let the network go with the last program that uses it."""
        if self._namespace is not None:
            os.close(self._namespace)


HERE: Final = Host("127.0.0.1")


class Network:
    """The hosts with these names. A context manager, which moves its Python thread into a network of its own for good.

    Raises OSError where this computer or its user cannot have networks. Cut and mended by any Python thread.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._hosts: list[Host] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        if not shutil.which("ip") or not Path(_OWN).exists():
            raise FileNotFoundError("there is no program 'ip', or no network namespace")
        _call("unshare", _NEW_NETWORK)
        switch = os.open(_OWN, os.O_RDONLY)
        _ip("link set lo up", f"link add {_SWITCH} type bridge", f"addr add {_NET}254/24 dev {_SWITCH}")
        _ip(f"link set {_SWITCH} up")
        for number in range(1, 1 + len(self._names)):
            cable = f"cable{number}"
            _call("unshare", _NEW_NETWORK)
            namespace = os.open(_OWN, os.O_RDONLY)
            _ip(
                f"link add eth0 address {_hardware(number)} type veth peer name {cable} "
                f"netns /proc/{os.getpid()}/fd/{switch}",
                f"addr add {_NET}{number}/24 dev eth0",
                "link set eth0 up",
                "link set lo up",
            )
            _call("setns", switch, _NEW_NETWORK)
            _ip(f"link set {cable} master {_SWITCH} up")
            self._hosts.append(Host(f"{_NET}{number}", namespace))
        os.close(switch)
        self.mend()
        return self

    def __exit__(self, *_: object) -> None:
        for host in self._hosts:
            host.close()

    @property
    def hosts(self) -> Sequence[Host]:
        """The hosts, in the order of their names."""
        return self._hosts

    def cut(self, source: str, target: str) -> None:
        """Lose whatever the one sends to the other, and nothing of the other direction."""
        self._send(self._names.index(source), self._names.index(target), _NOBODY)

    def mend(self) -> None:
        """Let everything through again."""
        for source, target in itertools.permutations(range(len(self._hosts)), 2):
            self._send(source, target, _hardware(1 + target))

    def _send(self, source: int, target: int, hardware: str) -> None:
        with self._lock, self._hosts[source].entered():
            _ip(f"neigh replace {self._hosts[target].address} lladdr {hardware} dev eth0 nud permanent")


def _hardware(number: int) -> str:
    return f"02:00:00:00:00:{number:02x}"


def _ip(*commands: str) -> None:
    for command in commands:
        ran = subprocess.run(["ip", *command.split()], check=False, capture_output=True, text=True)  # noqa: S603, S607 (on any PATH)
        if ran.returncode:
            raise OSError(f"ip {command}: {ran.stderr.strip()}")


def _call(name: str, *arguments: int) -> None:
    """Call a function of the C library, which os has since Python 3.12 only."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")
