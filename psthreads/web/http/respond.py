"""Turns what the domain gives into an answer: XML or JSON from one model, as the request asks for it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from flask import Response, current_app, g, request
from jinja2 import Environment
from lxml import etree

from psthreads.documents.results import owner
from psthreads.domain.errors import PsthreadsError
from psthreads.domain.model import Event, LogPage, Thread, ThreadPage, clean, iso

_XML: Final = "application/xml; charset=utf-8"
_JSON: Final = "application/json"
_PARSER: Final = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
RETRY_SECONDS: Final = 1
"""How long a client does well to wait before it asks for the progress again."""

_PROLOG: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_LINKS: Final = {
    _XML: {"Link": '</schemas/thread.xsd>; rel="describedby"'},
    _JSON: {"Link": '</schemas/thread.schema.json>; rel="describedby"'},
}


_REVALIDATED: Final = {
    kind: [*links.items(), ("Vary", "Accept"), ("Cache-Control", "private, no-cache")] for kind, links in _LINKS.items()
}
"""The headers of an answer that may be kept, and is asked for again each time."""


@dataclass(frozen=True, slots=True)
class BarView:
    """A named progress bar, as it stands."""

    name: str
    total: int
    current: int


def thread(one: Thread, *, status: int = 200, wrapper: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """One thread, within the element that its process wants around it, if any."""
    if _wants_json():
        content = describe(one)
        return _json({_camel(wrapper): {"thread": content}} if wrapper else content, status, headers)
    if wrapper:
        return _xml("wrapped.xml", status, headers, thread=one, wrapper=wrapper)
    return _answer(_rendered(current_app.jinja_env, one), status, headers, _XML)


def progress(one: Thread, headers: Mapping[str, str], *, is_known: bool) -> Response:
    """A thread with its ETag; or 304 without a body to whoever has it already."""
    wants_json = _wants_json()
    kind = _JSON if wants_json else _XML
    # A weak tag (RFC 9110, section 8.8.1): when the thread was last heard from does not count.
    given = [*_REVALIDATED[kind], ("ETag", f'W/"{_tag(one, wants_json=wants_json)}"'), *headers.items()]
    if is_known:
        return Response(status=304, headers=given)
    text = json.dumps(describe(one)) if wants_json else _rendered(current_app.jinja_env, one)
    return Response(text, headers=given, content_type=kind)


def is_known(one: Thread) -> bool:
    """Whether this state of the thread is what the request's If-None-Match names."""
    return request.if_none_match.contains_weak(_tag(one, wants_json=_wants_json()))


def _tag(one: Thread, *, wants_json: bool) -> str:
    return f"{one.rev}-{'json' if wants_json else 'xml'}"


def threads(page: ThreadPage) -> Response:
    """A page of threads."""
    if _wants_json():
        listed = [describe(one) for one in page.threads]
        return _json({"page": page.page, "pageSize": page.page_size, "total": page.total, "threads": listed})
    return _xml("threads.xml", page=page)


def logs(log: LogPage, *, with_detail: bool) -> Response:
    """A page of a log; with the details that administrators see, or without."""
    if _wants_json():
        events = [log_event(event, with_detail=with_detail) for event in log.events]
        counts = {name: getattr(log, name) for name in ("first", "last", "total", "dropped", "next")}
        return _json({"threadid": log.thread_id, **counts, "events": events})
    return _xml("logs.xml", log=log, with_detail=with_detail)


def log_event(event: Event, *, with_detail: bool) -> dict[str, Any]:
    """One line of a log, in JSON."""
    return {
        "seq": event.seq,
        "timestamp": event.timestamp,
        "datetime": iso(event.timestamp),
        "level": event.level,
        "message": event.text(with_detail=with_detail),
    }


def log_head(log: LogPage) -> str:
    """The beginning of a whole log in XML, up to its first event."""
    counts = f'total="{log.total}" dropped="{log.dropped}" next="{log.total + 1}"'
    return f'{_PROLOG}<logs threadid="{log.thread_id}" first="{min(1, log.total)}" last="{log.total}" {counts}>\n'


def log_lines(events: Sequence[Event], kind: str, *, with_detail: bool) -> str:
    """Lines of a log as they stand in a file: `text`, `jsonl` (one JSON value on each line) or `xml`."""
    if kind == "jsonl":
        told = (json.dumps(log_event(event, with_detail=with_detail), ensure_ascii=False) for event in events)
        return "".join(f"{line}\n" for line in told)
    if kind == "xml":
        return "".join(f"{_event(event, with_detail)}\n" for event in events)
    return "".join(_text(event, with_detail=with_detail) for event in events)


def _event(event: Event, with_detail: bool) -> str:  # noqa: FBT001 (as the template calls it)
    element = etree.Element(
        "event",
        seq=str(event.seq),
        timestamp=str(event.timestamp),
        datetime=iso(event.timestamp),
        level=event.level,
    )
    etree.SubElement(element, "message").text = event.text(with_detail=with_detail)
    return etree.tostring(element, encoding="unicode")


def _text(event: Event, *, with_detail: bool) -> str:
    # What follows a line's first break is set in, so that no message can look like another line of the log.
    told = "\n    ".join(event.text(with_detail=with_detail).splitlines())
    return f"{event.seq} {iso(event.timestamp)} {event.level:<5} {told}\n"


def cancelled(one: Thread | None) -> Response:
    """The thread as it stands after a request to cancel it; nothing when it is not there."""
    if _wants_json():
        return _json({"thread": describe(one)} if one else {})
    return _xml("thread-cancel.xml", thread=one)


def processes(listed: Sequence[Mapping[str, Any]]) -> Response:
    """What can be started."""
    return _json({"processes": listed}) if _wants_json() else _xml("processes.xml", processes=listed)


def error(problem: PsthreadsError, headers: Mapping[str, str] | None = None) -> Response:
    """An error, with the status that fits it."""
    asked, message = clean(request.path, limit=2_000), clean(problem.message)
    if _wants_json():
        content = {"id": problem.code, "request": asked, "message": message}
        return _json(content, problem.status, headers)
    return _xml("error.xml", problem.status, headers, code=problem.code, request=asked, message=message)


def bars(one: Thread) -> list[BarView]:
    """The thread's progress bars, in their order: its elements with a total and a current count."""
    return [
        BarView(str(element.tag), int(element.get("total", "0")), int(element.get("current", "0")))
        for element in _elements(one.xml)
        if element.get("total", "").isdecimal() and element.get("current", "").isdecimal()
    ]


def share(one: Thread) -> str:
    """How much of a running thread's first unfinished bar is done, such as `45 %`; empty where there is none."""
    if one.status.is_final or "total=" not in one.xml:
        return ""
    return next((f"{100 * bar.current // bar.total} %" for bar in bars(one) if bar.current < bar.total), "")


def results(one: Thread) -> list[str]:
    """The names of the files that the thread made and names in its own XML."""
    texts = [element.text or "" for element in _elements(one.xml)]
    return [text for text in texts if owner(text) == one.id and "/" not in text]


def _wants_json() -> bool:
    if suffix := g.get("suffix"):
        return bool(suffix == "json")
    accept: str = request.environ.get("HTTP_ACCEPT", "")
    if "json" not in accept:  # The common case, without parsing.
        return request.path.endswith(".json") and request.url_rule is None
    best = request.accept_mimetypes.best_match(["application/xml", "text/xml", "application/json"])
    return best == "application/json"


@lru_cache(maxsize=512)
def _rendered(environment: Environment, one: Thread) -> str:
    # A thread changes twice a second at most and is asked for more often: what has not changed is not
    # rendered again.
    return _PROLOG + environment.get_template("thread.xml").render(thread=one)


def _xml(template: str, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any) -> Response:
    # Not render_template: the context processors' work would be for nothing here.
    text = current_app.jinja_env.get_template(template).render(values)
    return _answer(_PROLOG + text, status, headers, _XML)


def _json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return _answer(json.dumps(content), status, headers, _JSON)


def _answer(text: str, status: int, headers: Mapping[str, str] | None, kind: str) -> Response:
    response = Response(text, status, headers=_LINKS[kind], content_type=kind)
    if headers:
        response.headers.update(headers)
    return response


def describe(one: Thread) -> dict[str, Any]:
    """A thread in JSON."""
    content: dict[str, Any] = {
        "id": one.id,
        "name": one.name,
        "username": one.username,
        "groupid": one.group_id,
        "status": one.status,
    }
    if one.cancelling:
        content["cancelling"] = True
    content["created"] = iso(one.created)
    for name in ("started", "ended", "heard"):
        if moment := getattr(one, name):
            content[name] = iso(moment)
    content |= {"warnings": one.warnings, "errors": one.errors, "message": one.message}
    for element in _elements(one.xml):
        name = _camel(element.tag)
        if name not in content:
            content[name] = _element(element)
    return content


def _elements(xml: str) -> list[etree._Element]:
    return list(etree.fromstring(f"<xml>{xml}</xml>", _PARSER)) if xml else []


def _element(element: etree._Element) -> Any:
    """An element in JSON: its text when it has nothing else, else its attributes and children."""
    content: dict[str, Any] = {_camel(name): _value(name, value) for name, value in element.attrib.items()}
    for child in element:
        name, value = _camel(child.tag), _element(child)
        if name in content:
            known = content[name]
            content[name] = [*known, value] if isinstance(known, list) else [known, value]
        else:
            content[name] = value
    if not content:
        return element.text or ""
    if element.text and element.text.strip():
        content["text"] = element.text
    return content


def _value(name: str, value: str) -> str | int:
    return int(value) if name in {"total", "current", "count"} and value.isdecimal() else value


def _camel(name: object) -> str:
    first, *rest = str(name).split("-")
    return first + "".join(part.capitalize() for part in rest)


def uploaded(files: Mapping[str, int], *, wrapped: bool, status: int) -> Response:
    """The files that were uploaded, each with its size in bytes; or one of them, without a list around it."""
    found = [{"filename": clean(name), "size": size} for name, size in files.items()]
    if _wants_json():
        return _json({"uploads": found} if wrapped else found[0], status)
    return _xml("uploads.xml", status, uploads=found, wrapped=wrapped)


def cleared(count: int) -> Response:
    """How many files were removed from a loading zone."""
    return _json({"filesremoved": count}) if _wants_json() else _xml("load-clear.xml", count=count)
