"""Another Redis under running programs: an empty one, or an older copy. It has a world of its own.

What was accepted since is unknown to such a Redis, so a storm cannot go on in it. What must hold: no file goes, no
thread that ended is shown otherwise, no thread runs twice that may not, everybody is told; and once the right Redis is
back, everything is as it was.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests

from chaos.counting import Breach
from chaos.outcome import admit
from chaos.trails import executions
from chaos.watch import contents
from chaos.world import ROOT, World, wait_until
from psthreads.database.connection import connect
from psthreads.documents.installation import Installation
from psthreads.domain.errors import Unavailable
from psthreads.domain.model import Status
from psthreads.identity.directory import Directory
from psthreads.identity.quotas import Quotas
from psthreads.threads.file_sweeper import FileSweeper
from psthreads.threads.store import ThreadStore

EMPTY, OLDER = "empty-redis", "older-redis"
"""The names of the two faults."""

_READY_SECONDS: Final = 60.0
_SETTLE_SECONDS: Final = 6.0  # in which every process has looked at the store, and every lease has run out
_OLD_SECONDS: Final = 7200.0
_DONE: Final = ("restartable", "results", "steady", "documents")
_SHORT: Final = "0.5"
_LONG: Final = "4"
_DATA: Final = "appendonlydir"
_REMEDY: Final = "docs/backup.md"


@dataclass(frozen=True, slots=True)
class _Answers:
    """The answers of all programs while the wrong Redis was there."""

    is_ready: bool
    has_started: bool
    doctor: str
    shown: dict[str, str]
    group_id: int


class WrongRedis:
    """One scenario: threads end and run, Redis is exchanged and put back. `fault` is EMPTY or OLDER."""

    def __init__(self, folder: Path, fault: str) -> None:
        self._name = fault
        self._trails = folder / "trails"
        self._trails.mkdir(parents=True)
        self._world = World(folder, machines=1, workers=2)
        self._token = ""
        self._last_group_id = 0

    def breaches(self) -> Iterator[Breach]:
        """Run it, and return every broken promise."""
        with self._world as world:
            self._set_up()
            wait_until(lambda: self._is_ready() and len(world.workers()) > 1, _READY_SECONDS)
            before = [self._start(kind, _SHORT) for kind in _DONE]
            queued = [self._start("steady", _LONG) for _ in range(3)]
            if self._name == OLDER:
                # In the copy, these run or wait; by the time it is put in place they have ended.
                self._exchange(self._copy)
            self._last_group_id = self._add_group("late")
            ended = self._wait_for([*before, *queued])
            files = contents(world.config.documents)
            self._age()
            running = [self._start(kind, _LONG) for kind in ("steady", "restartable", "steady")]
            wait_until(lambda: any(run.thread_id in running for run in executions(self._trails)), _READY_SECONDS)
            self._exchange(self._replace)
            time.sleep(_SETTLE_SECONDS)
            self._sweep()
            answers = self._look([*before, *queued])
            self._exchange(self._put_back)
            wait_until(self._is_ready, _READY_SECONDS)
            yield from self._compare(answers, ended, running, files)

    def _set_up(self) -> None:
        with connect(self._world.config.redis_url) as redis:
            self._token, _ = admit(redis, admin=True)

    def _compare(
        self, answers: _Answers, ended: dict[str, str], running: list[str], files: dict[str, dict[str, str]]
    ) -> Iterator[Breach]:
        yield from self._of_answers(answers)
        again = self._wait_for([*ended, *running])
        for thread_id, status in ended.items():
            for shown in {answers.shown.get(thread_id, status), again.get(thread_id, "gone")} - {status}:
                yield Breach("flipped", thread_id, f"{self._name}: was {status}, and then {shown}")
        for thread_id in set(running) - set(again):
            yield Breach("stuck", thread_id, f"{self._name}: never ended once the right Redis was back")
        yield from self._of_files(files)
        yield from self._of_runs()

    def _of_answers(self, answers: _Answers) -> Iterator[Breach]:
        if answers.is_ready:
            yield Breach("wrong answers", "", f"{self._name}: /readyz was ok")
        if answers.has_started:
            yield Breach("wrong answers", "", f"{self._name}: a thread was accepted")
        if _REMEDY not in answers.doctor:
            yield Breach("wrong answers", "", f"{self._name}: the doctor did not see it")
        if 0 < answers.group_id <= self._last_group_id:
            yield Breach("misplaced", "", f"{self._name}: id {answers.group_id} was given to a second group")

    def _of_files(self, files: dict[str, dict[str, str]]) -> Iterator[Breach]:
        now = contents(self._world.config.documents)
        for thread_id, names in files.items():
            if now.get(thread_id) != names:
                yield Breach("results changed", thread_id, f"{self._name}: its files are others, or gone")
            for path in names:
                if path.startswith("results/") and not self._download(thread_id, Path(path).name):
                    yield Breach("results changed", thread_id, f"{self._name}: {path} cannot be downloaded")

    def _of_runs(self) -> Iterator[Breach]:
        runs = Counter(run.thread_id for run in executions(self._trails))
        with connect(self._world.config.redis_url) as redis:
            threads, _ = ThreadStore(redis, self._world.config).fetch_many(list(runs))
        for thread in threads:
            if runs[thread.id] > 1 + thread.restarts:
                yield Breach("ran twice", thread.id, f"{self._name}: ran {runs[thread.id]} times")

    # Redis's data, while it is down.

    def _exchange(self, change: Any) -> None:
        """Kill Redis, change its data, and start it again."""
        self._world.redis.kill()
        change(self._world.redis.folder)
        self._world.redis.start()

    @staticmethod
    def _copy(folder: Path) -> None:
        shutil.copytree(folder / _DATA, folder / "older")

    @staticmethod
    def _replace(folder: Path) -> None:
        (folder / _DATA).rename(folder / "right")
        if (folder / "older").exists():
            (folder / "older").rename(folder / _DATA)

    @staticmethod
    def _put_back(folder: Path) -> None:
        shutil.rmtree(folder / _DATA)
        (folder / "right").rename(folder / _DATA)

    # What people and programs see.

    def _age(self) -> None:
        """Make all files as old as those that a janitor may remove."""
        then = time.time() - _OLD_SECONDS
        for path in self._world.config.documents.rglob("*"):
            if path.is_file() and not path.name.startswith("."):
                os.utime(path, (then, then))

    def _ask(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        return requests.request(method, self._world.address + path, headers=headers, timeout=20, **more)

    def _is_ready(self) -> bool:
        try:
            return self._ask("GET", "/readyz").ok
        except requests.RequestException:
            return False

    def _start(self, kind: str, seconds: str) -> str:
        form = {"trail": str(self._trails), "seconds": seconds}
        answer = self._ask("POST", f"/members/storm/groups/storm/chaos/{kind}", data=form)
        return str(answer.json()["id"])

    def _status(self, thread_id: str) -> str:
        """Return what the service says, an empty text where it says nothing of the thread."""
        answer = self._ask("GET", f"/threads/{thread_id}/progress")
        return str(answer.json()["status"]) if answer.ok else ""

    def _download(self, thread_id: str, filename: str) -> bool:
        return self._ask("GET", f"/threads/{thread_id}/results/{filename}").ok

    def _wait_for(self, thread_ids: list[str]) -> dict[str, str]:
        """Wait until all have ended, and return how; without those that have not."""
        final: dict[str, str] = {}

        def look() -> bool:
            for thread_id in set(thread_ids) - set(final):
                status = self._status(thread_id)
                if status and Status(status).is_final:
                    final[thread_id] = status
            return len(final) == len(thread_ids)

        wait_until(look, _READY_SECONDS)
        return final

    def _sweep(self) -> None:
        """Remove the files of vanished threads, as the leading janitor does every ten minutes."""
        config = self._world.config
        with connect(config.redis_url) as redis, suppress(Unavailable):
            store, installation = ThreadStore(redis, config), Installation(redis, config, "storm")
            FileSweeper(config, store, installation, Quotas(redis, config)).sweep()

    def _look(self, thread_ids: list[str]) -> _Answers:
        form = {"trail": str(self._trails), "seconds": _SHORT}
        statuses = {thread_id: self._status(thread_id) for thread_id in thread_ids}
        return _Answers(
            is_ready=self._is_ready(),
            has_started=self._ask("POST", "/members/storm/groups/storm/chaos/steady", data=form).ok,
            doctor=self._command("doctor"),
            shown={thread_id: status for thread_id, status in statuses.items() if status},
            group_id=self._add_group("other"),
        )

    def _add_group(self, name: str) -> int:
        """Return the new group's id, 0 where it was refused."""
        self._command("admin", "group", "add", name)
        with connect(self._world.config.redis_url) as redis:
            return next((group.id for group in Directory(redis).groups() if group.name == name), 0)

    def _command(self, *words: str) -> str:
        environment = {**os.environ, **self._world.config.to_env()}
        command = [sys.executable, "-m", "psthreads", *words]
        ran = subprocess.run(  # noqa: S603 (our own program)
            command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=60
        )
        return ran.stdout + ran.stderr
