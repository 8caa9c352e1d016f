"""Take documents through every process while their object store fails, stalls and is slow, and programs are killed.

The exit code is 1 where a document was lost, was half there or in two places, or where a result was wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Final

import psutil
import requests

from chaos.failing_store import FailingStore
from chaos.store.rounds import COUNTS, Ledger, Rounds, content_of
from chaos.world import ROOT, Program, kin, strike, wait_until
from psthreads.audit.entries import SETUP
from psthreads.database.connection import connect
from psthreads.documents.layout import open_storage
from psthreads.documents.objects.client import ObjectStore
from psthreads.documents.paths import TEMPORARY
from psthreads.documents.storage import Storage
from psthreads.domain.access import Group, Member, Role
from psthreads.domain.config import Config
from psthreads.identity.directory import Directory
from psthreads.local.programs import SUPERVISOR, WEB, free_port
from psthreads.local.server import RedisServer
from tools.object_store import ObjectServer

_CLIENTS: Final = 4
_READY_SECONDS: Final = 60.0
_GUST_SECONDS: Final = (1.0, 5.0)
_CALM_SECONDS: Final = (1.0, 6.0)
_IN_A_GUST, _IN_A_CALM = 0.25, 0.02  # of the requests that fail
_STALLED: Final = 0.02  # of those that fail: each waits for longer than the client does
_STALL_SECONDS: Final = 33.0
_KILL_SECONDS: Final = (3.0, 12.0)
_MOST_SHOWN: Final = 20
_TARGET: Final = Path("var/store.json")
_KEPT: Final = Path("var/store")
_FOLDER: Final = f"{TEMPORARY}folder"


class Weather:
    """Decides which requests fail, by a seed: few, and in gusts many."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)  # noqa: S311 (a storm need not be secret)
        self._lock = threading.Lock()
        self._until, self._share = 0.0, 0.0

    def choose(self, method: str, target: str) -> str:
        """Return how a request fails, empty for not at all."""
        with self._lock:
            if (now := time.monotonic()) > self._until:
                is_gust = self._share != _IN_A_GUST
                self._share = _IN_A_GUST if is_gust else _IN_A_CALM
                self._until = now + self._draw.uniform(*(_GUST_SECONDS if is_gust else _CALM_SECONDS))
            if self._draw.random() > self._share:
                return ""
            if self._draw.random() < _STALLED:
                return "stall"
            is_completion = method == "POST" and "uploadId" in target
            return self._draw.choice(
                ["slow-down", "cut", "lose", "half", *(["error-200"] * 2 if is_completion else [])]
            )


def main() -> int:
    """Run the storm; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make chaos STORE=s3", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--seconds", type=float, default=120, help="in which rounds begin")
    arguments = parser.parse_args()
    print(f"A storm of {arguments.seconds:g} s over an object store, seed {arguments.seed}.", flush=True)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="psthreads-store-") as name:
        ledger, failures = _blow(Path(name), arguments)
        if ledger.breaches:
            shutil.rmtree(_KEPT, ignore_errors=True)
            shutil.copytree(name, _KEPT, ignore=shutil.ignore_patterns("*.sock"))
    for count, sentence in ledger.breaches[:_MOST_SHOWN]:
        print(f"  {count}: {sentence}")
    broken = Counter(count for count, _ in ledger.breaches)
    figures = {
        **{f"requests {way or 'in all'}": count for way, count in sorted(failures.items())},
        **dict(sorted(ledger.counts.items())),
        "documents": len(ledger.documents),
        **{count: broken[count] for count in COUNTS},
        "seconds": round(time.monotonic() - begun),
    }
    width = max(map(len, figures))
    for figure, value in figures.items():
        print(f"  {figure:<{width}}  {value}")
    _TARGET.parent.mkdir(exist_ok=True)
    _TARGET.write_text(json.dumps({"seed": arguments.seed, **figures}, indent=2) + "\n")
    print(f"A promise was broken: logs in {_KEPT}." if ledger.breaches else "Every promise was kept.")
    return int(bool(ledger.breaches))


def _blow(folder: Path, arguments: argparse.Namespace) -> tuple[Ledger, Counter[str]]:
    weather, ledger = Weather(arguments.seed), Ledger()
    with (
        RedisServer(folder / "redis") as redis_server,
        ObjectServer(folder / "object-store.log") as server,
        FailingStore(server.endpoint, stall_seconds=_STALL_SECONDS) as proxy,
        connect(redis_server.url) as redis,
    ):
        os.environ.update(server.environment)
        config = Config(
            redis_url=redis_server.url,
            port=free_port(),
            workers=3,
            group_threads=3,
            documents=Path(server.new_url()),
            endpoint=proxy.endpoint,
            scratch=folder / "scratch",
            grace=2,
            heartbeat=0.5,
            lost_after=4,
            starts_per_member="off",
            shutdown=2,
        )
        directory = Directory(redis).by(SETUP)
        member, group = directory.add_member("storm", "a password for a storm"), directory.add_group("storm")
        directory.set_membership(member, group, Role.MANAGER)
        token = directory.create_token(member, "storm")
        calm = replace(config, endpoint=server.endpoint)
        storage = open_storage(calm)
        web = Program("web", replace(config, scratch=folder / "web"), WEB, folder / "web.log")
        worker = Program("worker", config, SUPERVISOR, folder / "worker.log")
        address = f"http://127.0.0.1:{config.port}"
        clients = [
            Rounds(number, address, token, ledger, lambda path: _paths(storage, group, member, path))
            for number in range(_CLIENTS)
        ]
        for program in (web, worker):
            program.start()
        try:
            wait_until(lambda: _is_ready(address, token), _READY_SECONDS, "The programs did not start.")
            proxy.choice = weather.choose
            _strike(arguments, clients, (web, worker))
            proxy.choice = lambda _method, _target: ""
            wait_until(lambda: proxy.on_their_way == 0, _STALL_SECONDS + _READY_SECONDS, "Some request never ended.")
            _judge(ledger, storage, group, ObjectStore(calm.store_url, calm.endpoint), address, token)
        finally:
            for program in (worker, web):
                program.stop()
        ledger.breaches += [
            ("left behind", f"{path} is in the scratch space")
            for path in (folder / "scratch", folder / "web")
            if path.exists()
            for path in path.rglob("*")
        ]
        return ledger, proxy.counts


def _paths(storage: Storage, group: Group, member: Member, path: str) -> set[str]:
    """Return the paths of the documents below a folder, or, for loading/ID, of the files in a loading zone."""
    first, _, rest = path.partition("/")
    if first == "loading":
        zone = storage.loading_zone(group, member.id).of_upload(rest)
        return {document.path for document in zone.walk(lambda _path, _reason: None)}
    return {document.path for document in storage.group(group).walk() if document.path.startswith(f"/{path}/")}


def _is_ready(address: str, token: str) -> bool:
    try:
        text = requests.get(f"{address}/readyz", headers={"Authorization": f"Bearer {token}"}, timeout=10).text
    except requests.RequestException:
        return False
    return " 3 workers" in text


def _strike(arguments: argparse.Namespace, clients: list[Rounds], programs: tuple[Program, Program]) -> None:
    """Let the clients work, and kill a program now and then, until they have ended their last rounds."""
    draw = random.Random(arguments.seed)  # noqa: S311 (as above)
    for client in clients:
        client.start()
    begun, due = time.monotonic(), 0.0
    while any(client.is_alive() for client in clients):
        now = time.monotonic() - begun
        if now > arguments.seconds:
            for client in clients:
                client.ended.set()
        elif now > due:
            due = now + draw.uniform(*_KILL_SECONDS)
            _kill_one(draw, programs)
        for program in programs:
            program.keep()
        time.sleep(0.2)


def _kill_one(draw: random.Random, programs: tuple[Program, Program]) -> None:
    """Kill a web process, a worker or a horse."""
    web, worker = programs
    workers = [each for supervisor in worker.children() for each in kin(supervisor.pid)]
    horses: list[psutil.Process] = [horse for each in workers for horse in kin(each.pid)]
    victims = draw.choice([horses, horses, workers, web.children()])
    if victims:
        strike(draw.choice(victims).pid, signal.SIGKILL)


def _judge(ledger: Ledger, storage: Storage, group: Group, store: ObjectStore, address: str, token: str) -> None:
    """Compare what is stored with what was promised."""
    documents = storage.group(group)
    stored = {document.path for document in documents.walk()}
    for path, name in ledger.documents.items():
        if path not in stored:
            ledger.note("lost", path)
        elif documents.read(path, 1 << 30) != content_of(name):
            ledger.note("half", path)
    for path in stored - ledger.documents.keys():
        ledger.note("twice", f"{path} should not be there any more")
    for key in (each.key for each in store.each("")):
        if key.startswith("loading/") or (f"/{TEMPORARY}" in key and not key.endswith(_FOLDER)):
            ledger.note("left behind", key)
    for path, content in ledger.results.items():
        answer = requests.get(f"{address}{path}", headers={"Authorization": f"Bearer {token}"}, timeout=60)
        if answer.content != content:
            ledger.note("wrong results", f"{path} is not what it was: {answer.status_code}")


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
