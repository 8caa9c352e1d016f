"""Clients that start, poll, list, cancel and delete threads, and record every answer."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import requests

from chaos.history.calls import NEVER, Call, History, answer_of
from chaos.history.calls import Kind as CallKind
from chaos.processes import KINDS
from psthreads.domain.errors import Unavailable
from psthreads.domain.model import Status

_AGAIN_SECONDS: Final = 0.2
_ANSWER_SECONDS: Final = 40.0
_CANCELLED: Final = 0.25  # of the threads, about
_DELETED: Final = 0.1  # of those that have ended, at most
_DELETE_SECONDS: Final = 2.0
_SETTLED_SECONDS: Final = 2.0  # in which the watch has seen that a thread has ended, and its files
_LIST_SECONDS: Final = 0.5
_LISTED: Final = 50
_SECONDS: Final = (0.05, 3.0)
_POLLERS: Final = 3
_STARTERS: Final = 4


@dataclass
class Seen:
    """The answers that the clients got, guarded by one lock."""

    kinds: dict[str, str] = field(default_factory=dict)
    """The accepted threads: id and kind."""
    final: dict[str, float] = field(default_factory=dict)
    """When the first final answer for each thread was noted, on the monotonic clock."""
    asked: dict[str, float] = field(default_factory=dict)
    """When a thread was first told to be cancelled, on the monotonic clock."""
    cancelled: dict[str, float] = field(default_factory=dict)
    """When a thread that was to be cancelled was first seen to be."""
    deleted: set[str] = field(default_factory=set)
    """The threads that were deleted, or may have been."""
    codes: Counter[int] = field(default_factory=Counter)
    """The number of answers by status code of HTTP."""
    wrong: list[str] = field(default_factory=list)
    """Answers that nobody should get."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, thread: dict[str, Any]) -> None:
        """Note one answer about a thread."""
        with self.lock:
            if Status(thread["status"]).is_final:
                self.final.setdefault(thread["id"], time.monotonic())
                if thread["status"] == "cancelled" and thread["id"] in self.asked:
                    self.cancelled.setdefault(thread["id"], time.monotonic())


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, when its request was sent for the first time and for the last, and when it came."""

    content: dict[str, Any]
    tag: str
    first: float
    begun: float
    ended: float


class Clients:
    """Clients with one member's token, which repeat each request until it is answered, and one that deletes threads.

    They spread the starts, of processes of these `kinds`, over some seconds. No page of the API deletes, so that
    `delete` is the store's own.
    """

    def __init__(
        self,
        address: str,
        token: str,
        trails: Path,
        count: int,
        seed: int,
        seconds: float,
        delete: Callable[[str], object] | None = None,
        kinds: Collection[str] = tuple(KINDS),
    ) -> None:
        self._address = address
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._trails = trails
        self._count = count
        self._lull = 2 * _STARTERS * seconds / count
        self._calm = 2 * seconds / (_CANCELLED * count)
        self._seed = seed
        self._kinds = sorted(kinds)
        self._delete_one = delete
        self._ended = threading.Event()
        self._give_up = float("inf")
        self._starters = self._threads(_STARTERS, self._start_all)
        self._others = [
            *self._threads(_POLLERS, self._poll),
            *self._threads(1, self._cancel),
            *self._threads(1, self._list),
        ]
        self._others += self._threads(1, self._delete) if delete else []
        self.seen = Seen()
        self.history = History()

    def start(self) -> None:
        """Let all of them begin."""
        for thread in (*self._starters, *self._others):
            thread.start()

    @property
    def is_starting(self) -> bool:
        """Return whether some threads were not accepted yet."""
        return any(thread.is_alive() for thread in self._starters)

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
        with requests.Session() as session:
            for _ in range(number, self._count, _STARTERS):
                kind = draw.choice(self._kinds)
                form = {"trail": str(self._trails), "seconds": f"{draw.uniform(*_SECONDS):.2f}"}
                path = f"/members/storm/groups/storm/chaos/{kind}"
                reply = self._ask(session, "POST", path, data=form, headers={"Idempotency-Key": uuid4().hex})
                # It is shown as it was accepted, whenever that was.
                self.history.note(reply.content["id"], Call(CallKind.START, reply.first, reply.ended))
                with self.seen.lock:
                    self.seen.kinds[reply.content["id"]] = kind
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
        reply = self._ask(session, "GET", f"/groups/storm/threads/{thread_id}/progress", may_be_gone=True)
        self._note(CallKind.READ, thread_id, reply.content, reply)

    def _list(self, _number: int, draw: random.Random) -> None:
        with requests.Session() as session:
            while not self._ended.wait(draw.uniform(0, _LIST_SECONDS)):
                status = draw.choice(("active", "finished"))
                reply = self._ask(session, "GET", f"/groups/storm/threads?status={status}&page-size={_LISTED}")
                for thread in reply.content["threads"]:
                    self._note(CallKind.LIST, thread["id"], thread, reply)

    def _note(self, kind: CallKind, thread_id: str, thread: dict[str, Any], reply: Reply) -> None:
        """Note what an answer says about a thread, which is nothing where the thread is gone."""
        answer = answer_of(thread, reply.tag) if thread else None
        self.history.note(thread_id, Call(kind, reply.begun, reply.ended, answer))
        if thread:
            self.seen.note(thread)

    def _cancel(self, _number: int, draw: random.Random) -> None:
        with requests.Session() as session:
            while not self._ended.wait(draw.uniform(0, self._calm)):
                with self.seen.lock:
                    candidates = [known for known in self.seen.kinds if known not in self.seen.final]
                if candidates:
                    thread_id = draw.choice(candidates[:20] or candidates)
                    form = {"force": "true"} if draw.random() < 0.2 else {}  # noqa: PLR2004 (now and then)
                    begun, reply = time.monotonic(), None
                    try:
                        reply = self._ask(session, "POST", f"/groups/storm/threads/{thread_id}/cancel", data=form)
                    finally:
                        if (
                            reply is None or reply.first < reply.begun
                        ):  # One without an answer may have been carried out.
                            self.history.note(thread_id, Call(CallKind.CANCEL, begun, NEVER))
                    thread = reply.content.get("thread") or {}
                    if thread.get("cancelling") or thread.get("status") == "cancelled":
                        with self.seen.lock:
                            self.seen.asked.setdefault(thread_id, reply.first)
                    self._note(CallKind.CANCEL, thread_id, thread, reply)

    def _delete(self, _number: int, draw: random.Random) -> None:
        while self._delete_one is not None and not self._ended.wait(draw.uniform(0, _DELETE_SECONDS)):
            settled = time.monotonic() - _SETTLED_SECONDS
            with self.seen.lock:
                ended = [known for known, at in self.seen.final.items() if at < settled]
                candidates = sorted(set(ended) - self.seen.deleted)
                if len(self.seen.deleted) >= _DELETED * len(ended):
                    continue
                thread_id = draw.choice(candidates)
                self.seen.deleted.add(thread_id)
            begun = time.monotonic()
            try:
                self._delete_one(thread_id)
            except Unavailable:
                self.history.note(thread_id, Call(CallKind.DELETE, begun, NEVER))
            else:
                self.history.note(thread_id, Call(CallKind.DELETE, begun, time.monotonic()))

    def _ask(
        self, session: requests.Session, method: str, path: str, *, may_be_gone: bool = False, **more: Any
    ) -> Reply:
        """Repeat the request until it is answered; every request here may be sent again. What is gone is empty."""
        headers = {**self._headers, **more.pop("headers", {})}
        begun = first = time.monotonic()
        while begun < self._give_up:
            try:
                answer = session.request(method, self._address + path, headers=headers, timeout=_ANSWER_SECONDS, **more)
            except requests.RequestException:
                begun = self._pause()
                continue
            ended = time.monotonic()
            with self.seen.lock:
                self.seen.codes[answer.status_code] += 1
            if answer.status_code in {200, 202}:
                return Reply(answer.json(), answer.headers.get("ETag", ""), first, begun, ended)
            if may_be_gone and answer.status_code == 404:  # noqa: PLR2004 (RFC 9110)
                return Reply({}, "", first, begun, ended)
            if answer.status_code != 503:  # noqa: PLR2004 (RFC 9110)
                with self.seen.lock:
                    self.seen.wrong.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
            begun = self._pause()
        raise TimeoutError(f"{method} {path} was not answered")

    @staticmethod
    def _pause() -> float:
        """Wait a little before the next try; return when that begins."""
        time.sleep(_AGAIN_SECONDS)
        return time.monotonic()
