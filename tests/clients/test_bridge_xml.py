"""What the XML parsers of PageSeeder's Java bridge and SDK, and of pageseeder-rs, need of every answer."""

from __future__ import annotations

import json
import re

from lxml import etree
from redis import Redis

from psthreads.documents.layout import Documents
from psthreads.domain.config import Config
from psthreads.domain.model import Status
from psthreads.threads.store import ThreadStore
from tests.clients.answers import Caller, xml
from tests.support.checkout import ROOT
from tests.support.people import People
from tests.support.threads import new_thread

QUOTED = "Can't load \"a.xml\": it's 3 < 4 && 5 > 4"
AS_TEXT = "Can't load \"a.xml\": it's 3 &lt; 4 &amp;&amp; 5 &gt; 4"


def running(store: ThreadStore, redis: Redis, people: People, message: str) -> str:
    thread = store.create(new_thread(redis, group=people.acme))
    key, field = store.location(thread)
    meta = json.loads(redis.hget(key, field) or b"")
    redis.hset(key, field, json.dumps({**meta, "status": "inprogress", "message": message, "rev": 9}))
    return thread


def media_type(content_type: str) -> str:
    """Return what the bridge takes for the media type: the header up to `;charset=`, and all of it without that."""
    before, found, _ = content_type.partition(";charset=")
    return before if found else content_type


def is_xml(content_type: str) -> bool:
    kind = media_type(content_type)
    return kind in {"text/xml", "application/xml"} or kind.endswith("+xml")


def test_pshttpconnection_isxml_takes_every_answer_for_xml(
    chief: Caller, people: People, store: ThreadStore, redis: Redis
) -> None:
    """bridge, PSHTTPConnection.getMediaType and isXML: the type is what stands before `;charset=`, to the letter."""
    thread = store.create(new_thread(redis, group=people.acme))
    gets = (
        *("/threads", f"/threads/{thread}/progress", f"/threads/{thread}/logs", "/processes", "/groups/nope/threads"),
        *("/nothing", f"/threads/{'0' * 32}/progress", f"/threads/{thread}/logs/download?format=xml"),
        "/schemas/thread.xsd",
    )
    answers = [chief.get(path) for path in gets]
    answers += [chief.client.get("/threads"), chief.get(f"/threads/{thread}/cancel"), chief.get("/threads?page=x")]
    answers += [
        chief.post("/members/chief/groups/acme/samples/count"),
        chief.post("/members/chief/groups/acme/loadingzone/clear"),
        chief.put("/ps/servlet/upload?group=acme&filename=a.xml", b"<a/>"),
        chief.post(f"/threads/{thread}/cancel"),
    ]
    assert {answer.status_code for answer in answers} >= {200, 201, 202, 400, 401, 404, 405}
    for answer in answers:
        kind = answer.headers["Content-Type"]
        assert is_xml(kind), (answer.request.path, kind)
        assert kind == "application/xml;charset=utf-8"


def test_a_result_that_is_xml_has_the_same_type(
    chief: Caller, config: Config, people: People, store: ThreadStore, redis: Redis
) -> None:
    """bridge, PSHTTPConnection.getMediaType: also of files."""
    thread = store.create(new_thread(redis, group=people.acme))
    name = f"{thread}-report.xml"
    with Documents(config.documents).results(people.acme.id).write(name) as file:
        file.write(b"<report/>")
    answer = chief.get(f"/ps/member-resource/~acme/{name}")
    assert (answer.data, answer.headers["Content-Type"]) == (b"<report/>", "application/xml;charset=utf-8")
    answer.close()


def test_the_text_of_elements_has_no_references_to_quotes(
    chief: Caller, people: People, store: ThreadStore, redis: Redis
) -> None:
    """SDK, BasicHandler.characters (line 70): a reference ends a report, and the next one begins with the character."""
    thread = running(store, redis, people, QUOTED)
    assert f"<message>{AS_TEXT}</message>" in chief.get(f"/threads/{thread}/progress").text
    assert f"<message>{AS_TEXT}</message>" in chief.get("/threads").text
    assert "<message>Group 'it's' does not exist.</message>" in chief.get("/groups/it's/threads").text


def test_no_template_of_xml_writes_text_that_is_escaped_for_html() -> None:
    """The kind of it: every expression between tags goes through a filter that leaves quotes as they are."""
    for path in sorted((ROOT / "templates").glob("*.xml")):
        source = re.sub(r"\{#.*?#\}", "", path.read_text(), flags=re.DOTALL)
        for expression in re.findall(r">\s*(?:\{%[^>%]*?%\})?\{\{(.*?)\}\}(?=<)", source):
            assert expression.rstrip().endswith(("|text", "|own_xml", "wrapper")), (path.name, expression)


def test_an_empty_message_is_left_out(chief: Caller, people: People, store: ThreadStore, redis: Redis) -> None:
    """pageseeder-rs, model.rs: ThreadMessage (line 414) fails where it has no text; Thread.message may lack."""
    thread = running(store, redis, people, "")
    root = xml(chief.get(f"/threads/{thread}/progress"))
    assert root.find("message") is None
    etree.XMLSchema(etree.parse(ROOT / "schemas" / "thread.xsd")).assertValid(root)
    assert json.loads(chief.get(f"/threads/{thread}/progress.json").data)["message"] == ""


def test_psthreadhandler_finds_all_that_it_requires(
    chief: Caller, people: People, store: ThreadStore, redis: Redis
) -> None:
    """bridge, PSThreadHandler.startElement: id, status, username, name, and a groupid that Long.valueOf can read."""
    in_group = store.create(new_thread(redis, group=people.acme))
    on_server = store.create(new_thread(redis, group=None))
    for thread, group_id in ((in_group, people.acme.id), (on_server, -1)):
        root = xml(chief.get(f"/ps/service/threads/{thread}/progress"))
        assert root.get("id") == thread
        assert re.fullmatch(r"-?[0-9]+", root.get("groupid", ""))
        assert int(root.get("groupid", "")) == group_id
        assert root.get("status") in {str(status) for status in Status}
        assert root.get("username")
        assert root.get("name")


def test_serviceerrorhandler_reads_id_and_message(chief: Caller) -> None:
    """bridge, ServiceErrorHandler: the id is hexadecimal; pageseeder-rs, model.rs, Error (187): request and message."""
    for path, code in (("/groups/nope/threads", 0x0202), ("/members/~nope/groups/acme/validate", 0x0204)):
        answer = chief.post(path) if path.startswith("/members") else chief.get(path)
        root = xml(answer)
        assert (root.tag, int(root.get("id", ""), 16)) == ("error", code)
        assert root.findtext("request") == path
        assert root.findtext("message")
