"""The time from a request that starts a thread until its code runs, and what such a request costs beside progress.

One web process and two workers, as `psthreads run` starts them. The thread itself says when it runs; the next request
comes when it has ended, so that the workers are idle each time.
"""

from __future__ import annotations

import http.client
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from statistics import median
from urllib.parse import urlencode
from uuid import uuid4

from bench.servers import ROOT, gunicorn, load, redis_server
from psthreads.audit.entries import SETUP
from psthreads.database.connection import connect
from psthreads.domain.access import Role
from psthreads.domain.config import Config
from psthreads.identity.directory import Directory
from psthreads.local.programs import SUPERVISOR, start
from psthreads.threads.store import ThreadStore

STARTS = 300
WARM = 20
ROUNDS = 40  # short ones in turn, as other machines may slow this one for seconds
SECONDS = 0.7
_MOST_SECONDS = 30
IDLE_SECONDS = 0.02
PROCESSES = ("psthreads.processes", "bench.threads.nothing")
NO_LIMIT = "1000000/hour"  # which is counted as any other
TELL, NOTHING = "/members/bench/groups/bench/bench/tell", "/members/bench/groups/bench/bench/nothing"


def measure() -> dict[str, float]:
    """Measure the milliseconds until a thread runs, and the rate of progress requests by that of starts."""
    with redis_server() as base, connect(base.redis_url) as redis:
        config = replace(base, processes=PROCESSES, starts_per_member=NO_LIMIT)
        setup = Directory(redis).by(SETUP)
        member, group = setup.add_member("bench", uuid4().hex), setup.add_group("bench")
        setup.set_membership(member, group, Role.CONTRIBUTOR)
        headers = {"Authorization": f"Bearer {setup.create_token(member, 'bench')}"}
        with gunicorn(config, "app:app") as port:
            with _workers(config):
                times, answers, progress = _starts(ThreadStore(redis, config), port, headers, config)
            times.sort()
            p50, p99 = median(times), times[int(len(times) * 0.99)]
            print(f"  from the request to the thread's code: p50 {p50:.1f} ms, p99 {p99:.1f} ms, {len(times)} starts")
            print(f"  from the request to its answer: p50 {median(answers):.1f} ms")
            ratio = _cost(port, headers, progress)
    return {
        "start_p50_ms": p50,
        "start_p99_ms": p99,
        "start_answer_p50_ms": median(answers),
        "start_by_progress": ratio,
    }


@contextmanager
def _workers(config: Config) -> Iterator[None]:
    supervisor = start(SUPERVISOR, config, folder=ROOT, output=subprocess.DEVNULL)
    try:
        yield
    finally:
        supervisor.terminate()
        supervisor.wait()


def _starts(
    store: ThreadStore, port: int, headers: dict[str, str], config: Config
) -> tuple[list[float], list[float], str]:
    """Return the milliseconds until each thread runs and until its start is answered; and a thread's progress."""
    times, answers = [], []
    path = config.documents.parent / "tell.sock"
    form = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        receiver.settimeout(60)
        for number in range(WARM + STARTS):
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.connect()
            begin = time.monotonic()
            connection.request("POST", TELL, urlencode({"path": str(path)}), form)
            answer = connection.getresponse()
            answer.read()
            answered = time.monotonic()
            connection.close()
            assert answer.status == http.HTTPStatus.ACCEPTED, answer.status
            began = float(receiver.recv(100))
            deadline = answered + _MOST_SECONDS
            while store.count("finished") <= number:
                assert time.monotonic() < deadline, "the thread does not end"
                time.sleep(0.002)
            time.sleep(IDLE_SECONDS)
            if number >= WARM:
                times.append((began - begin) * 1000)
                answers.append((answered - begin) * 1000)
    return times, answers, answer.headers["Location"]


def _cost(port: int, headers: dict[str, str], progress: str) -> float:
    """Return how many progress requests take as long as one start; nobody runs what is started."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "bench", **headers}.items())
    post = f"POST {NOTHING} HTTP/1.1\r\n{lines}Content-Length: 0\r\n\r\n".encode()
    get = f"GET {progress} HTTP/1.1\r\n{lines}\r\n".encode()
    load(port, post, 1)
    load(port, get, 1)
    rates = [(load(port, post, SECONDS)[0], load(port, get, SECONDS)[0]) for _ in range(ROUNDS)]
    starts, requests = map(median, zip(*rates, strict=True))
    print(f"  medians of {ROUNDS} rounds: starts {starts:.0f}/s   progress {requests:.0f}/s")
    return median(requests / starts for starts, requests in rates)
