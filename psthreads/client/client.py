"""A Python client for a psthreads server.

    with Client("https://server.example/ps/service", token=token, member="jjones") as client:
        thread = client.start("validate", group="acme", path="/documents")
        thread = client.wait(thread.id, group="acme", on_progress=lambda now: print(now.message))

Without a group the methods use the services of the whole server, which are for administrators.
Every method raises ClientError when the server refuses, cannot be reached or gives no sense.
Attributes, elements and statuses that this client does not know are kept and never in the way.
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
_OUTAGE: Final = 60.0  # Following a thread outlives a server that is away for this many seconds.


class Client:
    """The services of one server, for one member. Not to be shared by Python threads.

    `url` may end with a prefix such as /ps/service. `member` is who work is started for, by default
    `username`. `timeout` is how long one request may take, and `patience` how long it is sent again
    while the server is away or busy, both in seconds. Raises BadParameter for a URL that is none
    and for a token that cannot be sent.
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
        """Start a process; the result is its thread, or the file where the server had it at once.

        `route` is for a process whose path below the server's address is not that of the processes
        that ship, "/members/{member}/groups/{group}/{process}"; it may hold these three names.

        `wait` asks the server to hold the answer up to that many seconds for the thread to end.
        However often the request has to be sent, it starts one thread: each start has a fresh key,
        unless one is given; with an empty key it is sent once only. A parameter's underscores stand
        for hyphens, and one at its end is dropped, for names that are taken: `wait_="yes"`.
        """
        owner = member or self.member
        if not owner:
            raise BadParameter("member", "Say which member to start it for: that of the token.")
        names = {"member": owner, "group": group, "process": process}
        path = _filled(route or (_SERVER_ROUTE if group is None else _GROUP_ROUTE), names)
        key = str(uuid.uuid4()) if idempotency_key is None else transport.printable("key", idempotency_key)
        headers = ({"Idempotency-Key": key} if key else {}) | ({"Prefer": f"wait={wait}"} if wait else {})
        form = {name.removesuffix("_").replace("_", "-"): _wire(value) for name, value in parameters.items()}
        response = self._transport.send(
            "POST", self.url + path, form=form, headers=headers, once=not key, hold=wait or 0
        )
        return Download(response) if transport.is_file(response) else remote.thread(transport.text(response))

    def processes(self, group: str | int | None = None) -> tuple[RemoteProcess, ...]:
        """What the member may start: in this group, or without one in any of theirs and on the whole server.

        The `route` of each can be given to `start`.
        """
        return remote.processes(self.text("processes", group=group), prefix=urlsplit(self.url).path)

    def threads(
        self, group: str | int | None = None, status: str | None = None, page: int = 1, page_size: int = 50
    ) -> RemotePage:
        """A page of threads: the active ones, or those with the status."""
        query = {"status": status, "page": page, "page-size": page_size}
        return remote.page(self.text("threads", group=group, query=query), page, page_size)

    def progress(self, thread_id: str, group: str | int | None = None) -> RemoteThread:
        """The thread as it stands."""
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
        """A page of the thread's log: from the number `start` on, or the last `tail` events.

        With a level, those of them that have this level or a graver one. What is logged after the
        page has the numbers from its `next` on.
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
        """Every event from the number `start` on, once and in order, until the thread has ended.

        Numbers are missing where the server dropped lines, and with a `level` where a line's is less
        grave. `poll` is in seconds.
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
            # Asked before the next page is read, so that this page holds all that there will be.
            is_final = remote.thread(self.text("progress", thread_id, group, patience=_OUTAGE)).is_final
            time.sleep(0 if is_final else poll)

    def cancel(self, thread_id: str, group: str | int | None = None, *, force: bool = False) -> RemoteThread | None:
        """Ask that the thread ends, with `force` without grace; the thread as it then stands, if any."""
        return remote.cancelled(self.text("cancel", thread_id, group, query={"force": "true" if force else None}))

    def wait(
        self,
        thread_id: str,
        group: str | int | None = None,
        timeout: float | None = None,
        on_progress: Callable[[RemoteThread], None] | None = None,
        poll: float = 1.0,
    ) -> RemoteThread:
        """The thread once it has ended; `on_progress` is given every look at it on the way.

        Raises TimeoutError after `timeout` seconds, None for never; the thread then goes on. Looks
        follow each other quickly at first, and then after `poll` seconds.
        """
        give_up = time.monotonic() + (timeout if timeout is not None else float("inf"))
        pause = min(0.1, poll)
        while True:
            patience = min(_OUTAGE, max(0.0, give_up - time.monotonic()))
            thread = remote.thread(self.text("progress", thread_id, group, patience=patience))
            if on_progress is not None:
                on_progress(thread)
            if thread.is_final:
                return thread
            left = give_up - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"Thread '{thread_id}' has not ended within {timeout:g} s.")
            time.sleep(min(pause, left))
            pause = min(pause * 1.3, poll)

    def download(self, group: str | int, filename: str, to: Path) -> Path:
        """Save a result of the group to a file, or below a folder under its own name; see Download."""
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
        """The answer of one of the services as the server gave it: XML, or JSON."""
        is_list = service in {"threads", "processes"}
        path = f"{_group(group)}/{service if is_list else 'threads'}"
        if not is_list:
            path += f"/{_segment('thread', thread_id or '')}/{service}"
        url, is_cancel = self.url + path, service == "cancel"
        # A second cancel has no effect of its own, so that it can be sent again like a GET.
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
    return quote(_named(name, value), safe="~")


def _named(name: str, value: str | int) -> str:
    # These would make the path lead to another service.
    if (text := str(value)) in ("", ".", ".."):
        raise BadParameter(name, f"'{text}' is not the name of a {name}.")
    return text


def _filled(route: str, names: Mapping[str, str | int | None]) -> str:
    def name(found: re.Match[str]) -> str:
        if (value := names.get(found[1])) is None:
            raise BadParameter(found[1], f"The route '{route}' needs a {found[1]}, and there is none.")
        return _named(found[1], value)

    # Filled segment by segment, so that a slash in a name does not make two of it.
    segments = (re.sub(r"\{(\w+)\}", name, segment) for segment in route.strip("/").split("/"))
    return "".join(f"/{_segment('route', segment)}" for segment in segments)


def _group(group: str | int | None) -> str:
    return "" if group is None else f"/groups/{_segment('group', group)}"


def _wire(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
