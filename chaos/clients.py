"""Clients that start, poll and cancel threads over HTTP, and record every answer."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import requests

from chaos.processes import KINDS
from psthreads.domain.model import Status

_AGAIN_SECONDS: Final = 0.2
_ANSWER_SECONDS: Final = 40.0
_CANCELLED: Final = 0.25  # of the threads, about
_SECONDS: Final = (0.05, 3.0)
_POLLERS: Final = 3
_STARTERS: Final = 4


@dataclass
class Seen:
    """The answers that the clients got, guarded by one lock."""

    kinds: dict[str, str] = field(default_factory=dict)
    """The accepted threads: id and kind."""
    final: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    """The first final answer for each thread: status, message and time of the end."""
    ended: dict[str, float] = field(default_factory=dict)
    """When that answer was noted, on the monotonic clock."""
    asked: dict[str, float] = field(default_factory=dict)
    """When a thread was first told to be cancelled, on the monotonic clock."""
    cancelled: dict[str, float] = field(default_factory=dict)
    """When a thread that was to be cancelled was first seen to be."""
    flipped: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    """Answers that nobody should get."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, thread: dict[str, Any], asked: float) -> None:
        """Note one answer about a thread, and when the request was sent."""
        thread_id = thread["id"]
        with self.lock:
            known = self.final.get(thread_id)
            if Status(thread["status"]).is_final:
                told = (thread["status"], thread["message"], thread["ended"])
                if known is None:
                    self.final[thread_id] = told
                    self.ended[thread_id] = time.monotonic()
                elif known != told:
                    self.flipped.add(thread_id)
                if thread["status"] == "cancelled" and thread_id in self.asked:
                    self.cancelled.setdefault(thread_id, time.monotonic())
            elif known is not None and asked > self.ended[thread_id]:  # An older answer may be noted late.
                self.flipped.add(thread_id)


class Clients:
    """Clients with one administrator's token, which repeat each request until it is answered.

    They spread the starts over some seconds.
    """

    def __init__(self, address: str, token: str, trails: Path, count: int, seed: int, seconds: float) -> None:
        self._address = address
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._trails = trails
        self._count = count
        self._lull = 2 * _STARTERS * seconds / count
        self._calm = 2 * seconds / (_CANCELLED * count)
        self._seed = seed
        self._ended = threading.Event()
        self._give_up = float("inf")
        self._starters = self._threads(_STARTERS, self._start_all)
        self._others = [*self._threads(_POLLERS, self._poll), *self._threads(1, self._cancel)]
        self.seen = Seen()

    def start(self) -> None:
        """Let all of them begin."""
        for thread in (*self._starters, *self._others):
            thread.start()

    def wait_for_starts(self) -> None:
        """Wait until every thread was accepted."""
        for thread in self._starters:
            thread.join()

    def end(self) -> None:
        """Stop polling and cancelling."""
        self._ended.set()
        self._give_up = time.monotonic() + _ANSWER_SECONDS
        for thread in self._others:
            thread.join()
        self._give_up = float("inf")

    def look_again(self) -> None:
        """Ask once more for every thread that was accepted."""
        with requests.Session() as session:
            for thread_id in self.seen.kinds:
                self._look(session, thread_id)

    def download(self, thread_id: str, filename: str) -> bytes:
        """Return a result of a thread, as a member of its group gets it; nothing where it is not to be had."""
        url = f"{self._address}/groups/storm/threads/{thread_id}/results/{filename}"
        answer = requests.get(url, headers=self._headers, timeout=_ANSWER_SECONDS)
        return answer.content if answer.ok else b""

    def _threads(self, count: int, work: Callable[[int, random.Random], None]) -> list[threading.Thread]:
        return [
            threading.Thread(target=work, args=(number, random.Random(f"{self._seed} {work.__name__} {number}")))  # noqa: S311 (a storm need not be secret)
            for number in range(count)
        ]

    def _start_all(self, number: int, draw: random.Random) -> None:
        kinds = sorted(KINDS)
        with requests.Session() as session:
            for _ in range(number, self._count, _STARTERS):
                kind = draw.choice(kinds)
                form = {"trail": str(self._trails), "seconds": f"{draw.uniform(*_SECONDS):.2f}"}
                path = f"/members/storm/groups/storm/chaos/{kind}"
                answer = self._ask(session, "POST", path, data=form, headers={"Idempotency-Key": uuid4().hex})
                with self.seen.lock:
                    self.seen.kinds[answer["id"]] = kind
                time.sleep(draw.uniform(0, self._lull))

    def _poll(self, _number: int, draw: random.Random) -> None:
        with requests.Session() as session:
            while not self._ended.is_set():
                with self.seen.lock:
                    running = [known for known in self.seen.kinds if known not in self.seen.final]
                    ended = list(self.seen.final)
                # Those that have ended are asked for, too: they must stay as they are.
                for thread_id in (*draw.sample(running, min(8, len(running))), *draw.sample(ended, min(2, len(ended)))):
                    self._look(session, thread_id)
                time.sleep(0.02)

    def _look(self, session: requests.Session, thread_id: str) -> None:
        asked = time.monotonic()
        self.seen.note(self._ask(session, "GET", f"/groups/storm/threads/{thread_id}/progress"), asked)

    def _cancel(self, _number: int, draw: random.Random) -> None:
        with requests.Session() as session:
            while not self._ended.wait(draw.uniform(0, self._calm)):
                with self.seen.lock:
                    candidates = [known for known in self.seen.kinds if known not in self.seen.final]
                if candidates:
                    thread_id = draw.choice(candidates[:20] or candidates)
                    asked = time.monotonic()
                    form = {"force": "true"} if draw.random() < 0.2 else {}  # noqa: PLR2004 (now and then)
                    path = f"/groups/storm/threads/{thread_id}/cancel"
                    thread = self._ask(session, "POST", path, data=form)["thread"]
                    if thread.get("cancelling") or thread["status"] == "cancelled":
                        with self.seen.lock:
                            self.seen.asked.setdefault(thread_id, asked)
                    self.seen.note(thread, asked)

    def _ask(self, session: requests.Session, method: str, path: str, **more: Any) -> dict[str, Any]:
        """Repeat the request until it is answered; every request here may be sent again."""
        headers = {**self._headers, **more.pop("headers", {})}
        while time.monotonic() < self._give_up:
            try:
                answer = session.request(method, self._address + path, headers=headers, timeout=_ANSWER_SECONDS, **more)
            except requests.RequestException:
                time.sleep(_AGAIN_SECONDS)
                continue
            if answer.status_code in {200, 202}:
                found: dict[str, Any] = answer.json()
                return found
            if answer.status_code != 503:  # noqa: PLR2004 (RFC 9110)
                with self.seen.lock:
                    self.seen.wrong.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
            time.sleep(_AGAIN_SECONDS)
        raise TimeoutError(f"{method} {path} was not answered")
