"""A Python client that openapi-python-client generates from the live document, and that does all that a person does."""

from __future__ import annotations

import importlib
import io
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.clients.standard.conftest import Service
from tests.support.waiting import wait_for

GROUP = "groups_group"
MEMBER = f"members_member_{GROUP}"
NAME = "generated_client"


class Generated:
    """The generated package; `call` calls one of its operations."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, token

    @property
    def client(self) -> Any:
        return importlib.import_module(NAME).AuthenticatedClient(
            base_url=self._url, token=self._token, timeout=httpx.Timeout(60)
        )

    def call(self, part: str, operation: str, *arguments: str, by: Any = None, **options: Any) -> Any:
        module = importlib.import_module(f"{NAME}.api.{part}.{operation}")
        with by or self.client as client:
            response = module.sync_detailed(*arguments, client=client, **options)
        assert response.parsed is not None, response.content
        return response.parsed

    @staticmethod
    def model(name: str, **fields: Any) -> Any:
        return getattr(importlib.import_module(f"{NAME}.models"), name)(**fields)


@pytest.fixture(scope="module")
def generate(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Generated]]:
    folder = tmp_path_factory.mktemp("generated")
    document = folder / "openapi.json"
    document.write_bytes(httpx.get(f"{service.url}/openapi.json", timeout=60).content)
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--path", str(document)]
    done = subprocess.run(
        [*command, "--output-path", str(folder / NAME)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "Error" not in done.stdout, done.stdout
    sys.path.insert(0, str(folder))
    yield lambda token: Generated(f"{service.url}/api/v1", token)
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
        del sys.modules[name]


@pytest.fixture
def generated(generate: Callable[[str], Generated], service: Service) -> Generated:
    """The client, signed in by an OAuth client's token, which it has asked for itself."""
    program = service.program(uuid4().hex)
    first = generate("")
    anonymous = importlib.import_module(NAME).Client(base_url=f"{service.url}/api/v1", timeout=httpx.Timeout(60))
    grant = first.model("PostOauthTokenBodyGrantType", value="client_credentials")
    body = first.model("PostOauthTokenBody", grant_type=grant, client_id=program[0], client_secret=program[1])
    return generate(first.call("open_", "post_oauth_token", by=anonymous, body=body).access_token)


def test_a_generated_client_signs_in_starts_follows_and_reads_the_log(generated: Generated) -> None:
    body = generated.model("PostMembersMemberGroupsGroupValidateBody", path="/many", warn=True)
    thread = generated.call("process", f"post_{MEMBER}_validate", "contributor", "acme", body=body, prefer="wait=20")
    assert (thread.status, thread.username) == ("completed", "contributor")
    again = generated.call("service", f"get_{GROUP}_threads_thread_progress", "acme", thread.id)
    assert again.to_dict() == {**thread.to_dict(), "heard": again.to_dict().get("heard")}
    logs = generated.call("service", f"get_{GROUP}_threads_thread_logs", "acme", thread.id, from_=1, page_size=3)
    assert [event.seq for event in logs.events] == [1, 2, 3]
    page = generated.call("service", f"get_{GROUP}_threads", "acme", page_size=500)
    assert page.page_size == 500
    names = [process.name for process in generated.call("service", f"get_{GROUP}_processes", "acme").processes]
    assert "validate" in names
    stream = generated.call("file", f"get_{GROUP}_threads_thread_events", "acme", thread.id)
    assert "event: status" in stream


def test_a_generated_client_cancels(generated: Generated, tmp_path: Path) -> None:
    body = generated.model("PostMembersMemberGroupsGroupSamplesSleepBody", mark=str(tmp_path / "mark"))
    thread = generated.call("process", f"post_{MEMBER}_samples_sleep", "contributor", "acme", body=body)
    cancel = generated.model("PostGroupsGroupThreadsThreadCancelBody", force=True, reason="Enough")
    answer = generated.call("service", f"post_{GROUP}_threads_thread_cancel", "acme", thread.id, body=cancel)
    assert answer.thread.id == thread.id

    def ended() -> bool:
        now = generated.call("service", f"get_{GROUP}_threads_thread_progress", "acme", thread.id)
        return bool(now.status == "cancelled")

    wait_for(ended)


def test_a_generated_client_fetches_a_result(generated: Generated) -> None:
    body = generated.model("PostMembersMemberGroupsGroupExportBody", path="/many")
    thread = generated.call(
        "process", f"post_{MEMBER}_export", "contributor", "acme", body=body, prefer="wait=20", idempotency_key="once"
    )
    while thread.status not in {"completed", "failed"}:
        thread = generated.call("service", f"get_{GROUP}_threads_thread_progress", "acme", thread.id, prefer="wait=20")
    file = generated.call("file", f"get_{GROUP}_threads_thread_results_filename", "acme", thread.id, thread.zip_)
    assert len(zipfile.ZipFile(io.BytesIO(file.payload.read())).namelist()) == 21


def test_a_generated_client_uploads_and_is_told_what_is_wrong(generated: Generated) -> None:
    types = importlib.import_module(f"{NAME}.types")
    one, two = (types.File(payload=io.BytesIO(b"<a/>"), file_name=f"generated-{name}.xml") for name in "ab")
    stored = generated.call("service", "put_upload", body=one, group="acme", filename="generated.xml")
    assert (stored.filename, stored.size) == ("generated.xml", 4)
    one.payload.seek(0)
    form = generated.model("PostUploadBody", group="acme", file=[one, two])
    uploads = generated.call("service", "post_upload", body=form).uploads
    assert [(upload.filename, upload.size) for upload in uploads] == [("generated-a.xml", 4), ("generated-b.xml", 4)]
    error = generated.call("service", f"get_{GROUP}_threads", "nowhere")
    assert (error.id, error.message) == ("0202", "Group 'nowhere' does not exist.")
