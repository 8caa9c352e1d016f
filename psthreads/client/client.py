"""A Python client for a psthreads server.

    with Client("https://server.example/ps/service", token=token, member="jjones") as client:
        thread = client.start("validate", group="acme", path="/documents")
        thread = client.wait(thread.id, group="acme", on_progress=lambda now: print(now.message))

Without a group the methods use the services of the whole server, which are for administrators.
Every method raises ClientError when the server refuses, cannot be reached or sends an answer that cannot be read.
Attributes, elements and statuses that this client does not know are kept, and are no error.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self
from urllib.parse import quote, urlsplit

from psthreads.client import remote, transport
from psthreads.client.remote import RemotePage, RemoteProcess, RemoteThread
from psthreads.client.transport import Download, Transport
from psthreads.domain.errors import BadParameter
from psthreads.domain.model import Event, LogPage

Service = Literal["threads", "processes", "progress", "logs", "cancel"]

_GROUP_ROUTE: Final = "/members/{member}/groups/{group}/{process}"
_SERVER_ROUTE: Final = "/members/{member}/{process}"
_OUTAGE: Final = 60.0  # seconds that the server may be away while a thread is followed


class Client:
    """The services of one server, for one member. Not to be shared by Python threads.

    `url` may end with a prefix such as /ps/service. `member` is the member to start threads for, by default `username`.
    `timeout` limits one request, and `patience` its retries while the server is away or busy; both are in seconds.
    Raises BadParameter for a wrong URL, and for a token that cannot be sent.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        username: str = "",
        password: str = "",
        member: str = "",
        timeout: float = 30,
        patience: float = 10,
    ) -> None:
        self._transport = Transport(
            url, token=token, username=username, password=password, timeout=timeout, patience=patience
        )
        self.url = self._transport.url
        self.member = member or username

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def start(
        self,
        process: str,
        /,
        group: str | int | None = None,
        member: str | None = None,
        wait: int | None = None,
        idempotency_key: str | None = None,
        route: str | None = None,
        **parameters: Any,
    ) -> RemoteThread | Download:
        """Start a process, and return its thread; or the file, where the server answers with one at once.

        `route` is the path of a process below the server's address, where it is not
        "/members/{member}/groups/{group}/{process}"; it may contain these three names.

        `wait` asks the server to hold the answer for up to that many seconds until the thread ends. A retry never
        starts a second thread: each start has a new idempotency key, unless one is given. With an empty key there is
        no retry. Underscores in a parameter's name stand for hyphens; one at the end is removed, which allows a
        process's parameter to have the name of one of these: `wait_="yes"`.
        """
        starter = member or self.member
        if not starter:
            raise BadParameter("member", "Say which member to start it for: that of the token.")
        names = {"member": starter, "group": group, "process": process}
        path = _fill(route or (_SERVER_ROUTE if group is None else _GROUP_ROUTE), names)
        key = str(uuid.uuid4()) if idempotency_key is None else transport.printable("key", idempotency_key)
        headers = ({"Idempotency-Key": key} if key else {}) | ({"Prefer": f"wait={wait}"} if wait else {})
        form = {name.removesuffix("_").replace("_", "-"): _wire(value) for name, value in parameters.items()}
        response = self._transport.send(
            "POST", self.url + path, form=form, headers=headers, once=not key, hold=wait or 0
        )
        return Download(response) if transport.is_file(response) else remote.thread(transport.text(response))

    def processes(self, group: str | int | None = None) -> tuple[RemoteProcess, ...]:
        """Return the processes that the member may start: in the group or, without one, anywhere.

        `start` takes the `route` of each.
        """
        return remote.processes(self.text("processes", group=group), prefix=urlsplit(self.url).path)

    def threads(
        self,
        group: str | int | None = None,
        status: str | None = None,
        page: int = 1,
        page_size: int = 50,
        *,
        cursor: str = "",
    ) -> RemotePage:
        """Return a page of the active threads, or of those with the status.

        With a cursor, the `next_cursor` of the page before, no thread is missed that begins or ends meanwhile.
        """
        query = {"status": status, "page": None if cursor else page, "page-size": page_size, "cursor": cursor or None}
        return remote.page(self.text("threads", group=group, query=query), page, page_size)

    def all_threads(
        self, group: str | int | None = None, status: str | None = None, page_size: int = 200
    ) -> Iterator[RemoteThread]:
        """Yield all active threads, or all with the status, newest first: each once, whatever happens meanwhile."""
        cursor = ""
        while True:
            page = self.threads(group, status, page_size=page_size, cursor=cursor)
            yield from page.threads
            if not (cursor := page.next_cursor):
                return

    def progress(self, thread_id: str, group: str | int | None = None) -> RemoteThread:
        """Return the thread."""
        return remote.thread(self.text("progress", thread_id, group))

    def logs(
        self,
        thread_id: str,
        group: str | int | None = None,
        start: int = 1,
        *,
        page_size: int = 200,
        tail: int | None = None,
        level: str | None = None,
    ) -> LogPage:
        """Return a page of the thread's log: from event number `start` on, or the last `tail` events.

        With a level, only the events of this level or a higher one. The page's `next` is the number after its last.
        """
        query = {"from": None if tail else start, "page-size": page_size, "tail": tail, "level": level}
        return remote.log_page(self.text("logs", thread_id, group, query=query), start)

    def follow_log(
        self,
        thread_id: str,
        group: str | int | None = None,
        start: int = 1,
        level: str | None = None,
        poll: float = 0.5,
    ) -> Iterator[Event]:
        """Yield every event from number `start` on, once and in order, until the thread has ended.

        Numbers are missing where the server dropped lines and, with a `level`, for events of a lower one. `poll` is in
        seconds.
        """
        query = {"page-size": 1000, "level": level}
        is_final = False
        while True:
            text = self.text("logs", thread_id, group, query={**query, "from": start}, patience=_OUTAGE)
            page, before = remote.log_page(text, start), start
            for event in page.events:
                if event.seq >= start:
                    start = event.seq + 1
                    yield event
            start = max(start, page.next)
            if before < start <= page.total:
                continue
            if is_final:
                return
            # Read before the next page, so that the page after the end is complete.
            is_final = remote.thread(self.text("progress", thread_id, group, patience=_OUTAGE)).is_final
            time.sleep(0 if is_final else poll)

    def cancel(self, thread_id: str, group: str | int | None = None, *, force: bool = False) -> RemoteThread | None:
        """Cancel the thread, with `force` without its grace period, and return it; None where it does not exist."""
        return remote.cancelled(self.text("cancel", thread_id, group, query={"force": "true" if force else None}))

    def wait(
        self,
        thread_id: str,
        group: str | int | None = None,
        timeout: float | None = None,
        on_progress: Callable[[RemoteThread], None] | None = None,
        poll: float = 1.0,
    ) -> RemoteThread:
        """Wait until the thread has ended, and return it. `on_progress` is called with each state that is read.

        Raises TimeoutError after `timeout` seconds, None for never; the thread then goes on. The client polls quickly
        at first, and then every `poll` seconds.
        """
        deadline = time.monotonic() + (timeout if timeout is not None else float("inf"))
        pause = min(0.1, poll)
        while True:
            patience = min(_OUTAGE, max(0.0, deadline - time.monotonic()))
            thread = remote.thread(self.text("progress", thread_id, group, patience=patience))
            if on_progress is not None:
                on_progress(thread)
            if thread.is_final:
                return thread
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"Thread '{thread_id}' has not ended within {timeout:g} s.")
            time.sleep(min(pause, left))
            pause = min(pause * 1.3, poll)

    def download(self, group: str | int, filename: str, to: Path) -> Path:
        """Save a result of the group to the file `to`, or to the folder `to` under its own name; see Download."""
        server = re.sub(r"/ps/(service|api)\Z", "", self.url)
        path = f"/ps/member-resource/{_segment('group', group)}/{_segment('file', filename)}"
        return Download(self._transport.send("GET", server + path), filename).save(to)

    def text(
        self,
        service: Service,
        thread_id: str | None = None,
        group: str | int | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        as_json: bool = False,
        patience: float | None = None,
    ) -> str:
        """Return a service's answer as the server sent it: XML, or JSON."""
        is_list = service in {"threads", "processes"}
        path = f"{_group(group)}/{service if is_list else 'threads'}"
        if not is_list:
            path += f"/{_segment('thread', thread_id or '')}/{service}"
        url, is_cancel = self.url + path, service == "cancel"
        # A second cancel has no effect, so this POST can be retried like a GET.
        response = self._transport.send(
            "POST" if is_cancel else "GET",
            url,
            query=None if is_cancel else query,
            form=query if is_cancel else None,
            as_json=as_json,
            patience=patience,
        )
        return transport.text(response)


def _segment(name: str, value: str | int) -> str:
    return quote(_checked(name, value), safe="~")


def _checked(name: str, value: str | int) -> str:
    # These would change the path to another service's.
    if (text := str(value)) in ("", ".", ".."):
        raise BadParameter(name, f"'{text}' is not the name of a {name}.")
    return text


def _fill(route: str, names: Mapping[str, str | int | None]) -> str:
    def name(match: re.Match[str]) -> str:
        if (value := names.get(match[1])) is None:
            raise BadParameter(match[1], f"The route '{route}' needs a {match[1]}, and there is none.")
        return _checked(match[1], value)

    # Segment by segment, so that a slash in a name does not make two segments.
    segments = (re.sub(r"\{(\w+)\}", name, segment) for segment in route.strip("/").split("/"))
    return "".join(f"/{_segment('route', segment)}" for segment in segments)


def _group(group: str | int | None) -> str:
    return "" if group is None else f"/groups/{_segment('group', group)}"


def _wire(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
