"""Looks at the store, the files and the processes while the storm lasts, and notes what became of each thread."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from chaos.clients import Clients
from chaos.trails import processes
from psthreads.domain.errors import PsthreadsError
from psthreads.domain.model import Status, Thread
from psthreads.threads.store import ThreadStore

LOOK_SECONDS: Final = 0.1
_PROCESSES_SECONDS: Final = 0.5
_FILES_SECONDS: Final = 5.0
_LAST_EVENTS: Final = 500
_ID: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Change:
    """One answer of the store about a thread: the first, or the first that differs from the one before."""

    at: float
    status: Status
    restarts: int
    message: str


class Watch:
    """Looks at the store ten times a second, and at processes and files less often.

    `orphan_seconds` is how long after its thread's end a process may still live.
    """

    def __init__(
        self, store: ThreadStore, clients: Clients, trails: Path, documents: Path, orphan_seconds: float
    ) -> None:
        self._store = store
        self._clients = clients
        self._trails = trails
        self._documents = documents
        self._orphan_seconds = orphan_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch")
        self.changes: dict[str, list[Change]] = {}
        self.files: dict[str, dict[str, str]] = {}
        """The files of each thread that ended, and what was in them when it was first seen to have ended."""
        self.changed: dict[str, str] = {}
        """A sentence for each thread whose files changed later."""
        self.orphans: dict[int, tuple[str, str]] = {}
        """The thread and a sentence for each process that outlived its thread."""

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def end(self) -> None:
        """Look at everything once more, and stop."""
        self._ended.set()
        self._thread.join()
        time.sleep(self._orphan_seconds)
        self._look_at_processes(time.monotonic())
        self._look_at_files()

    def _look(self) -> None:
        processes_at = files_at = time.monotonic()
        while not self._ended.wait(LOOK_SECONDS):
            with suppress(PsthreadsError):
                self._look_at_store()
            now = time.monotonic()
            if now >= processes_at:
                self._look_at_processes(now)
                processes_at = now + _PROCESSES_SECONDS
            if now >= files_at:
                self._look_at_files()
                files_at = now + _FILES_SECONDS

    def _look_at_store(self) -> None:
        with self._clients.seen.lock:
            running = [each for each in self._clients.seen.kinds if each not in self.files]
        threads, _ = self._store.fetch_many(running)
        at = time.monotonic()
        for thread in threads:
            self._note(thread, at)
        if final := [thread.id for thread in threads if thread.status.is_final]:
            by_thread = contents(self._documents)
            self.files |= {thread_id: by_thread.get(thread_id, {}) for thread_id in final}

    def _note(self, thread: Thread, at: float) -> None:
        changes = self.changes.setdefault(thread.id, [])
        last = changes[-1] if changes else None
        if thread.ended:  # Redis's clock is this computer's, and more precise than a look ten times a second.
            at = min(at, _monotonic(thread.ended))
        if last is not None and thread.restarts > last.restarts:
            at = min(at, self._queued_again(thread.id, at))
        if last is None or (last.status, last.restarts) != (thread.status, thread.restarts):
            changes.append(Change(at, thread.status, thread.restarts, thread.message))

    def _queued_again(self, thread_id: str, at: float) -> float:
        """Return when the thread's log says that it was queued again; `at` where it does not say so any more."""
        events = self._store.log(thread_id, -_LAST_EVENTS).events
        return max((_monotonic(event.timestamp) for event in events if "; queued again" in event.message), default=at)

    def _look_at_processes(self, now: float) -> None:
        for thread_id, process in processes(self._trails):
            changes = self.changes.get(thread_id)
            if changes and changes[-1].status.is_final and now - changes[-1].at > self._orphan_seconds:
                with suppress(psutil.Error):
                    after = f"{now - changes[-1].at:.1f} s after the end"
                    sentence = f"process {process.pid} ({process.status()}) lives {after}"
                    self.orphans.setdefault(process.pid, (thread_id, sentence))

    def _look_at_files(self) -> None:
        by_thread = contents(self._documents)
        for thread_id, before in list(self.files.items()):
            now = by_thread.get(thread_id, {})
            if now != before:
                names = sorted(name for name in before | now if before.get(name) != now.get(name))
                self.changed.setdefault(thread_id, f"after the end changed: {', '.join(names)}")


def _monotonic(milliseconds: int) -> float:
    """Return what the monotonic clock showed at a time of Redis's."""
    return milliseconds / 1000 - time.time() + time.monotonic()


def digest(content: bytes) -> str:
    """Return what tells this content from another."""
    return hashlib.sha256(content).hexdigest()


def contents(documents: Path) -> dict[str, dict[str, str]]:
    """Return for each thread the files that are named after it, with digests of their contents."""
    by_thread: dict[str, dict[str, str]] = {}
    for path in documents.rglob("*"):
        owner = _ID.search(path.name)
        if owner and not path.name.startswith("."):
            with suppress(OSError):
                name = str(path.relative_to(documents))
                by_thread.setdefault(owner[0], {})[name] = digest(path.read_bytes())
    return by_thread
