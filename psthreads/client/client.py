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
from urllib.parse import urlsplit

from psthreads.client import paths, remote, transport
from psthreads.client.remote import ClientError, RemotePage, RemoteProcess, RemoteThread
from psthreads.client.transport import Download, Transport
from psthreads.domain.errors import BadParameter
from psthreads.domain.model import Event, LogPage
from psthreads.domain.suggestions import hint

Service = Literal["threads", "processes", "progress", "logs", "cancel"]

_GROUP_ROUTE: Final = "/members/{member}/groups/{group}/{process}"
_SERVER_ROUTE: Final = "/members/{member}/{process}"
_OUTAGE: Final = 60.0  # seconds that the server may be away while a thread is followed
_PREFIX: Final = re.compile(r"/(ps/service|ps/api|api/v1)\Z")
_NO_LIST: Final = frozenset({403, 404})  # of a list of processes that the caller may not read, or that there is not


class Client:
    """The services of one server, for one member. Not to be shared by Python threads.

    `url` may end with a prefix such as /ps/service. `member` is the member to start threads for, by default `username`.
    `timeout` limits one request, and `patience` its retries while the server is away or busy; both are in seconds.
    With a `certificate`, a PEM file, the server with exactly that one is trusted, whoever signed it.
    Raises BadParameter for a wrong URL, and for a token that cannot be sent; ConfigError for a certificate.
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
        certificate: str = "",
    ) -> None:
        self._transport = Transport(
            url,
            token=token,
            username=username,
            password=password,
            timeout=timeout,
            patience=patience,
            certificate=certificate,
        )
        self.url = self._transport.url
        self.member = member or username
        self._listed: dict[str | None, dict[str, RemoteProcess]] = {}

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

        The server's list of processes says where a process is and which parameters it has. Raises BadParameter for a
        process or a parameter that is not in it, with the nearest name. With a `route` the list is not read: that is
        the path below the server's address, and may contain {member}, {group} and {process}.

        `wait` asks the server to hold the answer for up to that many seconds until the thread ends. A retry never
        starts a second thread: each start has a new idempotency key, unless one is given. With an empty key there is
        no retry. Underscores in a parameter's name stand for hyphens; one at the end is removed, which allows a
        process's parameter to have the name of one of these: `wait_="yes"`.
        """
        starter = member or self.member
        if not starter:
            raise BadParameter("member", "Say which member to start it for: that of the token.")
        form = {name.removesuffix("_").replace("_", "-"): paths.wire(value) for name, value in parameters.items()}
        names = {"member": starter, "group": group, "process": process}
        path = paths.fill(route or self._route(process, group, form), names)
        key = str(uuid.uuid4()) if idempotency_key is None else transport.printable("key", idempotency_key)
        headers = ({"Idempotency-Key": key} if key else {}) | ({"Prefer": f"wait={wait}"} if wait else {})
        response = self._transport.send(
            "POST", self.url + path, form=form, headers=headers, once=not key, hold=wait or 0
        )
        return Download(response) if transport.is_file(response) else remote.thread(transport.text(response))

    def _route(self, name: str, group: str | int | None, form: Mapping[str, Any]) -> str:
        """Return the route of the process in the server's list; the usual one where the server shows no list."""
        usual = _SERVER_ROUTE if group is None else _GROUP_ROUTE
        place = None if group is None else str(group)
        listed = self._listed.get(place, {})
        if name not in listed:
            paths.checked("process", name)
            try:
                listed = {process.name: process for process in self.processes(group)}
            except ClientError as error:
                if error.status in _NO_LIST:  # A token that may act but not read can start processes.
                    return usual
                raise
            self._listed[place] = listed
        if name not in listed:
            where = f"in group '{group}'" if group is not None else "here"
            raise BadParameter("process", f"You can start no process '{name}' {where}: {hint(name, listed)}")
        parameters = [parameter.name for parameter in listed[name].parameters]
        for parameter in form.keys() - set(parameters):
            raise BadParameter(parameter, f"'{name}' has no parameter '{parameter}': {hint(parameter, parameters)}")
        return listed[name].template or usual

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

    def cancel(
        self, thread_id: str, group: str | int | None = None, *, force: bool = False, reason: str = ""
    ) -> RemoteThread | None:
        """Cancel the thread, with `force` without its grace period, and return it; None where it does not exist.

        The audit keeps the reason.
        """
        query = {"force": "true" if force else None, "reason": reason or None}
        return remote.cancelled(self.text("cancel", thread_id, group, query=query))

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
        path = f"/ps/member-resource/{paths.segment('group', group)}/{paths.segment('file', filename)}"
        return Download(self._transport.send("GET", _PREFIX.sub("", self.url) + path, follow=True), filename).save(to)

    def upload(self, group: str | int, file: Path, name: str = "") -> int:
        """Write a file to the member's loading zone in the group, and return its size in bytes.

        `name` is its path there, such as docs/a.xml, and by default the file's own name. A file of that name is
        replaced.
        """
        query = {"group": str(group), "filename": name or file.name}
        with file.open("rb") as body:
            self._transport.send("PUT", _PREFIX.sub("", self.url) + "/ps/servlet/upload", query=query, body=body)
            return body.tell()

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
        path = f"{paths.group(group)}/{service if is_list else 'threads'}"
        if not is_list:
            path += f"/{paths.segment('thread', thread_id or '')}/{service}"
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
