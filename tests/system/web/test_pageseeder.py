"""What PageSeeder's own clients send, byte for byte, to a real server: docs/pageseeder.md says what comes of it."""

from __future__ import annotations

import re
import socket
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.client import HTTPResponse

import pytest
from lxml import etree
from redis import Redis

from psthreads.audit.entries import SETUP
from psthreads.domain.config import Config
from psthreads.threads.store import ThreadStore
from tests.support.checkout import ROOT
from tests.support.people import PASSWORD, People
from tests.support.threads import new_thread
from tests.support.waiting import wait_for
from tests.system.stack import web

UPGRADE = (
    "Connection: Upgrade, HTTP2-Settings",
    "Upgrade: h2c",
    "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
)
JAVA = (*UPGRADE, "Accept: application/xml", "Accept-Encoding: gzip", "User-Agent: Java-http-client/21.0.2")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def xml(self) -> etree._Element:
        return etree.fromstring(self.text.encode())


@dataclass(frozen=True)
class Server:
    port: int
    people: People

    def send(self, line: str, *headers: str, body: str = "") -> Answer:
        """Send these lines as they stand, and read one answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            lines = (f"{line} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", *headers, "", body)
            connection.sendall("\r\n".join(lines).encode())
            response = HTTPResponse(connection)
            response.begin()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read().decode())

    def bearer(self, who: str) -> str:
        return f"Authorization: Bearer {self.people.token(who)}"

    def basic(self, name: str, password: str = PASSWORD) -> str:
        return "Authorization: Basic " + b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture
def server(config: Config, redis: Redis, people: People) -> Iterator[Server]:
    own = replace(config, pageseeder=True)
    with web(own) as program:
        server = Server(own.port, people)

        def answers() -> bool:
            assert program.process is not None
            assert program.process.poll() is None
            try:
                return server.send("GET /healthz", "Connection: close").status == 200
            except OSError:
                return False

        wait_for(answers)
        yield server


@pytest.fixture
def thread(store: ThreadStore, people: People, redis: Redis) -> str:
    new = replace(new_thread(redis, group=people.acme), member_id=people.members["manager"].id, username="manager")
    return store.create(new)


def test_the_sdk_gets_a_token_and_uses_it(server: Server, people: People, thread: str) -> None:
    client_id, secret = people.directory.by(SETUP).add_client(people.members["chief"], "sdk")
    form = "grant_type=client_credentials"
    granted = server.send(
        "POST /ps/oauth/token",
        *UPGRADE,
        f"Content-Length: {len(form)}",
        "Content-Type: application/x-www-form-urlencoded",
        server.basic(client_id, secret),
        body=form,
    )
    assert granted.status == 200
    assert granted.headers["content-type"].startswith("application/json")
    found = re.search(r'"access_token": ?"([a-zA-Z0-9=.+/_-]{16,1024})"', granted.text)
    assert found is not None
    assert re.search(r'"expires_in": ?3600', granted.text)
    listed = server.send("GET /ps/api/threads.xml", *JAVA, f"Authorization: Bearer {found[1]}", "Content-Length: 0")
    assert listed.status == 200
    assert [one.get("id") for one in listed.xml.iter("thread")] == [thread]
    cancel = f"POST /ps/api/groups/acme/threads/{thread}/cancel.xml"
    cancelled = server.send(cancel, *JAVA, f"Authorization: Bearer {found[1]}", "Content-Length: 0")
    assert cancelled.status == 200
    assert cancelled.xml.tag == "thread-cancel"
    progress = server.send(f"GET /ps/api/threads/{thread}/progress.xml", *JAVA, f"Authorization: Bearer {found[1]}")
    assert (progress.xml.get("status"), progress.xml.get("groupid")) == ("cancelled", str(people.acme.id))
    # Starts and logs are among the services of the SDK's list, services.txt.
    start = "POST /ps/api/members/~chief/groups/~acme/samples/count.xml"
    started = server.send(start, *JAVA, f"Authorization: Bearer {found[1]}", "Content-Length: 0")
    (begun,) = started.xml.iter("thread")
    assert (started.status, begun.get("username")) == (202, "chief")
    logs = server.send(f"GET /ps/api/threads/{thread}/logs.xml", *JAVA, f"Authorization: Bearer {found[1]}")
    assert (logs.status, logs.xml.tag, logs.xml.get("threadid")) == (200, "logs", thread)
    assert logs.xml.find("event/message") is not None


def test_the_credentials_of_a_client_may_be_in_the_form(server: Server, people: People) -> None:
    client_id, secret = people.directory.by(SETUP).add_client(people.members["chief"], "form")
    form = f"grant_type=client_credentials&client_id={client_id}&client_secret={secret}"
    headers = (f"Content-Length: {len(form)}", "Content-Type: application/x-www-form-urlencoded; charset=UTF-8")
    assert server.send("POST /ps/oauth/token", *headers, body=form).status == 200


def test_the_offer_of_http_2_is_not_taken_up_and_harms_nothing(server: Server) -> None:
    plain = server.send("GET /ps/api/groups/acme/threads.xml", server.bearer("manager"))
    offered = server.send("GET /ps/api/groups/acme/threads.xml", *JAVA, server.bearer("manager"), "Content-Length: 0")
    assert (offered.status, offered.text) == (plain.status, plain.text) == (200, plain.text)
    assert "upgrade" not in offered.headers
    assert offered.headers["content-type"].startswith("application/xml")


def test_a_java_session_is_nobody_by_cookie_or_on_the_path(server: Server, thread: str) -> None:
    for line in (
        "GET /ps/api/threads.xml",
        "GET /ps/service/threads;jsessionid=0123456789ABCDEF0123456789ABCDEF",
        "GET /ps/service/threads.xml;jsessionid=0123456789ABCDEF",
        f"GET /ps/service/groups/acme;jsessionid=1/threads/{thread}/progress;JSESSIONID=2",
    ):
        alone = server.send(line, "Cookie: JSESSIONID=0123456789ABCDEF0123456789ABCDEF", "X-Requester: bridge")
        assert alone.status == 401
        assert "Basic" in alone.headers["www-authenticate"]
        assert alone.xml.get("id") == "0401"
        with_it = server.send(line, "Cookie: JSESSIONID=0123456789ABCDEF", server.basic("chief"), "X-Requester: bridge")
        assert with_it.status == 200, line
    assert server.send("GET /ps/service/threads;other=1", server.basic("chief")).status == 404


def test_the_bridge_starts_polls_and_cancels_with_basic(server: Server) -> None:
    who = (server.basic("contributor"), "X-Requester: bridge", "Accept: application/xml")
    started = server.send("POST /ps/service/members/~contributor/groups/acme/samples/count", *who, "Content-Length: 0")
    assert started.status == 202
    (found,) = started.xml.iter("thread")
    assert {"id", "name", "username", "groupid", "status"} <= set(found.attrib)
    assert (found.get("username"), int(found.get("groupid", ""))) == ("contributor", server.people.acme.id)
    progress = server.send(f"GET /ps/service/threads/{found.get('id')}/progress", *who)
    assert progress.status == 200
    assert len(progress.xml.findall("message")) <= 1
    cancel = f"POST /ps/service/groups/acme/threads/{found.get('id')}/cancel"
    assert server.send(cancel, *who, "Content-Length: 0").status == 200
    assert server.send(f"GET /ps/service/threads/{found.get('id')}/progress", *who).xml.get("status") == "cancelled"


def test_parameters_may_be_in_a_form_or_the_query(server: Server) -> None:
    path = "POST /ps/service/members/~manager/groups/acme/samples/count"
    kind = "Content-Type: application/x-www-form-urlencoded;charset=utf-8"
    assert server.send(path, server.basic("manager"), kind, "Content-Length: 4", body="to=3").status == 202
    assert server.send(f"{path}?to=4", server.basic("manager"), "Content-Length: 0").status == 202
    wrong = server.send(path, server.basic("manager"), kind, "Content-Length: 8", body="to=three")
    assert (wrong.status, wrong.xml.tag) == (400, "error")


def test_a_method_that_is_put_over_another_is_not_followed(server: Server, thread: str) -> None:
    for method in ("PATCH", "DELETE", "PUT", "GET", "NONSENSE"):
        override = (f"X-HTTP-Method-Override: {method}", server.basic("chief"), "Content-Length: 0")
        for path in ("/ps/service/threads", f"/ps/service/threads/{thread}/progress"):
            refused = server.send(f"POST {path}", *override)
            assert (refused.status, refused.xml.get("id")) == (400, "0400")
    unchanged = server.send(f"GET /ps/service/threads/{thread}/progress", server.basic("chief"))
    assert unchanged.xml.get("status") == "initialised"


def test_errors_have_pageseeders_shape_and_the_ids_of_the_contract(server: Server) -> None:
    chief = server.basic("chief")
    group = server.send("GET /ps/service/groups/nope/threads", chief)
    member = server.send("POST /ps/service/members/~nobody/groups/acme/samples/count", chief, "Content-Length: 0")
    nothing = server.send("GET /ps/service/nothing", chief)
    for answer, status, code in ((group, 404, "0202"), (member, 404, "0204"), (nothing, 404, "0404")):
        assert (answer.status, answer.xml.tag, answer.xml.get("id")) == (status, "error", code)
        assert [child.tag for child in answer.xml] == ["request", "message"]


def test_a_poll_at_server_level_is_the_starters_own_with_the_setting(server: Server, thread: str) -> None:
    assert server.send(f"GET /ps/service/threads/{thread}/progress", server.basic("manager")).status == 200
    assert server.send(f"GET /ps/service/threads/{thread}/progress", server.basic("approver")).status == 404


def test_the_page_of_the_docs_names_what_is_tried_here() -> None:
    page = (ROOT / "docs" / "pageseeder.md").read_text()
    for word in (
        *("/ps/oauth/token", "/ps/oauth/revoke", "/ps/api/", "/ps/service/", "~username", "jsessionid", "JSESSIONID"),
        *(
            "X-HTTP-Method-Override",
            "X-Requester",
            "Upgrade: h2c",
            "0106",
            "0204",
            "PSTHREADS_PAGESEEDER",
            "psthreads admin",
        ),
    ):
        assert word in page
