"""The hosts of the storm: what one sends arrives at another, unless their partition keeps it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from chaos.failover.partitions import HOSTS, PARTITIONS
from chaos.network import Network
from tests.support.needs import leave_out_anywhere

PORT = 7000


def in_a_network(test: Callable[[Network], None]) -> None:
    """Run it in a Python thread of its own, which alone moves into the network."""
    refusals: list[OSError] = []

    def run() -> None:
        with ExitStack() as stack:
            try:
                network = stack.enter_context(Network(("first", "second")))
            except OSError as error:
                return refusals.append(error)
            return test(network)

    with ThreadPoolExecutor(1) as threads:
        threads.submit(run).result()
    if refusals:
        leave_out_anywhere(f"No host can have a network of its own here: {refusals[0]}.")


def test_a_partition_keeps_what_one_sends_until_it_is_mended_and_lets_the_other_through() -> None:
    def test(network: Network) -> None:
        first, second = network.hosts
        with second.entered():
            listener = socket.create_server((second.address, PORT))
        with first.entered(), socket.create_connection((second.address, PORT), 5) as near:
            far, _ = listener.accept()
            with listener, far:
                near.settimeout(5)
                network.cut("first", "second")
                near.sendall(b"held back")
                far.sendall(b"let through")
                assert near.recv(100) == b"let through"
                far.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    far.recv(100)
                network.mend()
                far.settimeout(10)
                assert far.recv(100) == b"held back"

    in_a_network(test)


def test_every_pair_of_hosts_is_parted_in_both_directions_and_in_each() -> None:
    for first in HOSTS:
        for second in set(HOSTS) - {first}:
            assert any(set(each.ways) == {(first, second), (second, first)} for each in PARTITIONS)
            assert any(each.ways == ((first, second),) for each in PARTITIONS)
