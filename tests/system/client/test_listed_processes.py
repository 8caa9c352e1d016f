"""The list of processes as the client and the command line read it from a real web process."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from psthreads.client import Client
from psthreads.domain.config import Config
from tests.support.command_line import CommandLine
from tests.support.people import People
from tests.support.waiting import wait_for
from tests.system.stack import web


def test_the_client_and_the_command_line_list_them_and_start_by_the_listed_route(
    config: Config, people: People, tmp_path: Path
) -> None:
    config = replace(config, processes=("tests.support.listed_processes",))
    url = f"http://127.0.0.1:{config.port}/ps/service"
    with web(config), Client(url, token=people.token("contributor"), member="contributor", patience=30) as client:
        first, second = wait_for(lambda: client.processes("acme"))
        assert (first.name, first.time_limit, first.restartable) == ("plain", 1.5, True)
        assert first.parameters[0].default is None
        assert (first.parameters[1].least, first.parameters[1].greatest) == (1, 10_000_000)
        assert first.route == "/members/contributor/groups/acme/listed/plain"
        thread = client.start(first.name, group="acme", route=first.route, path="/a")
        assert thread.name == "Ünfriendly \ufffd <title> & /a"  # type: ignore[union-attr]
        assert second.methods == ("GET", "POST")
        assert [one.name for one in client.processes()] == ["plain", "for-guests"]
        settings = {"PSTHREADS_SERVER": url, "PSTHREADS_TOKEN": people.token("contributor")}
        psthreads = CommandLine(tmp_path, **settings)
        shown = psthreads("processes", "acme").output.splitlines()
        assert shown[:3] == [
            "plain  Does it & more.",
            "    POST /members/contributor/groups/acme/listed/plain",
            "    path: string, required, at most 4096 characters, where <it> is",
        ]
        assert "    up-to: integer, default '5', at least 1, at most 10000000" in shown
        assert "    how: string, default 'a&b', one of a&b, c" in shown
        assert len(json.loads(psthreads("processes", "--json").output)["processes"]) == 2
        assert psthreads("processes", "other").exit_code == 4
