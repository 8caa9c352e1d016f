"""Generic pollers follow Operation-Location, unmodified: azure-core from PyPI and @azure/core-lro from npm."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from azure.core import PipelineClient
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import HeadersPolicy, RequestIdPolicy
from azure.core.polling import LROPoller
from azure.core.polling.base_polling import LROBasePolling
from azure.core.rest import HttpRequest
from flask import Flask
from redis import Redis

from psthreads.domain.config import Config
from psthreads.domain.model import Outcome, Report, Status, Thread
from psthreads.threads.store import ThreadStore
from psthreads.web.app import create_app
from tests.clients.standard import node_packages
from tests.clients.standard.conftest import Service
from tests.support.people import People
from tests.support.services import JSON_SCHEMA
from tests.support.threads import new_thread

FORMS = {"count": "to=3", "end": "how=raise", "sleep": "mark={mark}"}
PREFIXES = ["", "/ps/service"]
ENDS = [("count", "Succeeded"), ("end", "Failed"), ("sleep", "Canceled")]


@pytest.fixture
def client(service: Service) -> Iterator[PipelineClient[Any, Any]]:
    headers = {**service.people.bearer("contributor"), "Accept": "application/json"}
    client: PipelineClient[Any, Any] = PipelineClient(
        base_url=service.url, policies=[RequestIdPolicy(), HeadersPolicy(headers)]
    )
    with client:
        yield client


@pytest.mark.parametrize(
    ("prefix", "process", "status"), [("/api/v1", *end) for end in ENDS] + [(each, *ENDS[0]) for each in PREFIXES]
)
def test_azure_core_polls_a_thread_to_its_end(
    client: PipelineClient[Any, Any], service: Service, prefix: str, tmp_path: Path, process: str, status: str
) -> None:
    base = f"{service.url}{prefix}"

    def send(method: str, url: str, form: dict[str, str] | None = None) -> Any:
        # As generated clients of Azure do: the poller needs the request beside the answer.
        return client.send_request(HttpRequest(method, url, data=form), _return_pipeline_response=True)

    url = f"{base}/members/contributor/groups/acme/samples/{process}"
    initial = send("POST", url, dict(parse_qsl(FORMS[process].format(mark=tmp_path / "mark"))))
    location = initial.http_response.headers["Operation-Location"]
    assert location.startswith(f"{base}/groups/acme/threads/")
    assert not initial.http_response.headers["Location"].startswith("http")
    poller = LROPoller(client, initial, lambda answer: answer.http_response.json(), LROBasePolling(timeout=0.2))
    if status == "Canceled":
        assert send("POST", location.replace("/operation", "/cancel")).http_response.status_code == 200
    if status == "Succeeded":
        assert poller.result()["message"] == "Counted to 3"
    else:
        with pytest.raises(HttpResponseError) as caught:
            poller.result()
        assert ("Bad things" if status == "Failed" else "Cancelled by contributor") in str(caught.value)
    assert poller.status() == status


@pytest.mark.parametrize(("process", "status"), ENDS)
def test_azure_core_lro_polls_a_thread_to_its_end(service: Service, tmp_path: Path, process: str, status: str) -> None:
    packages = node_packages.install()
    said = packages.run(
        "node",
        "poller.mjs",
        folder=packages.copy(tmp_path / "poller"),
        SERVER=f"{service.url}/api/v1",
        TOKEN=service.people.token("contributor"),
        PROCESS=process,
        FORM=FORMS[process].format(mark=tmp_path / "mark"),
        CANCELS="yes" if status == "Canceled" else "",
    )
    end = json.loads(said)
    assert end["status"] == status.lower()
    if status == "Succeeded":
        assert end["result"] == "Counted to 3"
    if status == "Failed":
        assert "Bad things" in end["error"]


def test_an_operation_is_seen_by_those_who_see_the_progress(
    app: Flask, people: People, redis: Redis, store: ThreadStore, config: Config
) -> None:
    own = replace(new_thread(redis, group=people.acme), member_id=people.members["reviewer"].id)
    foreign = new_thread(redis, group=people.other)
    threads = [store.create(own), store.create(foreign)]
    as_pageseeder = create_app(replace(config, pageseeder=True))
    for application in (app, as_pageseeder):
        client = application.test_client(use_cookies=False)
        for name in (*people.members, "anonymous"):
            for thread in threads:
                for level in ("", "/groups/acme"):
                    path = f"{level}/threads/{thread}"
                    progress, operation = (
                        client.get(f"{path}/{view}", headers=people.bearer(name)).status_code
                        for view in ("progress", "operation")
                    )
                    assert progress == operation, (name, path)


def test_an_operation_says_how_far_it_is_and_where_its_result_will_be(
    app: Flask, people: People, redis: Redis, store: ThreadStore, config: Config
) -> None:
    thread = store.create(new_thread(redis, group=people.acme))
    path, headers = f"/groups/acme/threads/{thread}/operation", people.bearer("contributor")
    client = app.test_client(use_cookies=False)

    def operation(address: str = path) -> dict[str, Any]:
        answer = client.get(address, headers={**headers, "Accept": "application/xml"})
        assert answer.mimetype == "application/json"
        JSON_SCHEMA.validate(answer.json)
        assert ("Retry-After" in answer.headers) == (answer.json["status"] in {"NotStarted", "Running"})  # type: ignore[index]
        content: dict[str, Any] = answer.json  # type: ignore[assignment]
        return content

    assert operation()["status"] == "NotStarted"
    assert store.claim(thread, "t", "w")
    assert "percentComplete" not in operation()
    store.report(thread, "t", Report(1, xml='<progress total="8" current="2"/>'))
    assert (operation()["status"], operation()["percentComplete"]) == ("Running", 25)
    store.finish(thread, "t", Outcome(Status.COMPLETED, "Done"))
    for prefix in ("", "/ps/api", "/api/v1"):
        end = operation(f"{prefix}{path}")
        assert (end["status"], end["percentComplete"]) == ("Succeeded", 100)
        assert end["resourceLocation"] == f"http://localhost{prefix}/groups/acme/threads/{thread}/progress.json"
    missing = client.get(path.replace(thread, "0" * 32), headers=headers)
    assert (missing.status_code, missing.mimetype) == (404, "application/json")


def test_the_public_address_is_a_setting(config: Config, people: People) -> None:
    client = create_app(replace(config, origins=("https://ps.example",))).test_client(use_cookies=False)
    start = client.post("/members/contributor/groups/acme/samples/count", headers=people.bearer("contributor"))
    location = start.headers["Operation-Location"]
    assert location.startswith("https://ps.example/groups/acme/threads/")
    assert location.endswith("/operation")
    assert start.headers["Location"] == location.removeprefix("https://ps.example").replace("operation", "progress")


def test_the_answer_to_a_start_shows_no_end_that_a_poller_could_take_for_its_own(
    app: Flask, people: People, store: ThreadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = ThreadStore.start

    def start_and_fail(self: ThreadStore, *arguments: Any) -> Thread:
        thread = original(self, *arguments)
        assert store.claim(thread.id, "t", "w")
        store.finish(thread.id, "t", Outcome(Status.FAILED, "Bad things"))
        return thread

    monkeypatch.setattr(ThreadStore, "start", start_and_fail)
    client = app.test_client(use_cookies=False)
    path, headers = "/api/v1/members/contributor/groups/acme/samples/count", people.bearer("contributor")
    accepted = client.post(path, headers={**headers, "Idempotency-Key": "once"})
    assert (accepted.status_code, accepted.json["status"]) == (202, "initialised")  # type: ignore[index]
    JSON_SCHEMA.validate(accepted.json)
    assert client.get(accepted.headers["Operation-Location"], headers=headers).json["status"] == "Failed"  # type: ignore[index]
    # Whoever waits for the end, or asks again, gets it.
    waited = client.post(path, headers={**headers, "Prefer": "wait=5"})
    assert (waited.status_code, waited.json["status"]) == (200, "failed")  # type: ignore[index]
    repeated = client.post(path, headers={**headers, "Idempotency-Key": "once"})
    assert repeated.json["status"] == "failed"  # type: ignore[index]
