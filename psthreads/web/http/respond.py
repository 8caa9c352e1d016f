"""Answers with the domain's values, as XML or JSON, whichever the request asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape  # nosec B406 (it parses nothing)

from flask import Response, current_app, g, request
from jinja2 import Environment
from lxml import etree
from markupsafe import Markup
from werkzeug.datastructures import Headers

from psthreads.documents.result_files import owner
from psthreads.domain.errors import PsthreadsError
from psthreads.domain.model import Event, LogPage, Thread, ThreadPage, clean, iso
from psthreads.web.current import current_request
from psthreads.web.http.routing import API_PREFIX

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

XML: Final = "application/xml;charset=utf-8"
"""The media type of XML, without a blank: PageSeeder's Java client finds the charset by exactly `;charset=`."""

_JSON: Final = "application/json"
_XMLS: Final = ("application/xml", "text/xml")
_API: Final = f"{API_PREFIX}/"
_PARSER: Final = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
RETRY_SECONDS: Final = 1
"""How long a client should wait before its next request for progress."""

_PROLOG: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_LINKS: Final = {
    XML: {"Link": '</schemas/thread.xsd>; rel="describedby"'},
    _JSON: {"Link": '</schemas/thread.schema.json>; rel="describedby"'},
}


_REVALIDATED: Final = {
    kind: [("Content-Type", kind), *links.items(), ("Vary", "Accept"), ("Cache-Control", "private, no-cache")]
    for kind, links in _LINKS.items()
}
"""The headers of an answer that may be cached, and is revalidated each time."""

CONSTANT: Final = frozenset(header for headers in _REVALIDATED.values() for header in headers)
"""Those headers, which many answers have."""


class _Whole(Response):
    """An answer with its whole body, its length and addresses in ASCII, so that its headers leave as they are."""

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:  # noqa: ARG002 (as Werkzeug calls it)
        """Return the headers; Werkzeug would copy them, and look at each."""
        return self.headers


@dataclass(frozen=True, slots=True)
class BarView:
    """A named progress bar."""

    name: str
    total: int
    current: int


def thread(
    thread: Thread, *, status: int = 200, wrapper: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with a thread, inside the `wrapper` element of its process, if it has one."""
    if _wants_json():
        content = describe(thread)
        return _json({_camel(wrapper): {"thread": content}} if wrapper else content, status, headers)
    if wrapper:
        return _xml("wrapped.xml", status, headers, thread=thread, wrapper=wrapper)
    return _answer(_rendered(current_app.jinja_env, thread), status, headers, XML)


def progress(thread: Thread, headers: Mapping[str, str], *, is_unchanged: bool) -> Response:
    """Answer with a thread and its ETag; with 304 and no body where the client has this state (`is_unchanged`)."""
    wants_json = _wants_json()
    kind = _JSON if wants_json else XML
    # A weak tag (RFC 9110, section 8.8.1): the time of the last heartbeat does not count.
    every = Headers()
    every[:] = (*_REVALIDATED[kind], ("ETag", f'W/"{_tag(thread, wants_json=wants_json)}"'), *headers.items())
    if is_unchanged:
        return Response(status=304, headers=every)
    text = json.dumps(describe(thread)) if wants_json else _rendered(current_app.jinja_env, thread)
    return _Whole(text, headers=every)


def is_unchanged(thread: Thread) -> bool:
    """Return whether the request's If-None-Match names this state of the thread."""
    return request.if_none_match.contains_weak(_tag(thread, wants_json=_wants_json()))


def _tag(thread: Thread, *, wants_json: bool) -> str:
    return f"{thread.rev}{'w' if thread.is_unattended else ''}-{'json' if wants_json else 'xml'}"


def threads(page: ThreadPage) -> Response:
    """Answer with a page of threads."""
    if _wants_json():
        items = [describe(thread) for thread in page.threads]
        following = {"nextCursor": page.next_cursor} if page.next_cursor else {}
        head = {"page": page.page, "pageSize": page.page_size, "total": page.total, **following}
        return _json({**head, "threads": items})
    return _xml("threads.xml", page=page)


def logs(log: LogPage, *, with_detail: bool) -> Response:
    """Answer with a page of a log; `with_detail` includes what only administrators see."""
    if _wants_json():
        events = [log_event(event, with_detail=with_detail) for event in log.events]
        counts = {name: getattr(log, name) for name in ("first", "last", "total", "dropped", "next")}
        return _json({"threadid": log.thread_id, **counts, "events": events})
    return _xml("logs.xml", log=log, with_detail=with_detail)


def log_event(event: Event, *, with_detail: bool) -> dict[str, Any]:
    """Return one line of a log for JSON."""
    return {
        "seq": event.seq,
        "timestamp": event.timestamp,
        "datetime": iso(event.timestamp),
        "level": event.level,
        "message": event.text(with_detail=with_detail),
    }


def log_head(log: LogPage) -> str:
    """Return the beginning of a whole log in XML, up to its first event."""
    counts = f'total="{log.total}" dropped="{log.dropped}" next="{log.total + 1}"'
    return f'{_PROLOG}<logs threadid="{log.thread_id}" first="{min(1, log.total)}" last="{log.total}" {counts}>\n'


def log_lines(events: Sequence[Event], kind: str, *, with_detail: bool) -> str:
    """Return lines of a log for a file: as `text`, `jsonl` (one JSON value a line) or `xml`."""
    if kind == "jsonl":
        values = (log_event(event, with_detail=with_detail) for event in events)
        return "".join(f"{json.dumps(value, ensure_ascii=False)}\n" for value in values)
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
    # Continuation lines are indented, so that no message can look like another line of the log.
    message = "\n    ".join(event.text(with_detail=with_detail).splitlines())
    return f"{event.seq} {iso(event.timestamp)} {event.level:<5} {message}\n"


def cancelled(thread: Thread | None) -> Response:
    """Answer a request to cancel a thread with its state now; with an empty element where it does not exist."""
    if _wants_json():
        return _json({"thread": describe(thread)} if thread else {})
    return _xml("thread-cancel.xml", thread=thread)


def uploaded(files: Mapping[str, int], member_id: int, upload_id: str, *, wrapped: bool, status: int) -> Response:
    """Answer with the uploaded files and their sizes in bytes; a list where `wrapped`, else the one file alone.

    The zone that they are in is `member_id`'s, and the `upload_id`'s unless it is empty.
    """
    zone = _zone(member_id, upload_id)
    items = [{"filename": clean(name), "size": size, "file": zone_file(name)} for name, size in files.items()]
    if _wants_json():
        head = {_camel(name): value for name, value in zone.items()}
        return _json({**head, "uploads": items} if wrapped else {**items[0], **head}, status)
    return _xml("uploads.xml", status, uploads=items, wrapped=wrapped, zone=zone)


def simple(
    name: str,
    attributes: Mapping[str, Any],
    texts: Mapping[str, str] | None = None,
    files: Sequence[Mapping[str, Any]] | None = None,
) -> Response:
    """Answer with an element of these attributes, texts and, unless they are None, files."""
    if _wants_json():
        listed = {} if files is None else {"files": files}
        return _json({**{_camel(name): value for name, value in attributes.items()}, **(texts or {}), **listed})
    return _xml("simple.xml", name=name, attributes_of=attributes, texts=texts or {}, files=files or ())


def _zone(member_id: int, upload_id: str) -> dict[str, Any]:
    return {"member": member_id, "max-workflow-notifications": 0, **({"uploadid": upload_id} if upload_id else {})}


def zone_file(path: str) -> dict[str, Any]:
    """Return a file of a loading zone as PageSeeder describes one."""
    path = clean(path).strip("/")
    return {"name": path.rpartition("/")[2], "path": path, "type": "file"}


def loading_zone(member_id: int, upload_id: str, files: Sequence[tuple[str, int]], *, is_truncated: bool) -> Response:
    """Answer with the paths and the sizes in bytes of a loading zone's files."""
    items = [{**zone_file(path), "size": size} for path, size in files]
    return simple("loadingzone", {**_zone(member_id, upload_id), "is-truncated": is_truncated}, files=items)


def cleared(count: int) -> Response:
    """Answer with the number of files that were removed from a loading zone."""
    return _json({"filesremoved": count}) if _wants_json() else _xml("load-clear.xml", count=count)


def processes(items: Sequence[Mapping[str, Any]]) -> Response:
    """Answer with the processes that can be started."""
    return _json({"processes": items}) if _wants_json() else _xml("processes.xml", processes=items)


def error(problem: PsthreadsError, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with an error and its status."""
    path, message = clean(request.path, limit=2_000), clean(problem.message)
    if _wants_json():
        content = {"id": problem.code, "request": path, "message": message}
        return _json(content, problem.status, headers)
    return _xml("error.xml", problem.status, headers, code=problem.code, request=path, message=message)


def bars(thread: Thread) -> list[BarView]:
    """Return the thread's progress bars in their order: its elements with a total and a current count."""
    return [
        BarView(str(element.tag), int(element.get("total", "0")), int(element.get("current", "0")))
        for element in _elements(thread.xml)
        if element.get("total", "").isdecimal() and element.get("current", "").isdecimal()
    ]


def share(thread: Thread) -> str:
    """Return the percentage of a running thread's first unfinished bar, such as `45 %`; empty where there is none."""
    if thread.status.is_final or "total=" not in thread.xml:
        return ""
    return next((f"{100 * bar.current // bar.total} %" for bar in bars(thread) if bar.current < bar.total), "")


def results(thread: Thread) -> list[str]:
    """Return the names of the thread's result files, from its own XML."""
    texts = [element.text or "" for element in _elements(thread.xml)]
    return [text for text in texts if owner(text) == thread.id and "/" not in text]


def _wants_json() -> bool:
    if suffix := g.get("suffix"):
        return bool(suffix == "json")
    current = current_request()
    accept: str = current.environ.get("HTTP_ACCEPT", "")
    if current.path.startswith(_API):
        return "xml" not in accept or current.accept_mimetypes.best_match([_JSON, *_XMLS]) == _JSON
    if "json" not in accept:  # The common case, without parsing.
        return current.path.endswith(".json") and current.url_rule is None
    return current.accept_mimetypes.best_match([*_XMLS, _JSON]) == _JSON


@lru_cache(maxsize=512)
def _rendered(environment: Environment, thread: Thread) -> str:
    # A thread changes twice a second at most, and clients poll more often: each state is rendered once.
    return _render(environment, "thread.xml", thread=thread)


def _xml(template: str, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any) -> Response:
    return _answer(_render(current_app.jinja_env, template, **values), status, headers, XML)


def _render(environment: Environment, name: str, /, **values: Any) -> str:
    # Not `render`, which makes a copy of all globals of the pages, and of which these templates need none.
    template = environment.get_template(name)
    return _PROLOG + "".join(template.root_render_func(template.new_context(values, shared=True)))


def _json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return _answer(json.dumps(content), status, headers, _JSON)


def _answer(text: str, status: int, headers: Mapping[str, str] | None, kind: str) -> Response:
    every = Headers()
    every[:] = (("Content-Type", kind), *{**_LINKS[kind], **(headers or {})}.items())
    return _Whole(text, status, headers=every)


def describe(thread: Thread) -> dict[str, Any]:
    """Return a thread for JSON."""
    content: dict[str, Any] = {
        "id": thread.id,
        "name": thread.name,
        "username": thread.username,
        "groupid": thread.group_id,
        "status": thread.status,
    }
    if thread.cancelling:
        content["cancelling"] = True
    content["created"] = iso(thread.created)
    for name in ("started", "ended", "heard"):
        if timestamp := getattr(thread, name):
            content[name] = iso(timestamp)
    content |= {"warnings": thread.warnings, "errors": thread.errors, "message": thread.message}
    if thread.result:
        content["result"] = json.loads(thread.result)
    for element in _elements(thread.xml):
        name = _camel(element.tag)
        if name not in content:
            content[name] = _element(element)
    return content


def text(value: object) -> Markup:
    """Return the value as the text of an element, in which only `&`, `<` and `>` are escaped.

    At any other reference the parser of PageSeeder's SDK loses what comes before it.
    """
    return Markup(escape(str(value)))  # nosec B704 # noqa: S704 (it is escaped, for XML)


@lru_cache(maxsize=512)
def own_xml(xml: str) -> str:
    """Return the thread's own XML, written again: what is in Redis may have been changed there."""
    return "".join(etree.tostring(element, encoding="unicode", with_tail=False) for element in _elements(xml))


def _elements(xml: str) -> list[etree._Element]:
    try:
        return list(etree.fromstring(f"<xml>{xml}</xml>", _PARSER).iterchildren("*")) if xml else []
    except (etree.XMLSyntaxError, ValueError):
        return []


def _element(element: etree._Element) -> Any:
    """Return an element for JSON: its text when it has nothing else, else its attributes and children."""
    content: dict[str, Any] = {_camel(name): _value(name, value) for name, value in element.attrib.items()}
    for child in element:
        name, value = _camel(child.tag), _element(child)
        if name in content:
            earlier = content[name]
            content[name] = [*earlier, value] if isinstance(earlier, list) else [earlier, value]
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
