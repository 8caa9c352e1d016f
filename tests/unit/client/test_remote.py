"""Answers as they may be: odd, unknown or none at all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from psthreads.client import Client
from tests.support.scripted_server import ID, PROGRESS, Answer, Scripted, failure, thread_xml


@pytest.fixture
def client(scripted: Scripted) -> Iterator[Client]:
    with Client(scripted.url, token="secret", member="jjones", timeout=5) as client:
        yield client


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<thread",
        "\x00",
        "<html><body/></html>",
        f'<!DOCTYPE thread [<!ENTITY e SYSTEM "file:///etc/passwd">]>{thread_xml(inside="<message>&e;</message>")}',
        (
            "<!DOCTYPE t [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>"
            "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;'>]><thread id='&c;'/>"
        ),
    ],
)
def test_an_answer_that_is_no_thread_is_an_error(client: Client, scripted: Scripted, body: str) -> None:
    scripted.say(PROGRESS, Answer(200, body))
    assert "answer" in failure(lambda: client.progress(ID, "acme")).message


def test_what_the_client_does_not_know_is_kept_and_not_in_the_way(client: Client, scripted: Scripted) -> None:
    inside = (
        '<!-- new --><message>Half <b>way</b></message><x:odd xmlns:x="urn:x" a="1">text</x:odd>'
        '<progress total="474" current="120"/><zip>a.zip</zip>'
    )
    xml = thread_xml("paused", inside, 'created="2022-05-16T12:14:01.924+10:00" started="soon" mood="good"')
    scripted.say(PROGRESS, Answer(200, xml))
    thread = client.progress(ID, "acme")
    assert (thread.status, thread.is_final, thread.message) == ("paused", False, "Half way")
    assert [(element.name, element.text) for element in thread.elements] == [
        ("odd", "text"),
        ("progress", ""),
        ("zip", "a.zip"),
    ]
    assert thread.progress == (120, 474)
    assert thread.created is not None
    assert thread.created.isoformat() == "2022-05-16T12:14:01.924000+10:00"
    assert thread.started is None
    assert thread.xml == xml


@pytest.mark.parametrize(
    ("element", "value", "others"),
    [
        ('<result type="json">{"a": [1, "&lt;"]}</result>', {"a": [1, "<"]}, []),
        ('<result type="json">false</result>', False, []),
        ("<result>a file</result>", None, ["result"]),
        ('<result/><result type="json">[]</result>', [], ["result"]),
        ('<result type="json">{</result>', None, []),
        (f'<result type="json">{"[" * 100_000}</result>', None, []),
        ("", None, []),
    ],
)
def test_the_result_is_the_value_that_the_process_returned(
    client: Client, scripted: Scripted, element: str, value: object, others: list[str]
) -> None:
    scripted.say(PROGRESS, Answer(200, thread_xml("completed", f"<message>Done</message>{element}")))
    thread = client.progress(ID, "acme")
    assert thread.result == value
    assert [element.name for element in thread.elements] == others


def test_an_unknown_status_with_an_end_is_final(client: Client, scripted: Scripted) -> None:
    scripted.say(PROGRESS, Answer(200, thread_xml("archived", attributes='ended="2022-05-16T12:14:01Z"')))
    assert client.wait(ID, "acme").status == "archived"


def test_a_thread_without_attributes_is_a_thread(client: Client, scripted: Scripted) -> None:
    scripted.say(PROGRESS, Answer(200, "<thread><progress total='many'/></thread>"))
    thread = client.progress(ID, "acme")
    assert (thread.id, thread.group_id, thread.progress, thread.errors) == ("", -1, None, 0)


@pytest.mark.parametrize(
    ("bars", "expected"),
    [
        ("<processing current='3' total='9'/><packaging current='0' total='9'/>", (3, 9)),
        ("<processing current='9' total='9'/><packaging current='2' total='9'/>", (2, 9)),
        ("<processing current='8' total='8'/><packaging current='9' total='9'/>", (9, 9)),
        ("<progress current='0' total='0'/>", None),
    ],
)
def test_progress_is_the_first_bar_that_is_not_full(
    client: Client, scripted: Scripted, bars: str, expected: tuple[int, int] | None
) -> None:
    scripted.say(PROGRESS, Answer(200, thread_xml(inside=bars)))
    assert client.progress(ID, "acme").progress == expected
