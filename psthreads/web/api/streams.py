"""Following threads over HTTP: the routes of the event streams, and of a whole log as a file."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from select import select
from typing import Final

from flask import Blueprint, Response, g, request

from psthreads.authoring.parameter import Parameter
from psthreads.domain import access
from psthreads.domain.access import Caller
from psthreads.domain.model import Level
from psthreads.threads.store import ThreadStore
from psthreads.web.api.event_streams import AllThreadsStream, ThreadStream
from psthreads.web.api.levels import ServiceLevel
from psthreads.web.api.threads import FROM, LEVEL, TAIL, first_event
from psthreads.web.auth.guard import Guard, Watch
from psthreads.web.http import respond
from psthreads.web.http.operation import LAST_EVENT_ID, DeclaredResponse, Operation, declares
from psthreads.web.http.parameters import entry_id, event_number, value_of
from psthreads.web.http.stream_limit import StreamLimit
from psthreads.web.services import Services

_NAMES: Final = {"text": "log", "jsonl": "jsonl", "xml": "xml"}
_KINDS: Final = {
    "text": "text/plain; charset=utf-8",
    "jsonl": "application/jsonl; charset=utf-8",
    "xml": respond.XML,
}
_FORMAT: Final = Parameter("format", str, "text", choices=tuple(_NAMES), description="of the file")
_LAST: Final = Parameter("last_event_id", str, "", description="the same as the header Last-Event-ID")
_EVENTS: Final = DeclaredResponse("Server-Sent Events, until the stream ends", ("text/event-stream",))


def make_blueprint(services: Services, guard: Guard, level: ServiceLevel) -> Blueprint:
    """Return the streams and the download of a level."""
    blueprint = level.make_blueprint("streams")

    @blueprint.get(f"{level.path}/threads/<thread>/events")
    @declares(
        Operation(
            "Streams a thread's state and its log as they change",
            level.who,
            {200: _EVENTS, 204: DeclaredResponse("The client has the final event already")},
            (FROM, TAIL, LEVEL, _LAST),
            (LAST_EVENT_ID,),
        )
    )
    def events(**path: str) -> Response:
        thread = guard.thread(path["thread"])
        lowest = value_of(LEVEL)
        first, _tail = first_event()
        if text := _last_event_id():
            last = event_number("Last-Event-ID", text)
            first = last + 1
            if thread.status.is_final and last > services.store.log(thread.id, 1, 1).total:
                return Response(status=204)  # The client has the final status; 204 stops a browser's reconnecting.
        stream = ThreadStream(services.feed, guard.watch(), _is_closed(), thread.id, Level(lowest) if lowest else None)
        return _stream(stream.events(first), services.stream_limit)

    @blueprint.get(f"{level.path}/threads/events")
    @declares(
        Operation("Streams all threads as they change", level.who, {200: _EVENTS}, (_LAST,), (LAST_EVENT_ID,)),
    )
    def all_events(**_: str) -> Response:
        group = g.caller.group
        stream = AllThreadsStream(
            services.feed, services.store, guard.watch(), _is_closed(), group.id if group else None
        )
        since = entry_id("Last-Event-ID", _last_event_id())
        return _stream(stream.events(since), services.stream_limit)

    @blueprint.get(f"{level.path}/threads/<thread>/logs/download")
    @declares(
        Operation(
            "Downloads a thread's whole log",
            level.who,
            {200: DeclaredResponse("The log", tuple(kind.partition(";")[0] for kind in _KINDS.values()))},
            (_FORMAT,),
        )
    )
    def download(**path: str) -> Response:
        thread = guard.thread(path["thread"])
        kind = str(value_of(_FORMAT))
        pieces = LogDownload(services.store, guard.watch(), thread.id, kind).pieces()
        return services.downloads.answer(g.caller, pieces, _KINDS[kind], f"thread-{thread.id}.{_NAMES[kind]}")

    return blueprint


def _stream(events: Iterator[str], limit: StreamLimit) -> Response:
    caller: Caller = g.caller
    limit.acquire(caller)
    response = Response(events, mimetype="text/event-stream")
    response.call_on_close(partial(limit.release, caller))
    response.headers["X-Accel-Buffering"] = "no"  # A proxy that buffers would hold events back.
    return response


def _last_event_id() -> str:
    return request.headers.get("Last-Event-ID", "").strip() or str(value_of(_LAST)).strip()


def _is_closed() -> Callable[[], bool]:
    """Return a check whether the client has hung up, which otherwise only the next write would notice.

    Gunicorn shows the connection; other servers do not.
    """
    connection: socket.socket | None = request.environ.get("gunicorn.socket")

    def is_closed() -> bool:
        if connection is None:
            return False
        try:
            # Readable means the end, or a next request that came early.
            return bool(select([connection], [], [], 0)[0]) and not connection.recv(1, socket.MSG_PEEK)
        except ValueError:
            return False  # TLS does not allow to peek: the next comment that is sent finds out.
        except OSError:
            return True

    return is_closed


@dataclass(frozen=True, slots=True)
class LogDownload:
    """A whole log, up to its end when the download begins, read piece by piece."""

    store: ThreadStore
    watch: Watch
    thread_id: str
    kind: str

    def pieces(self) -> Iterator[str]:
        """Yield the file. Raises NotSignedIn, NotAllowed, ThreadNotFound once the caller may not see the thread."""
        snapshot = self.store.snapshot(self.thread_id, 1, 1)
        end = snapshot.log.total
        if self.kind == "xml":
            yield respond.log_head(snapshot.log)
        first = 1
        while first <= end:
            snapshot = self.store.snapshot(self.thread_id, first, min(2_000, end - first + 1))
            self.watch.check(snapshot.access, (snapshot.thread,))
            if snapshot.log.next <= first:
                break
            events = [event for event in snapshot.log.events if event.seq <= end]
            yield respond.log_lines(events, self.kind, with_detail=access.sees_details(self.watch.caller))
            first = snapshot.log.next
        if self.kind == "xml":
            yield "</logs>\n"
