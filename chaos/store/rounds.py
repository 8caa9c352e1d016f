"""Clients that upload, unpack, load, validate, move and export documents again and again, and look at all they get.

Whatever is done is done anew until the store itself, seen past the storm, has it.
"""

from __future__ import annotations

import io
import random
import re
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

import requests

from psthreads.domain.model import Status
from psthreads.threads.leases import CUT_OFF, WORKER_LOST

_DOCUMENTS: Final = 24  # more than an export answers at once
_INVALID: Final = 5
_LARGE_BYTES: Final = 9 * 1024 * 1024  # more than a part
_ANSWER_SECONDS: Final = 150.0
_AGAIN_SECONDS: Final = 0.3
_ROUND_SECONDS: Final = 900.0
_MAY_BE_ASKED_AGAIN: Final = frozenset({429, 503})
_REASONS: Final = ("Killed by signal 9", WORKER_LOST, "Worker restarted", CUT_OFF, "StorageFailed: ", "Redis")
# What a repetition may say of a process that had done all its work before its worker was killed.
_DONE_BEFORE: Final = re.compile(r"no longer in the loading zone|There was nothing to load|does not exist|is absent")
COUNTS: Final = ("lost", "half", "twice", "wrong results", "wrong ends", "wrong answers", "stuck", "left behind")
"""The breaches that are counted; each must be 0."""


def content_of(path: str) -> bytes:
    """Return what the document with this name holds: nobody can take one for another, or a part of one for all."""
    draw = random.Random(path)  # noqa: S311 (anybody may know it)
    if path.endswith(".bin"):
        return draw.randbytes(_LARGE_BYTES)
    number = int(path.rpartition("/")[2].partition(".")[0])
    closing = "" if number < _INVALID else "</d>"
    return f"<d n='{path}'>{draw.randbytes(draw.choice((10, 3_000, 40_000))).hex()}{closing}".encode()


class Ledger:
    """The promises, and every breach of them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.breaches: list[tuple[str, str]] = []
        self.counts: Counter[str] = Counter()
        self.documents: dict[str, str] = {}
        """The path of each document at the end, by the name of its content."""
        self.results: dict[str, bytes] = {}
        """The results by their addresses, as they were when they were first downloaded."""

    def note(self, count: str, sentence: str) -> None:
        """Note a breach."""
        with self.lock:
            self.breaches.append((count, sentence))

    def did(self, name: str) -> None:
        """Count what was done."""
        with self.lock:
            self.counts[name] += 1


class Rounds(threading.Thread):
    """A client that does round after round until it is told to end. `paths` lists what is in a folder, and knows."""

    def __init__(self, number: int, address: str, token: str, ledger: Ledger, paths: Callable[[str], set[str]]) -> None:
        super().__init__(name=f"client {number}", daemon=True)
        self._number = number
        self._address = address
        self._headers = {"Authorization": f"Bearer {token}"}
        self._ledger = ledger
        self._paths = paths
        self.ended = threading.Event()

    def run(self) -> None:
        """Do rounds."""
        count = 0
        while not self.ended.is_set():
            try:
                self._round(f"c{self._number}-r{count}")
            except TimeoutError as error:
                self._ledger.note("stuck", str(error))
                return
            self._ledger.did("rounds")
            count += 1

    def _round(self, name: str) -> None:
        """Take documents all the way: from an archive and single uploads to an export of where they were moved."""
        names = [f"{name}/{number:02}.xml" for number in range(_DOCUMENTS)]
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            for each in names[::2]:
                file.writestr(each, content_of(each))
        uploads = {"in.zip": archive.getvalue(), **{each: content_of(each) for each in names[1::2]}}
        if self._number == 0:
            names.append(f"{name}/large.bin")
            uploads[names[-1]] = content_of(names[-1])
        for path, content in uploads.items():
            self._ask("PUT", f"/upload?group=storm&uploadid={name}&filename={path}", data=content)
            self._ledger.did("uploads")
        zone = f"loading/{name}"
        self._until(
            lambda: self._paths(zone) == {f"/{each}" for each in names},
            "loadingzone/unzip", path="in.zip", uploadid=name,
        )  # fmt: skip
        self._until(lambda: not self._paths(zone), "loadingzone/start", uploadid=name)
        everything = {f"/{each}" for each in names}
        if missing := everything - self._paths(name):
            self._ledger.note("lost", f"{sorted(missing)[:3]} were loaded, and are not there")
        _, message = self._until(None, "validate", path=f"/{name}", warn="true")
        if not message.startswith(f"{_DOCUMENTS} documents: ") or f"{_INVALID} " not in message:
            self._ledger.note("wrong results", f"{_INVALID} of {_DOCUMENTS} in {name} are not well-formed: {message}")
        moved = {f"/moved{path}" for path in everything}
        self._until(
            lambda: self._paths(f"moved/{name}") == moved and not self._paths(name),
            "move", path=f"/{name}", destination=f"/moved/{name}", merge="true",
        )  # fmt: skip
        with self._ledger.lock:
            self._ledger.documents |= {f"/moved/{each}": each for each in names}
        self._export(name, names)

    def _export(self, name: str, names: list[str]) -> None:
        thread_id, _ = self._until(None, "export", path=f"/moved/{name}")
        thread = self._ask("GET", f"/groups/storm/threads/{thread_id}/progress.json").json()
        address = f"/groups/storm/threads/{thread_id}/results/{thread['zip']}"
        content = self._ask("GET", address).content
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as file:
                exported = {path: file.read(path) for path in file.namelist()}
        except (zipfile.BadZipFile, OSError) as error:
            return self._ledger.note("wrong results", f"{address}: {error!r}")
        if exported != {f"moved/{each}": content_of(each) for each in names}:
            self._ledger.note("wrong results", f"{address}: {len(exported)} documents of {len(names)}, or other ones")
        with self._ledger.lock:
            self._ledger.results[address] = content
        self._ledger.did("exports")
        return None

    def _until(self, is_done: Callable[[], bool] | None, service: str, **values: str) -> tuple[str, str]:
        """Start a process until one completes and what it has to do is done; returns its thread's id and message."""
        deadline = time.monotonic() + _ROUND_SECONDS
        while time.monotonic() < deadline:
            thread = self._run(service, values)
            self._ledger.did(f"{service} {thread['status']}")
            is_completed, message = thread["status"] == Status.COMPLETED.value, thread.get("message", "")
            if is_done is None:
                if is_completed:
                    return thread["id"], message
            elif is_done():
                return thread["id"], message
            elif is_completed:
                self._ledger.note("lost", f"{service} {values} completed, and it is not done: {message}")
            if not is_completed and not message.startswith(_REASONS):
                self._look_into(thread, service, values)
        raise TimeoutError(f"{service} {values} did not end well in {_ROUND_SECONDS:g} s")

    def _look_into(self, thread: dict[str, Any], service: str, values: dict[str, str]) -> None:
        """Note an end whose reason is neither the store nor a lost process."""
        log = self._ask("GET", f"/groups/storm/threads/{thread['id']}/logs.json").text
        if thread.get("restarts") or _DONE_BEFORE.search(thread.get("message", "")) or "StorageFailed" in log:
            return
        self._ledger.note("wrong ends", f"{service} {values} failed: {thread.get('message')}")

    def _run(self, service: str, values: dict[str, str]) -> dict[str, Any]:
        answer = self._ask(
            "POST", f"/members/storm/groups/storm/{service}.json",
            data=values, headers={"Idempotency-Key": uuid4().hex}, may_be_refused=True,
        )  # fmt: skip
        if not answer.ok:  # By the check before a start: what a lost execution has done is seen there, too.
            return {"id": "", "status": "failed", "message": WORKER_LOST}
        thread: dict[str, Any] = answer.json()
        if "id" not in thread:  # PageSeeder wraps it for some services.
            thread = next(iter(thread.values()))["thread"]
        while not Status(thread["status"]).is_final:
            time.sleep(_AGAIN_SECONDS)
            thread = self._ask("GET", f"/groups/storm/threads/{thread['id']}/progress.json").json()
        return thread

    def _ask(self, method: str, path: str, *, may_be_refused: bool = False, **more: Any) -> requests.Response:
        """Repeat a request until it is answered."""
        headers = {**self._headers, **more.pop("headers", {})}
        deadline = time.monotonic() + _ROUND_SECONDS
        while time.monotonic() < deadline:
            try:
                answer = requests.request(
                    method, self._address + path, headers=headers, timeout=_ANSWER_SECONDS, **more
                )
            except requests.RequestException:
                time.sleep(_AGAIN_SECONDS)
                continue
            if answer.ok or (may_be_refused and answer.status_code in {404, 409}):
                return answer
            if answer.status_code not in _MAY_BE_ASKED_AGAIN:
                self._ledger.note("wrong answers", f"{method} {path}: {answer.status_code} {answer.text[:200]}")
            time.sleep(_AGAIN_SECONDS)
        raise TimeoutError(f"{method} {path} was not answered in {_ROUND_SECONDS:g} s")
