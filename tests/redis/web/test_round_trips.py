"""What a request costs: Redis round trips, whatever is stored."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from redis import Redis
from redis.connection import UnixDomainSocketConnection

from psthreads.threads.store import ThreadStore
from tests.support.people import People
from tests.support.threads import new_thread


class Trips:
    """Counts how often something is sent to Redis, which is once for each round trip."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        send: Callable[..., object] = UnixDomainSocketConnection.send_packed_command

        def counting(connection: UnixDomainSocketConnection, *args: object, **more: object) -> object:
            self.count += 1
            return send(connection, *args, **more)

        monkeypatch.setattr(UnixDomainSocketConnection, "send_packed_command", counting)


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> Trips:
    return Trips(monkeypatch)


@pytest.mark.parametrize("stored", [1, 500])
def test_progress_costs_two_round_trips_at_most_and_a_list_three(
    app: Flask, people: People, redis: Redis, store: ThreadStore, trips: Trips, stored: int
) -> None:
    ids = [store.create(new_thread(redis, group=people.acme)) for _ in range(stored)]
    client = app.test_client(use_cookies=False)
    signed_in = [
        (people.bearer("contributor"), "/groups/acme"),
        (people.basic("contributor"), f"/groups/{people.acme.id}"),
        (people.bearer("chief"), ""),
        (people.basic("chief"), ""),
    ]
    costs: dict[str, set[int]] = {"progress": set(), "list": set(), "logs": set()}
    for _ in range(3):  # The first round loads the scripts and hashes the passwords.
        for seen in costs.values():
            seen.clear()
        for headers, base in signed_in:
            paths = {
                "progress": f"{base}/threads/{ids[0]}/progress",
                "list": f"{base}/threads?page-size=50",
                "logs": f"{base}/threads/{ids[0]}/logs",
            }
            for kind, path in paths.items():
                before = trips.count
                assert client.get(path, headers=headers).status_code == 200
                costs[kind].add(trips.count - before)
    listing = costs.pop("list")
    assert listing <= {2, 3}  # Once in a while it looks who works.
    assert costs == {"progress": {1}, "logs": {2}}


def test_a_start_costs_two_round_trips(app: Flask, people: People, trips: Trips) -> None:
    client, headers = app.test_client(use_cookies=False), people.bearer("contributor")
    costs = []
    for _ in range(4):  # The first one loads the scripts, and asks for the group's quotas.
        before = trips.count
        assert client.post("/members/contributor/groups/acme/samples/count", headers=headers).status_code == 202
        costs.append(trips.count - before)
    assert costs[1:] == [2, 2, 2]
