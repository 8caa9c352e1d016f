"""The command line knows every process that the server has, and whatever a process takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from redis import Redis

from psthreads.audit.entries import Audit, AuditQuery
from psthreads.client import Client, RemoteThread
from tests.clients.standard.conftest import Service
from tests.support.archives import pack
from tests.support.command_line import CommandLine

ID = re.compile(r"[0-9a-f]{32}")


@pytest.fixture
def psthreads(service: Service, tmp_path: Path) -> CommandLine:
    return CommandLine(
        tmp_path,
        PSTHREADS_SERVER=f"{service.url}/ps/service",
        PSTHREADS_TOKEN=service.people.token("contributor"),
        PSTHREADS_MEMBER="contributor",
    )


def test_every_process_that_ships_is_started_by_its_name(psthreads: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.xml").write_text("<a/>")
    (tmp_path / "docs" / "empty.txt").touch()
    (tmp_path / "style.xsl").write_text('<x:stylesheet version="1.0" xmlns:x="http://www.w3.org/1999/XSL/Transform"/>')
    (tmp_path / "packed.zip").write_bytes(pack(("b.xml", b"<b/>")))
    uploaded = psthreads("upload", "docs", "style.xsl", "packed.zip", "-g", "acme", "--to", "mine")
    assert uploaded.stdout.splitlines() == [
        "Uploaded mine/docs/a.xml (4 bytes)",
        "Uploaded mine/docs/empty.txt (0 bytes)",
        f"Uploaded mine/style.xsl ({(tmp_path / 'style.xsl').stat().st_size:,} bytes)",
        f"Uploaded mine/packed.zip ({(tmp_path / 'packed.zip').stat().st_size:,} bytes)",
    ]
    for process, *parameters in (
        ("unzip", "path=mine/packed.zip"),
        ("load", "folder=/loaded"),
        ("validate", "path=/loaded", "warn=true"),
        ("move", "path=/loaded/mine/docs", "destination=/moved"),
        ("publish", "path=/moved", "stylesheet=/loaded/mine/style.xsl"),
        ("export", "path=/many"),
    ):
        done = psthreads("start", process, "-g", "acme", *(f"-p{each}" for each in parameters), "--wait")
        assert (done.exit_code, "completed" in done.stdout) == (0, True), (process, done.output)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("validdate",), "You can start no process 'validdate' in group 'acme': did you mean 'validate'?"),
        (("publish", "-p", "style=x"), "'publish' has no parameter 'style': did you mean 'stylesheet'?"),
    ],
)
def test_a_mistyped_name_is_refused_with_the_nearest_one(
    psthreads: CommandLine, arguments: tuple[str, ...], sentence: str
) -> None:
    done = psthreads("start", *arguments, "-g", "acme")
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (2, f"Error: {sentence}")


@pytest.mark.parametrize(
    ("arguments", "code", "status"),
    [
        (("count", "--wait"), 0, "completed"),
        (("--wait", "count", "-p", "pause=0.4"), 0, "completed"),
        (("end", "-p", "how=raise", "--wait"), 1, "failed"),
        (("sleep", "-p", "mark={mark}", "--wait", "1"), 124, "inprogress"),
        (("count", "--wait", "30", "--json"), 0, '"status": "completed"'),
    ],
)
def test_the_exit_code_of_a_start_that_is_waited_for_is_the_final_status(
    psthreads: CommandLine, service: Service, tmp_path: Path, arguments: tuple[str, ...], code: int, status: str
) -> None:
    filled = [each.format(mark=tmp_path / "mark") for each in arguments]
    done = psthreads("start", "-g", "acme", *filled)
    assert (done.exit_code, status in done.stdout) == (code, True), done.output
    if code == 124:
        match = ID.search(done.stdout)
        assert match
        cancelled = psthreads("cancel", match[0], "-g", "acme", "--reason", "It sleeps")
        assert cancelled.exit_code == 0
        with Redis.from_url(service.config.redis_url) as redis:
            entries = Audit(redis).page(AuditQuery()).entries
        assert "It sleeps" in [entry.reason for entry in entries]


def test_a_process_is_started_for_another_member(service: Service) -> None:
    with Client(service.url, token=service.people.token("chief"), member="chief") as client:
        thread = client.start("count", group="acme", member="reviewer", wait=20)
    assert (thread.username, thread.status) == ("reviewer", "completed")  # type: ignore[union-attr]


def test_the_client_works_below_the_prefix_of_generated_clients(service: Service, tmp_path: Path) -> None:
    token = service.people.token("contributor")
    with Client(f"{service.url}/api/v1", token=token, member="contributor") as client:
        thread = client.start("export", group="acme", path="/many", wait=20)
        assert isinstance(thread, RemoteThread)
        thread = client.wait(thread.id, "acme")
        [file] = [element.text for element in thread.elements if element.name == "zip"]
        assert client.download("acme", file, tmp_path).read_bytes().startswith(b"PK")
