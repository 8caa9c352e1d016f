"""What the client asks for, how it follows a thread, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from psthreads.client import Client, RemoteThread
from psthreads.domain.errors import BadParameter
from psthreads.domain.model import Level, Status
from tests.support.scripted_server import ID, LOGS, PROGRESS, START, Answer, Scripted, failure, logs_xml, thread_xml


@pytest.fixture
def client(scripted: Scripted) -> Iterator[Client]:
    with Client(scripted.url, token="secret", member="jjones", timeout=5) as client:
        yield client


def test_start_sends_the_parameters_as_a_form(client: Client, scripted: Scripted) -> None:
    scripted.say(START, Answer(202, thread_xml("initialised")))
    started = client.start("validate", group="acme", path="/a b", warn=True, page_size=3, wait_="x", wait=7)
    assert isinstance(started, RemoteThread)
    assert (started.id, started.status, started.group_id) == (ID, Status.INITIALISED, 240)
    [asked] = scripted.requests(START)
    assert asked.form == {"path": ["/a b"], "warn": ["true"], "page-size": ["3"], "wait": ["x"]}
    assert asked.headers["Authorization"] == "Bearer secret"
    assert asked.headers["Prefer"] == "wait=7"


def test_a_list_has_its_threads_and_where_it_stands(client: Client, scripted: Scripted) -> None:
    scripted.say("/threads", Answer(200, f'<threads page="2" page-size="1" total="3">{thread_xml()}</threads>'))
    page = client.threads(status="failed", page=2, page_size=1)
    assert ([thread.id for thread in page.threads], page.total, page.page, page.page_size) == ([ID], 3, 2, 1)
    assert scripted.asked[0].query == {"status": ["failed"], "page": ["2"], "page-size": ["1"]}
    assert page.threads[0].xml.startswith("<thread ")


def test_a_page_of_the_log_is_asked_for_by_number_or_from_its_end(client: Client, scripted: Scripted) -> None:
    event = '<event seq="7" timestamp="99999999999999999" level="LOUD"><message>Hm</message></event>'
    scripted.say(LOGS, Answer(200, f'<logs threadid="{ID}" total="9" dropped="2" next="8">{event}</logs>'))
    page = client.logs(ID, "acme", start=7, page_size=1)
    assert (page.total, page.dropped, page.next, page.events[0].level) == (9, 2, 8, Level.INFO)
    client.logs(ID, "acme", tail=5, level="WARN")
    first, second = scripted.asked
    assert first.query == {"from": ["7"], "page-size": ["1"]}
    assert second.query == {"tail": ["5"], "page-size": ["200"], "level": ["WARN"]}


def test_a_followed_log_has_every_line_once_whatever_the_connection_does(client: Client, scripted: Scripted) -> None:
    scripted.say(
        LOGS,
        Answer(200, logs_xml(1, 3, 3, 4)),
        Answer(drop=True),
        Answer(200, logs_xml(3, 6, 900, 7)),  # One line that was given already.
        Answer(200, logs_xml(7, 9, 900, 10), cut=80),
        Answer(200, logs_xml(890, 895, 900, 896)),  # The middle of the log was dropped.
        Answer(503, headers={"Retry-After": "0"}),
        Answer(200, logs_xml(896, 900, 900, 901)),
        Answer(200, logs_xml(901, 902, 902, 903)),
    )
    scripted.say(PROGRESS, Answer(200, thread_xml()), Answer(200, thread_xml("completed")))
    events = [event.seq for event in client.follow_log(ID, "acme", poll=0.01)]
    assert events == [*range(1, 7), *range(890, 903)]


def test_a_followed_log_holds_what_was_written_just_before_the_end(client: Client, scripted: Scripted) -> None:
    scripted.say(LOGS, Answer(200, logs_xml(1, 2, 2, 3)), Answer(200, logs_xml(3, 3, 3, 4)))
    scripted.say(PROGRESS, Answer(200, thread_xml("failed")))
    assert [event.seq for event in client.follow_log(ID, "acme")] == [1, 2, 3]


def test_waiting_shows_every_look_and_ends_with_the_thread(client: Client, scripted: Scripted) -> None:
    scripted.say(
        PROGRESS,
        Answer(200, thread_xml("initialised")),
        Answer(503),
        Answer(drop=True),
        Answer(200, thread_xml("warning")),
        Answer(200, thread_xml("completed")),
    )
    seen: list[str] = []
    thread = client.wait(ID, "acme", on_progress=lambda now: seen.append(now.status), poll=0.01)
    assert thread.status is Status.COMPLETED
    assert seen == ["initialised", "warning", "completed"]


def test_waiting_has_an_end_of_its_own(client: Client, scripted: Scripted) -> None:
    scripted.say(PROGRESS, Answer(200, thread_xml()))
    with pytest.raises(TimeoutError, match=ID):
        client.wait(ID, "acme", timeout=0.3)


def test_cancel_posts_and_tells_how_the_thread_stands(client: Client, scripted: Scripted) -> None:
    cancel = f"/groups/acme/threads/{ID}/cancel"
    stands = "<thread-cancel>" + thread_xml(attributes='cancelling="true"') + "</thread-cancel>"
    scripted.say(cancel, Answer(drop=True), Answer(200, stands), Answer(200, "<thread-cancel/>"))
    thread = client.cancel(ID, "acme", force=True)
    assert thread is not None
    assert thread.cancelling
    assert client.cancel(ID, "acme") is None
    assert [(asked.method, asked.form) for asked in scripted.asked] == [
        ("POST", {"force": ["true"]}),
        ("POST", {"force": ["true"]}),
        ("POST", {}),
    ]


@pytest.mark.parametrize(
    ("route", "group", "path"),
    [
        (None, None, "/members/j%2Fj/count"),
        ("/members/{member}/groups/{group}/samples/count", "a b", "/members/j%2Fj/groups/a%20b/samples/count"),
        ("members/~{member}/{process}s/", "acme", "/members/~j%2Fj/counts"),
        ("/x?a=b#c/~", None, "/x%3Fa%3Db%23c/~"),
    ],
)
def test_a_start_goes_to_the_route_that_it_is_given(
    client: Client, scripted: Scripted, route: str | None, group: str | None, path: str
) -> None:
    scripted.say(path, Answer(202, thread_xml()))
    client.start("count", group=group, member="j/j", route=route, to=3)
    assert (scripted.asked[-1].path, scripted.asked[-1].form) == (path, {"to": ["3"]})


@pytest.mark.parametrize(
    ("route", "member", "named"),
    [
        ("/members/{member}/groups/{group}/count", "jjones", "group"),
        ("/members/{member}/{mood}", "jjones", "mood"),
        ("/members/{member}/count", "..", "member"),
        ("/members/../{member}", "jjones", "route"),
        ("/members//{member}", "jjones", "route"),
        ("https://elsewhere.example/{member}", "jjones", "route"),
    ],
)
def test_a_route_that_leads_nowhere_is_refused_and_sends_nothing(
    client: Client, scripted: Scripted, route: str, member: str, named: str
) -> None:
    with pytest.raises(BadParameter) as caught:
        client.start("count", member=member, route=route)
    assert caught.value.name == named
    assert scripted.asked == []


@pytest.mark.parametrize("prefix", ["", "/ps/service", "/ps/api"])
def test_a_result_is_downloaded_whatever_the_prefix(scripted: Scripted, tmp_path: Path, prefix: str) -> None:
    scripted.say("/ps/member-resource/acme/a%20b.xml", Answer(200, b"<a/>"))
    with Client(scripted.url + prefix) as client:
        assert client.download("acme", "a b.xml", tmp_path).read_bytes() == b"<a/>"


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_cannot_lead_to_another_service(client: Client, scripted: Scripted, name: str) -> None:
    with pytest.raises(BadParameter):
        client.progress(name, "acme")
    with pytest.raises(BadParameter):
        client.progress(ID, name)
    assert scripted.asked == []


def test_a_name_with_a_slash_stays_one_name(client: Client, scripted: Scripted) -> None:
    assert failure(lambda: client.progress("a/b", "x?y")).status == 404
    assert scripted.asked[0].path == "/groups/x%3Fy/threads/a%2Fb/progress"


def test_a_start_needs_a_member(scripted: Scripted) -> None:
    with Client(scripted.url, token="secret") as client, pytest.raises(BadParameter, match="member"):
        client.start("validate", group="acme")


LISTED = """<processes>
  <process name="load" route="/members/jjones/groups/acme/loadingzone/start"
           template="/members/{member}/groups/{group}/loadingzone/start"><summary/>
    <parameter name="validate" type="boolean" required="false" default="false"/>
    <parameter name="page-size" type="integer" required="true"/>
  </process>
</processes>"""
PROCESSES = "/groups/acme/processes"


def test_a_start_goes_where_the_list_says_that_the_process_is(client: Client, scripted: Scripted) -> None:
    scripted.say(PROCESSES, Answer(200, LISTED))
    scripted.say("/members/zoe/groups/acme/loadingzone/start", Answer(202, thread_xml()))
    for _ in range(2):
        client.start("load", group="acme", member="zoe", page_size=3, validate_="yes")
    assert scripted.asked[-1].form == {"page-size": ["3"], "validate": ["yes"]}
    assert len(scripted.requests(PROCESSES)) == 1, "the list is read once"


@pytest.mark.parametrize(
    ("process", "parameters", "sentence"),
    [
        ("laod", {}, "You can start no process 'laod' in group 'acme': did you mean 'load'?"),
        ("x", {}, "You can start no process 'x' in group 'acme': there are load."),
        ("load", {"valdate": "true"}, "'load' has no parameter 'valdate': did you mean 'validate'?"),
        ("load", {"pagesize": "3"}, "'load' has no parameter 'pagesize': did you mean 'page-size'?"),
    ],
)
def test_a_mistyped_name_is_refused_with_the_nearest_one_and_starts_nothing(
    client: Client, scripted: Scripted, process: str, parameters: dict[str, Any], sentence: str
) -> None:
    scripted.say(PROCESSES, Answer(200, LISTED))
    with pytest.raises(BadParameter) as caught:
        client.start(process, group="acme", **parameters)
    assert caught.value.message == sentence
    assert {asked.path for asked in scripted.asked} == {PROCESSES}


def test_a_process_that_the_server_has_meanwhile_is_started(client: Client, scripted: Scripted) -> None:
    scripted.say(PROCESSES, Answer(200, "<processes/>"), Answer(200, LISTED))
    scripted.say("/members/jjones/groups/acme/loadingzone/start", Answer(202, thread_xml()))
    with pytest.raises(BadParameter):
        client.start("load", group="acme")
    assert client.start("load", group="acme")


def test_without_the_list_a_start_goes_to_the_usual_route(client: Client, scripted: Scripted) -> None:
    refusal = "<error id='0403'><message>This token may only act: use one that may read.</message></error>"
    scripted.say(PROCESSES, Answer(403, refusal))
    scripted.say(START, Answer(202, thread_xml()))
    assert client.start("validate", group="acme", anything="goes")


def test_an_upload_is_sent_again_from_its_beginning(client: Client, scripted: Scripted, tmp_path: Path) -> None:
    path = "/ps/servlet/upload"
    file = tmp_path / "a.xml"
    file.write_bytes(b"one=two")
    scripted.say(
        path, Answer(503, headers={"Retry-After": "0"}), Answer(201, "<upload filename='docs/a.xml' size='7'/>")
    )
    assert client.upload("acme", file, "docs/a.xml") == 7
    assert [asked.form for asked in scripted.requests(path)] == [{"one": ["two"]}] * 2
    assert scripted.asked[0].query == {"group": ["acme"], "filename": ["docs/a.xml"]}
