"""Clients that start, poll and cancel threads while Redis changes places, and note what they were told."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import requests

from psthreads.domain.model import Status

KINDS: Final = ("steady", "restartable", "documents", "results")
_STARTERS: Final = 4
_POLLERS: Final = 2
_AGAIN_SECONDS: Final = 0.1
_ANSWER_SECONDS: Final = 40.0
_SHARE_CANCELLED: Final = 0.1
_OK, _ACCEPTED, _NOT_FOUND, _AWAY = 200, 202, 404, 503


class FailoverClients:
    """Clients with one token. Each repeats a start, under one key, until it is accepted."""

    def __init__(self, address: str, token: str, trails: Path, count: int, seed: int, seconds: float) -> None:
        self._address = address
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._trails = trails
        self._count = count
        self._lull = 2 * _STARTERS * seconds / count
        self._seed = seed
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._starters = [threading.Thread(target=self._start_all, args=(n,), daemon=True) for n in range(_STARTERS)]
        self._pollers = [threading.Thread(target=self._poll, args=(n,), daemon=True) for n in range(_POLLERS)]
        self.accepted: dict[str, str] = {}
        """The kinds of the threads for which 202 was answered."""
        self.ended: dict[str, tuple[str, str]] = {}
        """The first final status that anybody was shown, and when it was."""
        self.cancelled: set[str] = set()
        """The threads of which a cancel was answered with one that is, or is about to be, cancelled."""
        self.undone: set[str] = set()
        """The threads that were shown to have ended, and later otherwise."""
        self.gone: set[str] = set()
        """The threads that were accepted, and later not to be found."""
        self.codes: Counter[int] = Counter()
        self.wrong: list[str] = []
        """Answers that nobody should get."""
        self.starts: list[tuple[float, float]] = []
        """When each accepted request to start was sent and answered, on the monotonic clock."""

    def start(self) -> None:
        """Let all of them begin."""
        for thread in (*self._starters, *self._pollers):
            thread.start()

    @property
    def is_starting(self) -> bool:
        """Return whether there are threads to start still."""
        return any(thread.is_alive() for thread in self._starters)

    def end(self) -> None:
        """Stop polling."""
        self._ended.set()
        for thread in self._pollers:
            thread.join()

    def look_again(self) -> None:
        """Ask once more for every thread that was accepted."""
        with requests.Session() as session:
            for thread_id in list(self.accepted):
                self._look(session, thread_id)

    def _start_all(self, number: int) -> None:
        draw = random.Random(f"{self._seed} start {number}")  # noqa: S311 (a storm need not be secret)
        with requests.Session() as session:
            for _ in range(number, self._count, _STARTERS):
                kind = draw.choice(KINDS)
                path = f"/members/storm/groups/storm/chaos/{kind}"
                form = {"trail": str(self._trails), "seconds": f"{draw.uniform(0.05, 1.5):.2f}"}
                key, answer = uuid4().hex, None
                while answer is None:
                    sent = time.monotonic()
                    answer = self._ask(session, "POST", path, data=form, headers={"Idempotency-Key": key})
                    if answer is None or "id" not in answer:
                        answer = None
                        time.sleep(_AGAIN_SECONDS)
                with self._lock:
                    self.starts.append((sent, time.monotonic()))
                    self.accepted[answer["id"]] = kind
                if draw.random() < _SHARE_CANCELLED:
                    self._cancel(session, answer["id"])
                time.sleep(draw.uniform(0, self._lull))

    def _cancel(self, session: requests.Session, thread_id: str) -> None:
        answer = self._ask(session, "POST", f"/groups/storm/threads/{thread_id}/cancel")
        thread = (answer or {}).get("thread")
        if thread and (thread.get("cancelling") or thread["status"] == "cancelled"):
            with self._lock:
                self.cancelled.add(thread_id)

    def _poll(self, number: int) -> None:
        draw = random.Random(f"{self._seed} poll {number}")  # noqa: S311 (as above)
        with requests.Session() as session:
            while not self._ended.is_set():
                with self._lock:
                    threads = [each for each in self.accepted if each not in self.gone]
                for thread_id in (*threads[-8:], *draw.sample(threads, min(4, len(threads)))):
                    self._look(session, thread_id)
                time.sleep(0.05)

    def _look(self, session: requests.Session, thread_id: str) -> None:
        answer = self._ask(session, "GET", f"/groups/storm/threads/{thread_id}/progress")
        if answer is None:
            return
        with self._lock:
            if not answer:
                self.gone.add(thread_id)
            elif Status(answer["status"]).is_final:
                end = (answer["status"], answer["ended"])
                if self.ended.setdefault(thread_id, end) != end:
                    self.undone.add(thread_id)
            elif thread_id in self.ended:
                self.undone.add(thread_id)

    def _ask(self, session: requests.Session, method: str, path: str, **more: Any) -> dict[str, Any] | None:
        """Return the answer; empty for 404, and None where the service is away."""
        headers = {**self._headers, **more.pop("headers", {})}
        try:
            answer = session.request(method, self._address + path, headers=headers, timeout=_ANSWER_SECONDS, **more)
        except requests.RequestException:
            return None
        with self._lock:
            self.codes[answer.status_code] += 1
            if answer.status_code not in {_OK, _ACCEPTED, _NOT_FOUND, _AWAY}:
                self.wrong.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        if answer.status_code in {_OK, _ACCEPTED}:
            found: dict[str, Any] = answer.json()
            return found
        return {} if answer.status_code == _NOT_FOUND else None
