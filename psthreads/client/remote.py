"""Reads the XML of a server's answers into values.

Attributes, elements and statuses that this client does not know are kept, and are no error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

from lxml import etree

from psthreads.domain.errors import PsthreadsError
from psthreads.domain.model import SERVER_WIDE, Event, Level, LogPage, Status

_LAST_TIMESTAMP: Final = 253_402_300_799_999  # the end of the year 9999, in milliseconds
_PARSER: Final = etree.XMLParser(
    resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
)


class ClientError(PsthreadsError):
    """An error, with its HTTP status and its id; 0 and "" where the server did not answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class RemoteElement:
    """One element of a thread's own XML."""

    name: str
    attributes: Mapping[str, str]
    text: str

    @property
    def counts(self) -> tuple[int, int] | None:
        """Current and total, where the element has both and the total is more than 0."""
        current, total = (_number(self.attributes.get(key), -1) for key in ("current", "total"))
        return (current, total) if current >= 0 and total > 0 else None


@dataclass(frozen=True, slots=True)
class RemoteThread:
    """A thread, read from the answer `xml`. Times are None where they are not in it.

    `status` is a Status, or the server's word where this client does not know it. `result` is the value that the
    process returned, None where it returned none, and in lists.
    """

    id: str
    name: str
    username: str
    group_id: int
    status: Status | str
    message: str
    elements: tuple[RemoteElement, ...]
    cancelling: bool
    warnings: int
    errors: int
    created: datetime | None
    started: datetime | None
    ended: datetime | None
    heard: datetime | None
    xml: str
    result: Any = None

    @property
    def is_final(self) -> bool:
        """True once the thread has ended: by its status or, where that is unknown, by its end time."""
        return self.status.is_final if isinstance(self.status, Status) else self.ended is not None

    @property
    def bar(self) -> RemoteElement | None:
        """The element with the thread's progress: the first unfinished one that counts, or the last."""
        bars = [(element, counts) for element in self.elements if (counts := element.counts)]
        unfinished = [element for element, (current, total) in bars if current < total]
        return unfinished[0] if unfinished else bars[-1][0] if bars else None

    @property
    def progress(self) -> tuple[int, int] | None:
        """The current and the total count; None where the thread does not count."""
        return self.bar.counts if self.bar else None


@dataclass(frozen=True, slots=True)
class RemotePage:
    """A page of threads, newest first. `total` counts all that match; pages start at 1.

    `next_cursor` is where the next page begins; empty on the last one.
    """

    threads: tuple[RemoteThread, ...]
    total: int
    page: int
    page_size: int
    next_cursor: str = ""


@dataclass(frozen=True, slots=True)
class RemoteParameter:
    """A parameter of a process; `default` is None where it must be given, and bounds are None where there are none."""

    name: str
    type: str
    default: str | None
    least: float | None
    greatest: float | None
    choices: tuple[str, ...]
    description: str


@dataclass(frozen=True, slots=True)
class RemoteProcess:
    """A process that can be started. `time_limit` is in seconds; in a list without a group `route` has `{group}`.

    `template` is the route with `{member}` and `{group}`; empty where the server does not send it.
    """

    name: str
    title: str
    summary: str
    scope: str
    role: str
    methods: tuple[str, ...]
    route: str
    restartable: bool
    time_limit: float
    parameters: tuple[RemoteParameter, ...]
    template: str = ""


def processes(text: str, prefix: str) -> tuple[RemoteProcess, ...]:
    """Return the processes of an answer, in its order, with the prefix removed from their routes."""
    return tuple(
        RemoteProcess(
            name=element.get("name", ""),
            title=element.get("title", ""),
            summary=element.findtext("summary") or "",
            scope=element.get("scope", ""),
            role=element.get("role", ""),
            methods=tuple(element.get("methods", "POST").split()),
            route=element.get("route", "").removeprefix(prefix),
            restartable=element.get("restartable") == "true",
            time_limit=_bound(element.get("time-limit")) or 0.0,
            parameters=tuple(map(_parameter, element.iterchildren("parameter"))),
            template=element.get("template", "").removeprefix(prefix),
        )
        for element in _root(text).iterchildren("process")
    )


def thread(text: str) -> RemoteThread:
    """Return the thread of an answer, at its root or inside it. Raises ClientError where there is none."""
    root = _root(text)
    element = root if root.tag == "thread" else root.find(".//thread")
    if element is None:
        name = etree.QName(root).localname
        raise ClientError(0, "", f"The server's answer is no thread but <{name}>. Check its address.")
    return _thread(element, text)


def cancelled(text: str) -> RemoteThread | None:
    """Return the thread of the answer to a request to cancel it; None where it does not exist."""
    element = _root(text).find(".//thread")
    return None if element is None else _thread(element)


def page(text: str, number: int, size: int) -> RemotePage:
    """Return a page of threads. `number` and `size` are the page's where the answer does not have them."""
    root = _root(text)
    threads = tuple(_thread(element) for element in root.iterchildren("thread"))
    defaults = {"total": len(threads), "page": number, "page-size": size}
    total, number, size = (_number(root.get(key), default) for key, default in defaults.items())
    return RemotePage(threads, total, number, size, root.get("next-cursor", ""))


def log_page(text: str, start: int) -> LogPage:
    """Return a page of a log. Where an answer without events has no `next`, `start` is the next event."""
    root = _root(text)
    events = tuple(
        Event(
            seq=_number(element.get("seq"), 0),
            timestamp=max(0, min(_number(element.get("timestamp"), 0), _LAST_TIMESTAMP)),
            level=Level(level) if (level := element.get("level", "")) in set(Level) else Level.INFO,
            message="".join(_content(child) for child in element.iterchildren("message")),
        )
        for element in root.iterchildren("event")
    )
    following = events[-1].seq + 1 if events else start
    return LogPage(
        root.get("threadid", ""),
        events,
        _number(root.get("total"), 0),
        _number(root.get("dropped"), 0),
        _number(root.get("next"), following),
    )


def refusal(text: str) -> tuple[str, str]:
    """Return the id and the message of an error, each "" where it is missing. Raises ClientError for no XML."""
    root = _root(text)
    return (root.get("id", ""), root.findtext("message") or "") if root.tag == "error" else ("", "")


def _root(text: str) -> etree._Element:
    try:
        root = etree.fromstring(text.encode(), _PARSER)
    except etree.XMLSyntaxError as error:
        raise ClientError(0, "", f"The server's answer is not XML: {error}. Check its address.") from error
    if root.getroottree().docinfo.doctype:
        raise ClientError(0, "", "The server's answer has a document type, which is not accepted.")
    return root


def _thread(element: etree._Element, text: str | None = None) -> RemoteThread:
    status = element.get("status", "")
    own = [child for child in element if isinstance(child.tag, str)]
    result = next((child for child in own if child.tag == "result" and child.get("type") == "json"), None)
    return RemoteThread(
        id=element.get("id", ""),
        name=element.get("name", ""),
        username=element.get("username", ""),
        group_id=_number(element.get("groupid"), SERVER_WIDE),
        status=Status(status) if status in set(Status) else status,
        message="".join(_content(child) for child in own if child.tag == "message"),
        elements=tuple(
            RemoteElement(etree.QName(child).localname, cast("dict[str, str]", dict(child.attrib)), _content(child))
            for child in own
            if child.tag != "message" and child is not result
        ),
        cancelling=element.get("cancelling") == "true",
        warnings=_number(element.get("warnings"), 0),
        errors=_number(element.get("errors"), 0),
        created=_timestamp(element.get("created")),
        started=_timestamp(element.get("started")),
        ended=_timestamp(element.get("ended")),
        heard=_timestamp(element.get("heard")),
        xml=text if text is not None else etree.tostring(element, encoding="unicode", with_tail=False),
        result=None if result is None else _json(_content(result)),
    )


def _json(text: str) -> Any:
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    return None


def _parameter(element: etree._Element) -> RemoteParameter:
    return RemoteParameter(
        name=element.get("name", ""),
        type=element.get("type", "string"),
        default=element.get("default"),
        least=_bound(element.get("least")),
        greatest=_bound(element.get("greatest")),
        choices=tuple(map(_content, element.iterchildren("choice"))),
        description=element.findtext("description") or "",
    )


def _bound(text: str | None) -> float | None:
    with suppress(ValueError):
        return None if text is None else float(text)
    return None


def _content(element: etree._Element) -> str:
    return "".join(str(text) for text in element.itertext())


def _number(text: str | None, default: int) -> int:
    try:
        return int(text or "")
    except ValueError:
        return default


def _timestamp(text: str | None) -> datetime | None:
    with suppress(ValueError):
        timestamp = datetime.fromisoformat(text or "")
        return timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)
    return None
