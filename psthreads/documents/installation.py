"""Whether Redis and the documents' store belong together: they carry one installation's id, made together.

Redis says whose files there are, so a Redis that is new, another one or an older copy must not decide which of them go.
Each process compares at its start and every second or so, and the store's part again before it writes.

The first process of a new installation makes the id: in the store, not confirmed; in Redis, unless that has one by now;
then it confirms the store's. Each step can be done twice and by several processes at once, and a crash between two
of them leaves what the next process goes on with.

Redis's id comes with counts that only grow: the leading janitor adds a tick each second, and notes in the store how far
it has come; each claim of a thread counts one, too. Redis has gone back in time where it has fewer ticks than the store
says, or fewer of either than this process saw.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import Final

from redis import Redis

from psthreads.database.installation import InstallationRecord, RedisRecord
from psthreads.documents.layout import open_marker
from psthreads.documents.marker import NUMBERED, Marker, StoreRecord
from psthreads.domain.config import Config
from psthreads.domain.errors import NotReplicated, Unavailable, WrongInstallation
from psthreads.system.thread_pool import off_the_loop

# A Redis that lost its last seconds in a power failure is not taken for an older copy, once all processes are new.
_NOTED_LATE: Final = 3
# Of a network's file system, the attributes may be a minute old.
_LAGGING: Final = 120
_FRESH_SECONDS: Final = 5.0
_AGAIN_SECONDS: Final = 1.0
_TICK_SECONDS: Final = 0.95  # A janitor may sweep more often.
_ADOPT: Final = "`psthreads admin installation adopt` says that they belong together from now on"
_WHERE: Final = "Nothing is done until that is mended: `psthreads doctor` says on the server what to do."
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why nothing may be done here: one sentence that names it, and one with the remedy.

    `brief` is for everybody, and names no folder. `is_of_redis` says that Redis is the wrong one, so that nothing in it
    may be believed.
    """

    brief: str
    what: str
    remedy: str
    is_of_redis: bool

    def __str__(self) -> str:
        return f"{self.what} {self.remedy}"


class Installation:
    """The installation as one process sees it. `program` says what the process is, in messages.

    It can be used by many Python threads at once.
    """

    def __init__(self, redis: Redis, config: Config, program: str, marker: Marker | None = None) -> None:
        self.marker = marker or open_marker(config)
        self._record = InstallationRecord(redis, config, program)
        self._lock = threading.Lock()
        self._id = ""
        self._seen = self._claims = 0
        self._checked = float("-inf")
        self._mismatch: Mismatch | None = None
        self._refusal = ""
        self._counted = float("-inf")
        self._noted: dict[str, int] = {}

    @property
    def mismatch(self) -> Mismatch | None:
        """The mismatch of the last check, None where all is well."""
        return self._mismatch

    @property
    def refusal(self) -> str:
        """Why some process did not work here at the last check, for everybody, or an empty text."""
        return f"{self._refusal} {_WHERE}" if self._refusal else ""

    @property
    def id(self) -> str:
        """The installation's id, empty before the first check."""
        return self._id

    @property
    def ticks(self) -> int:
        """The highest tick that this process has seen."""
        return self._seen

    @property
    def claims(self) -> int:
        """The highest number of claims that this process has seen."""
        return self._claims

    @property
    def seen(self) -> str:
        """The installation's id, and the ticks and claims that this process has seen, for scripts that compare them."""
        return f"{self._id}:{self._seen}:{self._claims}" if self._id else ""

    def saw(self, ticks: int = 0, claims: int = 0) -> None:
        """Note the ticks, or the number of claims, in an answer of Redis."""
        self._seen, self._claims = max(self._seen, ticks), max(self._claims, claims)

    def check(self, *, count: bool = False, pair: bool = True) -> Mismatch | None:
        """Compare Redis with the store, and return what is wrong; raise Unavailable.

        With `pair`, give both an id where both are new. With `count`, add a tick a second where all is well, and note
        it in the store. Others learn of a mismatch where `pair` is set.
        """
        with self._lock:
            if count := count and time.monotonic() - self._counted >= _TICK_SECONDS:
                self._counted = time.monotonic()
            try:
                mismatch = self._compare(count=count, pair=pair)
            except NotReplicated:
                self._checked = time.monotonic()  # Each look takes a while then, and the others wait for it.
                raise
            if mismatch is not None and pair:
                self._record.refuse(str(mismatch), mismatch.brief)
                if mismatch != self._mismatch:
                    _log.error("%s", mismatch)
            elif self._mismatch is not None and mismatch is None:
                _log.warning("Redis and the documents in the %s belong together again.", self.marker.place)
            self._mismatch = mismatch
            self._checked = time.monotonic()
            return mismatch

    def require(self, fresh: float = _FRESH_SECONDS) -> None:
        """Raise WrongInstallation unless Redis and the store belong together; raise Unavailable.

        The store is looked at each time; Redis where nobody has for `fresh` seconds.
        """
        if time.monotonic() - self._checked > (fresh if self._mismatch is None else _AGAIN_SECONDS):
            try:
                self.check()
            except Unavailable:
                if not self._id:
                    raise
        if self._mismatch is None and not self.marker.is_of(self._id):
            self.check()
        if self._mismatch is not None:
            raise WrongInstallation(f"{self._mismatch.brief} {_WHERE}")

    def shares_no_id(self) -> bool:
        """Return whether Redis is of no installation, or of another one than the store is of. Raises OSError."""
        stored = self.marker.read()
        return stored is not None and self._record.read().id != stored.id

    def adopt(self) -> None:
        """Give Redis and the store one new id, and Redis the higher ticks and ids of both. Raises OSError."""
        with self._lock:
            known, stored = self._record.read(), self.marker.read()
            if stored is None:
                self.marker.create()
            self.marker.note_ids_of_folders()
            installation = secrets.token_hex(16)
            ticks = max(known.ticks, stored.ticks if stored else 0) + 1
            last_ids = {kind: max(self.marker.highest(kind), known.last_ids[kind]) for kind in NUMBERED}
            # The store last: as long as the two differ, nothing is done, and the command can be given again.
            self._record.replace(installation, ticks, last_ids)
            self.marker.note_ticks(ticks)
            self.marker.replace(installation)

    def refusals(self) -> list[str]:
        """Return why processes do not work here, a sentence for each; raise Unavailable."""
        return self._record.refusals()

    def _compare(self, *, count: bool, pair: bool) -> Mismatch | None:
        try:
            # On another Python thread: a disk that hangs must not stop a web process.
            stored = off_the_loop(self.marker.read)
            highest = max(self._seen, stored.ticks if stored else 0)
            identity = (stored.id, highest, stored.ticks) if stored else ()
            known = self._record.read(*identity, count=count)
            self._refusal = known.refusal
            if not known.id and not self._id and (stored is None or not stored.is_confirmed):
                if stored is None and not known.was_used and self.marker.has_files():
                    return self._new_redis("has files of groups")
                if not pair:
                    return None
                known, stored = self._pair()
            return self._judge(known, stored, highest, count=count)
        except OSError as error:
            return _unreadable(self.marker, error)

    def _pair(self) -> tuple[RedisRecord, StoreRecord | None]:
        self.marker.create()
        stored = self.marker.read()
        if stored is not None:
            self._record.pair(stored.id)
        return self._record.read(), stored

    def _judge(self, known: RedisRecord, stored: StoreRecord | None, highest: int, *, count: bool) -> Mismatch | None:
        if not known.id:
            return self._new_redis(f"is of installation {stored.id[:8]}" if stored else "is new, too")
        if stored is None or stored.id != known.id:
            return self._other_store(known, stored)
        if known.id != self._id:  # at the start, or once an operator has given both a new id
            self._id, self._seen, self._claims, highest = known.id, 0, 0, stored.ticks
        claims = max(self._claims, stored.claims)
        if not stored.is_confirmed:
            self.marker.note_ids_of_folders()
            self.marker.replace(known.id)
        if known.ticks < highest or known.claims < claims:
            if highest > stored.ticks or claims > stored.claims:
                self.marker.note_ticks(highest, claims)  # so that all others learn of it, and those to come
            return Mismatch(
                "Redis is older than the documents.",
                f"Redis is older than the documents in the {self.marker.place}: an older copy was restored, or another "
                "Redis answers.",
                f"Do as docs/backup.md says; {_ADOPT}.",
                is_of_redis=True,
            )
        if known.noted - stored.ticks > _LAGGING:
            return Mismatch(
                "The documents are older than Redis, or a copy.",
                f"The documents' {self.marker.place} is older than Redis, or a copy of the right one: "
                "the janitor notes the time in another.",
                f"Mount the right one, or do as docs/backup.md says; {_ADOPT}.",
                is_of_redis=False,
            )
        self.saw(known.ticks, known.claims)
        if count:
            off_the_loop(partial(self._note, known, stored))
        return None

    def _note(self, known: RedisRecord, stored: StoreRecord) -> None:
        try:
            if known.ticks - _NOTED_LATE > stored.ticks:
                self.marker.note_ticks(known.ticks - _NOTED_LATE, stored.claims)
            for kind, last in known.last_ids.items():
                if last > self._noted.get(kind, 0):
                    self.marker.note_id(kind, last)
                    self._noted[kind] = last
        except OSError as error:
            # A disk that is full can still be read: what is not noted now is noted later.
            _log.warning("The documents' %s takes no notes: %s", self.marker.place, error)

    def _other_store(self, known: RedisRecord, stored: StoreRecord | None) -> Mismatch:
        if stored is not None and stored.is_confirmed:
            other = f"is of installation {stored.id[:8]}"
        else:
            other = "is of none: it is new, or its disk is not mounted"
        return Mismatch(
            "The documents' folder is not the one of this Redis.",
            f"The documents' {self.marker.place} is not the one of this Redis: Redis is of installation "
            f"{known.id[:8]}, and the folder {other}.",
            f"Mount the right one, or give web and workers the same PSTHREADS_DOCUMENTS; {_ADOPT}.",
            is_of_redis=bool(self._id) and known.id != self._id,
        )

    def _new_redis(self, why: str) -> Mismatch:
        return Mismatch(
            "Redis is new, or not the one of the documents.",
            f"Redis is new, or not the one of these documents: the {self.marker.place} {why}, and Redis is of none.",
            f"Start the right Redis, or restore it as docs/backup.md says; {_ADOPT}.",
            is_of_redis=True,
        )


def _unreadable(marker: Marker, error: OSError) -> Mismatch:
    reason = error.strerror or str(error)
    return Mismatch(
        "The documents' folder cannot be used.",
        f"The documents' {marker.place} cannot be used: {reason}.",
        "Mount it, give it to the user of web and workers, or name another with PSTHREADS_DOCUMENTS.",
        is_of_redis=False,
    )
