"""The programs' own log lines, as real programs write them."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import requests
from redis import Redis

from psthreads.domain.config import Config
from psthreads.domain.model import Thread
from psthreads.local.programs import GUNICORN, SUPERVISOR
from psthreads.local.programs import start as start_program
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.checkout import ROOT
from tests.support.people import People
from tests.support.threads import BY, ended, start
from tests.support.waiting import wait_for
from tests.system.stack import worker_of

Lines = Callable[[], list[dict[str, Any]]]


@contextmanager
def logging_to(file: Path, command: tuple[str, ...], config: Config) -> Iterator[subprocess.Popen[bytes]]:
    with file.open("wb") as output:
        program = start_program(command, config, folder=ROOT, output=output)
    try:
        yield program
        program.terminate()
        assert program.wait(20) == 0
    finally:
        for process in psutil.Process(program.pid).children(recursive=True) if program.poll() is None else ():
            process.kill()
        program.kill()
        program.wait()


def lines_in(file: Path) -> list[dict[str, Any]]:
    """The objects, one a line; a last line that is not written to its end yet is left out."""
    return [json.loads(line) for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]


def of_thread(file: Path, thread: Thread) -> list[tuple[str, str | None]]:
    """What the lines say of a thread: what happened, and with which status or why."""
    return [
        (line["message"].removeprefix("Thread "), line.get("status") or line.get("reason"))
        for line in lines_in(file)
        if line.get("thread") == thread.id and line["logger"].endswith("thread_lines")
    ]


def test_each_start_end_kill_and_requeue_of_a_thread_is_one_line_of_json(
    redis: Redis, config: Config, engine: Engine, store: ThreadStore, tmp_path: Path
) -> None:
    config, file, mark = replace(config, log_format="json", grace=0.2), tmp_path / "log", str(tmp_path / "mark")
    good, bad = (start(engine, name) for name in ("count", "indiscreet"))
    with logging_to(file, SUPERVISOR, config):
        ended(store, bad)  # begun in the step that ended the other one
        killed = ended(store, start(engine, "end", how="kill"))
        stubborn = start(engine, "stubborn", mark=mark)
        wait_for(Path(mark).exists)
        engine.cancel(stubborn, by=BY)
        ended(store, stubborn)
        lost = start(engine, "restartable", to=1000, pause=0.1, mark=str(tmp_path / "other"))
        worker_of(redis, config, store, lost.id).send_signal(signal.SIGKILL)
        wait_for(lambda: ("requeued", "Worker lost") in of_thread(file, lost))
        wait_for(lambda: of_thread(file, lost)[-1] == ("started", None))
    assert of_thread(file, good) == [("started", None), ("ended", "completed")]
    assert of_thread(file, bad) == [("started", None), ("ended", "failed")]
    assert of_thread(file, killed) == [("started", None), ("killed", "signal"), ("ended", "failed")]
    assert of_thread(file, stubborn) == [("started", None), ("killed", "cancelled"), ("ended", "cancelled")]
    assert of_thread(file, lost)[:2] == [("started", None), ("requeued", "Worker lost")]
    lines = lines_in(file)
    end = next(line for line in lines if line.get("thread") == good.id and line.get("status"))
    assert (end["process"], end["group"], end["member"]) == ("count", "acme", "jjones")
    assert 0 < end["seconds"] < 10
    messages = [line["message"] for line in lines]
    for program in ("supervisor", "worker"):
        assert f"psthreads {version('psthreads')}: {program} ready" in messages
    assert {"Worker stopping", "Supervisor stopping"} <= set(messages)
    trace = next(line for line in lines if "Traceback" in line["message"])
    assert trace["thread"] == bad.id
    assert "swordfish" not in file.read_text()


def test_a_web_process_logs_requests_with_their_ids_as_json(config: Config, people: People, tmp_path: Path) -> None:
    config, file = replace(config, log_format="json", access_log=True, proxies=1), tmp_path / "log"
    with logging_to(file, GUNICORN, config):
        url = f"http://127.0.0.1:{config.port}"
        wait_for(lambda: any("web process ready" in line["message"] for line in lines_in(file)))
        answer = requests.get(
            f"{url}/groups/acme/threads?note=swordfish",
            headers={**people.bearer("manager"), "X-Request-Id": "from-the-proxy", "X-Forwarded-For": "192.0.2.9"},
            timeout=10,
        )
        assert answer.headers["X-Request-Id"] == "from-the-proxy"
        accepted = requests.post(
            f"{url}/members/manager/groups/acme/samples/count",
            headers={**people.bearer("manager"), "X-Request-Id": "start"},
            timeout=10,
        )
        assert accepted.status_code == 202
        refused = requests.get(f"{url}/none", headers={"X-Request-Id": "a\tb" * 99}, timeout=10)
        made = refused.headers["X-Request-Id"]
        assert re.fullmatch(r"[0-9a-f]{32}", made)
        wait_for(lambda: any(line.get("request") == made for line in lines_in(file)))
    lines = lines_in(file)
    entry = next(line for line in lines if line.get("request") == "from-the-proxy")
    assert (entry["method"], entry["path"], entry["status"]) == ("GET", "/groups/acme/threads", 200)
    assert (entry["address"], entry["member"]) == ("192.0.2.9", "manager")
    start_line = next(line for line in lines if line["message"] == "Thread accepted")
    assert start_line["request"] == "start"
    assert start_line["thread"] in accepted.text
    assert "swordfish" not in file.read_text()
    assert any(line["message"] == "Web process stopping" for line in lines)
