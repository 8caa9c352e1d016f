"""What a check of a process does to the web process that runs it: nothing, whatever it raises."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import requests

from psthreads.domain.config import Config
from tests.support.people import People
from tests.support.waiting import wait_for
from tests.system.stack import Program, web

RAISED = (
    *("exit-3", "exit-0", "keyboard", "generator", "system", "base", "answer"),
    *("raises", "exits", "class", "nameless", "notes", "loop", "huge"),
)


class Server:
    def __init__(self, config: Config, people: People, program: Program) -> None:
        self._people = people
        self._base = f"http://127.0.0.1:{config.port}"
        self._program = program
        wait_for(self.is_up)
        self._pids = self.pids()

    def is_up(self) -> bool:
        try:
            return requests.get(f"{self._base}/healthz", timeout=5).ok
        except requests.RequestException:
            return False

    def pids(self) -> set[int]:
        return {self._program.pid, *(child.pid for child in self._program.children())}

    def begin(self, how: str) -> requests.Response:
        url = f"{self._base}/members/contributor/groups/acme/odd/checked"
        return requests.post(url, {"how": how}, headers=self._people.bearer("contributor"), timeout=60)

    def is_untouched(self) -> bool:
        headers = self._people.basic("manager")
        answer = requests.get(f"{self._base}/groups/acme/threads", headers=headers, timeout=60)
        return answer.status_code == 200 and self.pids() == self._pids


@pytest.fixture
def server(config: Config, people: People) -> Iterator[Server]:
    config = replace(config, processes=("tests.support.odd_objects",), check_limit=1.5)
    with web(config) as program:
        yield Server(config, people, program)


def test_whatever_a_check_raises_is_one_answer_and_the_web_process_lives(server: Server) -> None:
    answers = {how: server.begin(how) for how in RAISED}
    assert {how: answer.status_code for how, answer in answers.items()} == dict.fromkeys(RAISED, 500)
    assert all("A check of this process failed" in answer.text for answer in answers.values())
    assert server.begin("refusal").status_code == 400
    assert server.is_untouched()


def test_a_check_without_an_end_is_ended_and_its_place_is_free_again(server: Server) -> None:
    for _ in range(3):
        answer = server.begin("spin")
        assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
        assert "took longer than 1.5 s" in answer.text
    begin = time.monotonic()
    assert server.begin("exit-3").status_code == 500
    assert time.monotonic() - begin < 1.5
    assert server.is_untouched()


def test_checks_that_are_stuck_in_c_take_nothing_from_others(server: Server) -> None:
    with ThreadPoolExecutor(4) as clients:
        stuck = [clients.submit(server.begin, "sleep") for _ in range(2)]
        assert server.is_untouched()
        assert {answer.result().status_code for answer in stuck} == {503}
