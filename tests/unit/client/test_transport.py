"""Faults of transport: lost answers, busy servers, refusals and files that break off."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from psthreads.client import Client, Download
from psthreads.domain.errors import BadParameter
from tests.support.scripted_server import ID, PROGRESS, START, Answer, Scripted, failure, start, thread_xml


@pytest.fixture
def client(scripted: Scripted) -> Iterator[Client]:
    with Client(scripted.url, token="secret", member="jjones", timeout=5) as client:
        yield client


def test_basic_sign_in_is_utf8_and_names_the_member(scripted: Scripted) -> None:
    scripted.say("/members/zo%C3%AB/groups/acme/validate", Answer(202, thread_xml()))
    with Client(scripted.url, username="zoë", password="pässword") as client:
        start(client)
    assert scripted.asked[0].headers["Authorization"] == "Basic em/Dqzpww6Rzc3dvcmQ="


def test_a_start_whose_answer_was_lost_is_sent_again_with_the_same_key(client: Client, scripted: Scripted) -> None:
    scripted.say(START, Answer(drop=True), Answer(202, thread_xml(), cut=20), Answer(202, thread_xml()))
    start(client)
    assert len(scripted.requests(START)) == 3
    assert len({asked.headers["Idempotency-Key"] for asked in scripted.requests(START)}) == 1


def test_each_start_has_a_fresh_key(client: Client, scripted: Scripted) -> None:
    scripted.say(START, Answer(202, thread_xml()))
    start(client)
    start(client)
    assert len({asked.headers["Idempotency-Key"] for asked in scripted.requests(START)}) == 2


@pytest.mark.parametrize("answer", [Answer(drop=True), Answer(503, headers={"Retry-After": "0"})])
def test_a_start_without_a_key_is_never_sent_twice(client: Client, scripted: Scripted, answer: Answer) -> None:
    scripted.say(START, answer)
    failure(lambda: client.start("validate", group="acme", idempotency_key=""))
    assert len(scripted.requests(START)) == 1
    assert "Idempotency-Key" not in scripted.requests(START)[0].headers


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_after_the_time_it_names(client: Client, scripted: Scripted, status: int) -> None:
    scripted.say(START, Answer(status, headers={"Retry-After": "1"}), Answer(202, thread_xml()))
    start(client)
    first, second = scripted.requests(START)
    assert second.at - first.at >= 1


def test_a_server_that_wants_to_be_left_alone_for_longer_than_the_patience_is(
    client: Client, scripted: Scripted
) -> None:
    scripted.say(START, Answer(503, headers={"Retry-After": "3600"}))
    assert failure(lambda: start(client)).status == 503
    assert len(scripted.requests(START)) == 1


def test_a_server_that_is_not_there_is_one_clear_sentence() -> None:
    with socket.socket() as taken:  # Nobody listens there, and nobody else can.
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with Client(url, patience=0.5) as client:
            error = failure(lambda: client.progress(ID))
    assert (error.status, error.code) == (0, "")
    assert error.message == f"The server {url} does not answer: Connection refused."


def test_a_refusal_is_not_asked_again_and_keeps_its_id_and_message(client: Client, scripted: Scripted) -> None:
    scripted.say(
        PROGRESS,
        Answer(404, '<error id="0202"><request>/x</request><message>Group does not exist.</message></error>'),
    )
    error = failure(lambda: client.progress(ID, "acme"))
    assert (error.status, error.code, error.message) == (404, "0202", "Group does not exist.")
    assert len(scripted.asked) == 1


@pytest.mark.parametrize(
    "body", ['{"id": "0404", "message": "Gone."}', '{"error": {"id": "0404", "message": "Gone."}}']
)
def test_a_refusal_in_json_is_understood(client: Client, scripted: Scripted, body: str) -> None:
    scripted.say(PROGRESS, Answer(404, body, {"Content-Type": "application/json"}))
    error = failure(lambda: client.text("progress", ID, "acme", as_json=True))
    assert (error.code, error.message) == ("0404", "Gone.")
    assert scripted.asked[0].headers["Accept"] == "application/json"


@pytest.mark.parametrize(
    ("kind", "body"), [("text/html", "<html><p>Oh"), ("application/json", "[]"), ("application/json", "{")]
)
def test_a_refusal_by_something_else_on_the_way_is_still_an_error(
    client: Client, scripted: Scripted, kind: str, body: str
) -> None:
    scripted.say(PROGRESS, Answer(418, body, {"Content-Type": kind}))
    error = failure(lambda: client.progress(ID, "acme"))
    assert (error.status, error.code) == (418, "")
    assert "418" in error.message


def test_a_redirect_is_not_followed_with_the_token(client: Client, scripted: Scripted) -> None:
    scripted.say(PROGRESS, Answer(302, headers={"Location": f"{scripted.url}/elsewhere"}))
    assert f"{scripted.url}/elsewhere" in failure(lambda: client.progress(ID, "acme")).message
    assert scripted.requests("/elsewhere") == []


def test_a_file_that_is_ready_at_once_is_saved_below_a_safe_name(
    client: Client, scripted: Scripted, tmp_path: Path
) -> None:
    headers = {
        "Content-Type": "application/zip",
        "Content-Disposition": 'attachment; filename="../../.ssh/a\x1bb.zip"',
    }
    scripted.say("/members/jjones/groups/acme/export", Answer(200, b"PK\x03\x04", headers))
    result = client.start("export", group="acme")
    assert isinstance(result, Download)
    assert result.size == 4
    assert result.save(tmp_path) == tmp_path / "ab.zip"
    assert (tmp_path / "ab.zip").read_bytes() == b"PK\x03\x04"
    assert list(tmp_path.iterdir()) == [tmp_path / "ab.zip"]


def test_a_download_that_breaks_off_leaves_nothing(client: Client, scripted: Scripted, tmp_path: Path) -> None:
    zipped = {"Content-Type": "application/zip"}
    scripted.say("/ps/member-resource/acme/a.zip", Answer(200, b"x" * 200_000, zipped, cut=100_000))
    assert "broke off" in failure(lambda: client.download("acme", "a.zip", tmp_path)).message
    assert list(tmp_path.iterdir()) == []


def test_a_download_replaces_a_file_only_when_it_is_named(client: Client, scripted: Scripted, tmp_path: Path) -> None:
    scripted.say("/ps/member-resource/acme/a.zip", Answer(200, b"new", {"Content-Type": "application/zip"}))
    kept = tmp_path / "a.zip"
    kept.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        client.download("acme", "a.zip", tmp_path)
    assert kept.read_bytes() == b"old"
    client.download("acme", "a.zip", kept)
    assert kept.read_bytes() == b"new"


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "http://[", "http://x:port", "http://me:pw@x"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(BadParameter):
        Client(url)


@pytest.mark.parametrize("token", ["sec\nret", "sécret"])
def test_a_token_that_cannot_be_sent_is_refused_without_showing_it(scripted: Scripted, token: str) -> None:
    with pytest.raises(BadParameter) as caught:
        Client(scripted.url, token=token)
    assert "ret" not in caught.value.message
