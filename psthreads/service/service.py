"""The service for Python programs: starts, follows and cancels threads without HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self, cast

from redis import Redis

from psthreads.audit.entries import Origin
from psthreads.authoring.parameter import Value
from psthreads.authoring.plugins import load_all
from psthreads.authoring.process import Answer, Process, Scope
from psthreads.authoring.registry import Registry
from psthreads.database.connection import connect
from psthreads.documents.installation import Installation
from psthreads.documents.layout import open_storage
from psthreads.documents.storage import Storage
from psthreads.domain import access
from psthreads.domain.access import Caller
from psthreads.domain.config import Config
from psthreads.domain.errors import (
    BadParameter,
    MemberNotFound,
    NotAllowed,
    NotFound,
    NotSignedIn,
    ThreadNotFound,
    UnknownParameter,
)
from psthreads.domain.model import Event, Level, LogPage, Thread, is_thread_id
from psthreads.domain.suggestions import hint
from psthreads.identity.credentials import Vouched
from psthreads.identity.directory import Directory
from psthreads.identity.quotas import Quotas
from psthreads.identity.throttles import Throttles
from psthreads.identity.users import User, Users
from psthreads.service import starting
from psthreads.threads.crew import CrewWatch
from psthreads.threads.engine import Engine
from psthreads.threads.feed import Feed
from psthreads.threads.scripts import ThreadScripts
from psthreads.threads.store import ThreadStore

_LOOK_SECONDS: Final = 5.0  # A change whose notification was lost is found after that time.


@dataclass(frozen=True, slots=True)
class Service:
    """psthreads for Python code that shares its Redis and its documents: `Service.from_env().start("export", …)`.

    It trusts its caller, who says for whom things are done. One serves all threads of a program. Nothing is sent to
    Redis before the first call. It is a context manager that closes it. Every method raises Unavailable where Redis is
    away or takes no writes.
    """

    config: Config
    redis: Redis
    directory: Directory
    throttles: Throttles
    scripts: ThreadScripts
    crew: CrewWatch
    store: ThreadStore
    engine: Engine
    feed: Feed
    installation: Installation
    documents: Storage
    registry: Registry
    quotas: Quotas
    users: Users

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Return the service for the settings in the environment, which the workers read too.

        Raises ConfigError for a wrong setting, and for processes that cannot be loaded.
        """
        return cls.make(Config.from_env() if environ is None else Config.from_env(environ))

    @classmethod
    def make(cls, config: Config, program: str = "service") -> Self:
        """Return the service for these settings. `program` says in messages and in the audit what uses it."""
        redis = connect(config.redis_url)
        scripts = ThreadScripts(redis, config)
        crew = CrewWatch(redis, config.queue)
        store = ThreadStore(redis, config, scripts, watch=crew)
        throttles = Throttles(redis, config)
        installation = Installation(redis, config, program)
        directory = Directory(redis, throttles=throttles, config=config, seen=lambda: installation.seen)
        registry = load_all(config.processes)
        return cls(
            config=config,
            redis=redis,
            directory=directory,
            throttles=throttles,
            scripts=scripts,
            crew=crew,
            store=store,
            engine=Engine(redis, config, store, registry),
            feed=Feed(redis, store),
            installation=installation,
            documents=open_storage(config, installation.require),
            registry=registry,
            quotas=Quotas(redis, config),
            users=Users(directory, f"program:{program}"),
        )

    def close(self) -> None:
        """Close the connections, and end those who follow. A program that ends need not do it."""
        self.feed.close()
        self.redis.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(
        self,
        process: str,
        /,
        *,
        member: str | User,
        group: str = "",
        key: str = "",
        traceparent: str = "",
        **parameters: Value,
    ) -> Thread:
        """Start a thread of the process for the member, and return it once it is stored and queued.

        - `member` is a username. With a User, that user is a member with these roles from now on.
        - `group` is the name or the id of the group, for processes that work on one.
        - `key`: the same start again with the same key of the same member returns the same thread.
        - `traceparent` is that of the span which the thread belongs to.
        - `parameters` are those of the process, by their names in Python or on the wire.

        Raises NotFound for an unknown process, BadParameter (MissingParameter, UnknownParameter) for parameters,
        MemberNotFound, GroupNotFound, NotAllowed where the member's role is too low, QuotaReached,
        IdempotencyConflict, and what a check of the process raises. A check that would answer with a file at once does
        not do so here.
        """
        target = self.registry.find(process)
        if target is None:
            names = [each.name for each in self.registry]
            raise NotFound(f"There is no process '{process}': {hint(process, names)}")
        if target.scope is Scope.GROUP and not group:
            raise BadParameter("group", f"The process '{process}' works on a group: say which, with group=….")
        if target.scope is Scope.SERVER and group:
            raise BadParameter("group", f"The process '{process}' works on the whole server: leave 'group' out.")
        values = target.read(_texts(target, parameters))
        caller = self._caller(member, group)
        if not access.may_start(caller, target.role):
            least = f"at least the role {target.role.value} in group '{group}'" if group else "an administrator"
            raise NotAllowed(f"Starting '{process}' needs {least}, which '{caller.member.username}' is not.")
        thread = starting.begin(
            self,
            target,
            values,
            member=caller.member,
            by=Origin(caller.member.username, caller.member.id),
            group=caller.group,
            key=key,
            traceparent=traceparent,
            do=_without_file,
        )
        return cast("Thread", thread)  # _without_file keeps every Answer back.

    def progress(self, thread_id: str) -> Thread:
        """Return the thread as it is now, with its result if it has one. Raises ThreadNotFound."""
        return self.store.with_result(self.store.fetch(_checked(thread_id)))

    def wait(self, thread_id: str, seconds: float) -> Thread:
        """Return the thread once it has ended, or as it is after so many seconds. Raises ThreadNotFound."""
        thread = self.store.fetch(_checked(thread_id))
        return self.store.with_result(self.feed.wait(thread, lambda now: now.status.is_final, seconds))

    def log(self, thread_id: str, first: int = 1, size: int = 200, level: Level | None = None) -> LogPage:
        """Return at most `size` lines of the log from number `first` on, negative from the end.

        With a level, only lines of that level or a graver one. Raises ThreadNotFound.
        """
        return self.store.log(_checked(thread_id), first, min(max(size, 1), 5_000), level)

    def follow(self, thread_id: str, first: int = 1) -> Iterator[Event]:
        """Yield each line of the log once, from number `first` on, as it is written, until the thread has ended.

        Raises ThreadNotFound, also once the thread is deleted.
        """
        with self.feed.follow(_checked(thread_id)) as follower:
            again = False
            while True:
                snapshot = follower.snapshot(first, again=again)
                yield from snapshot.log.events
                first = snapshot.log.next
                if first <= snapshot.log.total:
                    again = False
                    continue
                if snapshot.thread.status.is_final:
                    return
                again = not follower.wait(_LOOK_SECONDS)

    def cancel(self, thread_id: str, *, member: str, force: bool = False, reason: str = "") -> Thread:
        """Cancel the thread on the member's behalf, and return it as it stands after that.

        A thread that runs ends `cancelled` once its code has stopped: within the grace period, or at once with `force`.
        One that has ended stays as it is. Raises ThreadNotFound and MemberNotFound.
        """
        by = self.directory.find_member(member)
        thread = self.store.fetch(_checked(thread_id))
        return self.engine.cancel(thread, by=Origin(by.username, by.id, reason=reason), force=force)

    def _caller(self, member: str | User, group: str) -> Caller:
        if isinstance(member, User):
            self.users.note(member)
            member = member.member
        try:
            return self.directory.identify(Vouched(member), group or None)
        except NotSignedIn:
            raise MemberNotFound(member) from None


def _checked(thread_id: str) -> str:
    if not is_thread_id(thread_id):
        raise ThreadNotFound(thread_id)
    return thread_id


def _texts(process: Process, parameters: Mapping[str, object]) -> dict[str, str]:
    """Return the parameters as a request has them: they are checked by the same rules. Raises BadParameter."""
    wires = {name: each.wire for each in process.parameters for name in (each.name, each.wire)}
    texts = {}
    for name, value in parameters.items():
        if name not in wires:
            raise UnknownParameter(name, [each.wire for each in process.parameters])
        if not isinstance(value, Value):
            kind = type(value).__name__
            raise BadParameter(name, f"Parameter '{name}' is of the type {kind}, but must be str, int, float or bool.")
        texts[wires[name]] = str(value).lower() if isinstance(value, bool) else str(value)
    return texts


def _without_file(check: starting.Check) -> starting.CheckResult:
    result = check()
    if isinstance(result, Answer):
        result.path.unlink(missing_ok=True)
        return None
    return result
