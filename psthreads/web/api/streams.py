"""Following threads over HTTP: Server-Sent Events, and the whole log as a file.

The form of events is that of the HTML standard, "Server-sent events". What is sent is read when it is sent:
a stream keeps no more in memory than the piece that is on its way.
"""

from __future__ import annotations

import json
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from select import select
from typing import Final

from flask import Blueprint, Response, g, request

from psthreads.authoring.parameter import Parameter
from psthreads.domain import access
from psthreads.domain.errors import BadParameter, NotAllowed, NotFound, NotSignedIn, Unavailable
from psthreads.domain.model import SERVER_WIDE, Level, Thread
from psthreads.threads.feed import Behind, Feed, Follower
from psthreads.threads.store import ThreadSnapshot, ThreadStore
from psthreads.web.api.threads import FROM, LEVEL, TAIL, first_event
from psthreads.web.auth.guard import Guard, Watch
from psthreads.web.http import respond
from psthreads.web.http.operation import LAST_EVENT_ID, DeclaredResponse, Operation, Who, declares
from psthreads.web.http.parameters import value_of
from psthreads.web.http.stream_limit import StreamLimit
from psthreads.web.services import Services

_LOOK_SECONDS: Final = 5.0  # between two looks whether a client to whom nothing is sent is still there
_QUIET_LOOKS: Final = 3  # after which a comment shows that the stream lives
_AGAIN_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.25  # between two looks at many threads
_SLOW_SECONDS: Final = 10.0  # how long a client may take nothing before it is dropped; it can resume
_RETRY: Final = "retry: 1000\n\n"  # milliseconds until a browser connects again
_COMMENT: Final = ":\n\n"
_AWAY: Final = ": the store does not answer\n\n"
_FIRST_THREADS: Final = 200
_KNOWN_THREADS: Final = 1_000
_NAMES: Final = {"text": "log", "jsonl": "jsonl", "xml": "xml"}
_KINDS: Final = {
    "text": "text/plain; charset=utf-8",
    "jsonl": "application/jsonl; charset=utf-8",
    "xml": "application/xml; charset=utf-8",
}
_FORMAT: Final = Parameter("format", str, "text", choices=tuple(_NAMES), description="of the file")
_LAST: Final = Parameter("last_event_id", str, "", description="the same as the header Last-Event-ID")
_EVENTS: Final = DeclaredResponse("Server-Sent Events, as long as there are any", ("text/event-stream",))


def make_server_blueprint(services: Services, guard: Guard) -> Blueprint:
    """The streams for the whole server, for administrators."""
    return _make_blueprint("server-streams", "", services, guard, guard.server)


def make_group_blueprint(services: Services, guard: Guard) -> Blueprint:
    """The streams for one group, for contributors and higher."""
    return _make_blueprint("group-streams", "/groups/<group>", services, guard, guard.group)


def _make_blueprint(name: str, base: str, services: Services, guard: Guard, allow: Callable[[], None]) -> Blueprint:
    blueprint = Blueprint(name, __name__)
    blueprint.before_request(allow)

    who = Who.GROUP if base else Who.SERVER

    @declares(
        Operation(
            "Follows a thread: its state and its log as they change",
            who,
            {200: _EVENTS, 204: DeclaredResponse("Its end was sent already")},
            (FROM, TAIL, LEVEL, _LAST),
            (LAST_EVENT_ID,),
        )
    )
    def events(thread: str, **_: str) -> Response:
        found = guard.thread(thread)
        level = value_of(LEVEL)
        first, _tail = first_event()
        if last := _last_event_id():
            if not last.isdecimal():
                raise BadParameter("Last-Event-ID", "The Last-Event-ID must be the number of an event of this log.")
            first = int(last) + 1
            if found.status.is_final and int(last) > services.store.log(found.id, 1, 1).total:
                return Response(status=204)  # The final status was sent: a browser then stops asking.
        stream = _OneThread(services.feed, guard.watch(), _Follower(), found.id, Level(level) if level else None)
        return _stream(stream.events(first), services.stream_limit)

    @declares(Operation("Follows all threads as they change", who, {200: _EVENTS}, (_LAST,), (LAST_EVENT_ID,)))
    def all_events(**_: str) -> Response:
        group = g.caller.group
        stream = _ManyThreads(services.feed, services.store, guard.watch(), _Follower(), group.id if group else None)
        return _stream(stream.events(_last_event_id()), services.stream_limit)

    @declares(
        Operation(
            "Gives a thread's whole log as a file",
            who,
            {200: DeclaredResponse("The log", tuple(kind.partition(";")[0] for kind in _KINDS.values()))},
            (_FORMAT,),
        )
    )
    def download(thread: str, **_: str) -> Response:
        found = guard.thread(thread)
        kind = str(value_of(_FORMAT))
        pieces = _Download(services.store, guard.watch(), found.id, kind).pieces()
        response = Response(pieces, content_type=_KINDS[kind])
        response.headers["Content-Disposition"] = f'attachment; filename="thread-{found.id}.{_NAMES[kind]}"'
        _Follower()
        return response

    for rule, view in (
        ("/threads/events", all_events),
        ("/threads/<thread>/events", events),
        ("/threads/<thread>/logs/download", download),
    ):
        blueprint.add_url_rule(base + rule, view_func=view, methods=["GET"])
    return blueprint


def _stream(events: Iterator[str], stream_limit: StreamLimit) -> Response:
    if not stream_limit.acquire():
        raise Unavailable("This server has as many event streams open as it may: try again in a few seconds.")
    response = Response(events, mimetype="text/event-stream")
    response.call_on_close(stream_limit.release)
    response.headers["X-Accel-Buffering"] = "no"  # A proxy that gathers what it passes on would hold events back.
    return response


class _Follower:
    """The connection of whoever follows, where the server lets it be seen: gunicorn does."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = request.environ.get("gunicorn.socket")
        if self._socket is not None:
            self._socket.settimeout(_SLOW_SECONDS)

    def is_gone(self) -> bool:
        """Whether the client has hung up, which is else noticed only when something is sent."""
        if self._socket is None:
            return False
        try:
            # What can be read is the end, or a next request that came early.
            return bool(select([self._socket], [], [], 0)[0]) and not self._socket.recv(1, socket.MSG_PEEK)
        except ValueError:
            return False  # Through TLS nothing can be peeked at: the next comment that is sent finds out.
        except OSError:
            return True


def _last_event_id() -> str:
    return request.headers.get("Last-Event-ID", "").strip() or str(value_of(_LAST)).strip()


def _event(kind: str, data: object, event_id: str = "") -> str:
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


@lru_cache(maxsize=64)
def _lines(moment: ThreadSnapshot, level: Level | None, with_detail: bool) -> str:  # noqa: FBT001 (a part of the cache's key)
    """The events of a run of a log, made once for all who follow the same thread."""
    return "".join(
        _event("log", respond.log_event(event, with_detail=with_detail), str(event.seq))
        for event in moment.log.events
        if level is None or event.level.is_at_least(level)
    )


def _state(thread: Thread) -> tuple[object, ...]:
    return thread.status, thread.cancelling


@dataclass(frozen=True, slots=True)
class _OneThread:
    """The stream of one thread: its state, each line of its log once, and its final status at the end."""

    feed: Feed
    watch: Watch
    client: _Follower
    thread_id: str
    level: Level | None

    def events(self, first: int) -> Iterator[str]:
        yield _RETRY
        while not self.feed.is_closed:
            try:
                with self.feed.follow(self.thread_id) as follower:
                    yield from self._follow(follower, first)
            except Unavailable:
                yield _AWAY
                time.sleep(_AGAIN_SECONDS)
            except (NotSignedIn, NotAllowed, NotFound):
                return  # Whoever connects again is told why not.
            else:
                return

    def _follow(self, follower: Follower, first: int) -> Iterator[str]:
        shown: Thread | None = None
        again = False
        while not self.feed.is_closed:
            try:
                moment = follower.read(first, again=again)
                self.watch.check(moment.access, (moment.thread,))
            except Unavailable:
                yield _AWAY
                time.sleep(_AGAIN_SECONDS)
                continue
            thread, log = moment.thread, moment.log
            told = _lines(moment, self.level, access.sees_details(self.watch.caller))
            is_whole = log.next > log.total
            if thread.status.is_final and is_whole:
                yield told + _event("status", respond.describe(thread), str(log.total + 1))
                return
            if (shown is None or thread.rev != shown.rev) and not thread.status.is_final:
                kind = "progress" if shown is not None and _state(shown) == _state(thread) else "status"
                told += _event(kind, respond.describe(thread))
                shown = thread
            first = log.next
            if told:
                yield told
            again = False
            if not is_whole:
                continue
            quiet = 0
            while not follower.wait(_LOOK_SECONDS):
                if self.feed.is_closed or self.client.is_gone():
                    return
                quiet += 1
                if quiet == _QUIET_LOOKS:
                    yield _COMMENT
                    again = True  # Should a change have gone unheard, it is seen now.
                    break


class _ManyThreads:
    """The stream of all threads, or those of a group: what is active at first, then what changes."""

    def __init__(self, feed: Feed, store: ThreadStore, watch: Watch, client: _Follower, group_id: int | None) -> None:
        self._feed = feed
        self._store = store
        self._watch = watch
        self._client = client
        self._group_id = group_id
        self._known: OrderedDict[str, Thread] = OrderedDict()

    def events(self, since: str) -> Iterator[str]:
        yield _RETRY
        while not self._feed.is_closed:
            try:
                yield from self._follow(since)
            except Behind:
                if not since:
                    return  # Too slow: whoever connects again gets what is active by then.
                yield _event("reset", {"message": "Too much has changed meanwhile: what is active now follows."})
                since = ""
            except Unavailable:
                yield _AWAY
                time.sleep(_AGAIN_SECONDS)
            except (NotSignedIn, NotAllowed, NotFound):
                return
            else:
                return

    def _follow(self, since: str) -> Iterator[str]:
        with self._feed.follow_many(self._group_id, since) as follower:
            if not since:
                page = self._store.page("active", self._group_id or SERVER_WIDE, 1, _FIRST_THREADS)
                self._watch.recheck()
                yield "".join(self._told(list(reversed(page.threads)))) or _COMMENT
            quiet = 0
            while not (self._feed.is_closed or self._client.is_gone()):
                last, threads, version, gone = follower.read(_LOOK_SECONDS)
                self._watch.check(version, threads)
                told = self._told(threads) + [_event("gone", {"id": each}) for each in sorted(gone)]
                if told:
                    told[-1] = f"id: {last}\n{told[-1]}"
                quiet = 0 if told else quiet + 1
                if told or quiet % _QUIET_LOOKS == 0:
                    yield "".join(told) or _COMMENT
                time.sleep(_PAUSE_SECONDS)

    def _told(self, threads: list[Thread]) -> list[str]:
        told = []
        for thread in threads:
            shown = self._known.get(thread.id)
            if shown is not None and shown.rev >= thread.rev:
                continue
            kind = "progress" if shown is not None and _state(shown) == _state(thread) else "status"
            told.append(_event(kind, respond.describe(thread)))
            self._known[thread.id] = thread
            self._known.move_to_end(thread.id)
            if len(self._known) > _KNOWN_THREADS:
                self._known.popitem(last=False)
        return told


@dataclass(frozen=True, slots=True)
class _Download:
    """A whole log as a file: what there is when it begins, read piece by piece."""

    store: ThreadStore
    watch: Watch
    thread_id: str
    kind: str

    def pieces(self) -> Iterator[str]:
        moment = self.store.follow(self.thread_id, 1, 1)
        end = moment.log.total
        if self.kind == "xml":
            yield respond.log_head(moment.log)
        first = 1
        while first <= end:
            moment = self.store.follow(self.thread_id, first, min(2_000, end - first + 1))
            self.watch.check(moment.access, (moment.thread,))
            if moment.log.next <= first:
                break
            events = [event for event in moment.log.events if event.seq <= end]
            yield respond.log_lines(events, self.kind, with_detail=access.sees_details(self.watch.caller))
            first = moment.log.next
        if self.kind == "xml":
            yield "</logs>\n"
