"""The janitor: finds threads that no worker runs any more, and ends them or queues them again.

It also has the files of threads that do not exist any more removed (file_sweeper.py), and brings the shared settings
into force.

It runs in every web process and in every supervisor of workers, so that it runs as long as any of them lives; a lock
makes one of them the leader. It acts only on what it has seen for a while by its own monotonic clock, without losing
Redis or the lead meanwhile: a lease counts as run out when it was not renewed while the janitor looked on, whatever the
clock of Redis says.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import Final
from uuid import uuid4

from redis import Redis
from redis.exceptions import RedisError

from psthreads.database.connection import durability_warning, translate_errors
from psthreads.database.shared_settings import AGREE_SECONDS, SharedSettings
from psthreads.documents.installation import Installation
from psthreads.domain.config import Config
from psthreads.domain.errors import Unavailable
from psthreads.identity.quotas import Quotas
from psthreads.threads import crew
from psthreads.threads.file_sweeper import FileSweeper
from psthreads.threads.leases import LOST, SWEEP, LeaseEntry
from psthreads.threads.store import ThreadStore

_LOCK: Final = "ps:janitor"
_SWEEP_SECONDS: Final = 1.0
_LEADS: Final = 3  # sweeps, after which another one leads where the leader died
_SURVEYED: Final = 100
_STOP_SECONDS: Final = 1.0
_log = logging.getLogger(__name__)


class Janitor:
    """Sweeps every second while it leads. The process that owns it calls `start` and `stop`.

    While another one leads it observes the leases, so that it need not begin to count when that one dies.
    """

    def __init__(
        self,
        redis: Redis,
        config: Config,
        store: ThreadStore,
        settings: SharedSettings | None = None,
        installation: Installation | None = None,
    ) -> None:
        self._redis = redis
        self._settings = settings
        self._agree_at = time.monotonic()
        self._store = store
        self._queue = config.queue
        self._pause = min(_SWEEP_SECONDS, SWEEP * config.lost_after)
        # A worker that is alive claims what it took within one heartbeat.
        self._patience = config.heartbeat + self._pause
        self._name = uuid4().hex
        self._waiting: dict[str, float] = {}
        self._leases: dict[LeaseEntry, float] = {}
        self._installation = installation or Installation(redis, config, "janitor")
        self._files = FileSweeper(config, store, self._installation, Quotas(redis, config))
        self._leads = False
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Sweep in the background, until `stop`."""
        self._thread = threading.Thread(target=self._run, name="janitor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop sweeping, and let another janitor lead at once; wait for a Redis that does not answer 1 s at most."""
        self._stopped.set()
        if self._thread is None:
            self._withdraw()
        else:
            self._thread.join(_STOP_SECONDS)

    def _withdraw(self) -> None:
        with suppress(RedisError, Unavailable):
            if self._settings is not None:
                self._settings.withdraw()
            if self._redis.get(_LOCK) == self._name.encode():
                self._redis.delete(_LOCK)

    def sweep(self) -> list[str]:
        """Check all threads once; return a sentence for each action. Raises Unavailable."""
        mismatch = self._installation.check(count=self._leads)
        # One that sees other files leaves the lead to one that can look after them.
        self._leads = mismatch is None and self._store.lead(self._name, _LEADS * self._pause)
        if mismatch is not None and mismatch.is_of_redis:
            self._forget()
            return []
        asked = time.monotonic()
        survey = self._store.survey(_SURVEYED if self._leads else 0)
        answered = time.monotonic()
        # How long nothing has changed is known from the first answer to the latest request, and not a moment longer.
        self._leases = {lease: self._leases.get(lease, answered) for lease in survey.leases}
        if not self._leads:
            self._waiting.clear()
            return []
        with translate_errors():
            crew.forget_lost(self._redis, self._queue)
        actions = []
        for group_id in survey.blocked:  # No patience is needed: the script checks again.
            self._store.unblock(group_id)
            actions.append(f"Group {group_id}: threads waited for slots that nobody used")
        for lease, since in self._leases.items():
            if asked - since >= LOST * survey.shortest_lease:  # The script knows the lease of this thread.
                verdict = self._store.declare_lost(lease, asked - since)
                if verdict:
                    actions.append(f"Thread {lease.thread_id}: worker lost, {verdict}")
        unclaimed = {*survey.taken, *survey.stranded}
        self._waiting = {thread_id: self._waiting.get(thread_id, answered) for thread_id in unclaimed}
        for thread_id, since in list(self._waiting.items()):
            if asked - since >= self._patience:
                del self._waiting[thread_id]
                if self._store.recover(thread_id):
                    actions.append(f"Thread {thread_id}: taken by no worker, queued again")
        return actions

    def _forget(self) -> None:
        """Begin to observe anew."""
        self._waiting.clear()
        self._leases.clear()

    @staticmethod
    def has_leader(redis: Redis) -> bool:
        """Return whether some janitor leads now. Raises Unavailable."""
        with translate_errors():
            return bool(redis.exists(_LOCK))

    def _agree(self) -> None:
        if self._settings is not None and time.monotonic() >= self._agree_at:
            self._settings.agree()
            self._agree_at = time.monotonic() + AGREE_SECONDS

    def _run(self) -> None:
        with suppress(RedisError, Unavailable):
            if warning := durability_warning(self._redis):
                _log.warning(warning)
        while True:
            with suppress(RedisError, Unavailable):
                self._agree()
            if self._stopped.wait(self._pause):
                return self._withdraw()
            try:
                for sentence in self.sweep():
                    _log.warning(sentence)
                if self._leads:
                    self._files.sweep_when_due()
            except (RedisError, Unavailable):
                self._forget()
            except OSError as error:
                _log.warning("Files of threads that are gone cannot be removed: %s", error)
            except Exception:  # noqa: BLE001 (what one thread's record holds must not end the care for all others)
                _log.exception("A sweep has failed")
