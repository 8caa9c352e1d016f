"""Web and workers that share nothing but Redis and an object store.

Each has a scratch folder of its own, and a mount namespace where the machine allows.
"""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import requests

from psthreads.documents.group_documents import ignore_skip
from psthreads.documents.layout import open_storage
from psthreads.documents.storage import Storage
from psthreads.domain.config import Config
from psthreads.domain.model import Status
from psthreads.identity.directory import Directory
from psthreads.threads.store import ThreadStore
from tests.support.archives import many
from tests.support.people import People
from tests.support.publishing import TITLE
from tests.support.speed import QuickHashes
from tests.support.threads import ended
from tests.support.waiting import wait_for
from tests.system.stack import Program, web, worker

DOCUMENTS = {f"{number:02}.xml": b"<a n='%d'/>" % number for number in range(24)}


@dataclass(frozen=True)
class Site:
    """The two programs, and a contributor's requests to the one that listens."""

    config: Config
    storage: Storage
    people: People
    store: ThreadStore
    worker: Program

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        url = f"http://127.0.0.1:{self.config.port}{path}"
        headers = {**self.people.bearer("contributor"), **options.pop("headers", {})}
        return requests.request(method, url, headers=headers, timeout=60, **options)

    def run(self, service: str, **values: str) -> tuple[Status, str, str]:
        """Start a process and wait for its end: its status, its message and its id."""
        thread = ended(self.store, self.store.fetch(self.begin(service, **values)), seconds=120)
        return thread.status, thread.message, thread.id

    def begin(self, service: str, **values: str) -> str:
        """Start a process; its thread's id."""
        answer = self.ask("POST", f"/members/contributor/groups/acme/{service}.json", data=values)
        match = re.search(r'"id": ?"(\w{32})"', answer.text)
        assert match, answer.text
        return match[1]

    def stop_midway(self, service: str, into: str, /, *, by_kill: bool, **values: str) -> Status:
        """Start a process, and cancel it, or kill its horse, when some documents have come into a folder."""
        documents = self.storage.group(self.people.acme)
        thread_id = self.begin(service, **values)

        def is_midway() -> bool:
            has_begun = any(each.path.startswith(f"/{into}/") for each in documents.walk())
            return has_begun or self.store.fetch(thread_id).status.is_final

        wait_for(is_midway, seconds=120)
        if by_kill:
            for horse in self.worker.children():
                horse.send_signal(signal.SIGKILL)
        else:
            assert self.ask("POST", f"/groups/acme/threads/{thread_id}/cancel.json").status_code == 200
        return ended(self.store, self.store.fetch(thread_id), seconds=120).status

    def contents(self, folder: str) -> dict[str, bytes]:
        """The documents of a folder, by the rest of their paths."""
        documents = self.storage.group(self.people.acme)
        paths = [each.path for each in documents.walk() if each.path.startswith(f"/{folder}/")]
        return {path.removeprefix(f"/{folder}/"): documents.read(path, 1 << 30) for path in paths}

    def result(self, thread_id: str, name: str) -> bytes:
        """A result of a thread, as it is downloaded."""
        answer = self.ask("GET", f"/groups/acme/threads/{thread_id}/results/{name}")
        assert answer.status_code == 200, answer.text
        return answer.content


def apart(program: Program, folder: Path) -> Program:
    """Have a program see an empty folder of its own in place of this one, where the machine allows."""
    command = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(folder)]
    if which("unshare") and not subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        program._command = [*command, *program._command]
    return program


@pytest.fixture
def site(config: Config, store: ThreadStore, tmp_path: Path) -> Iterator[Site]:
    storage = open_storage(replace(config, scratch=tmp_path / "of-test"))
    people = People(Directory(store._redis, QuickHashes()), storage)
    scratch = tmp_path / "of-web", tmp_path / "of-worker"
    server = apart(web(replace(config, scratch=scratch[0])), tmp_path)
    horses = apart(worker(replace(config, scratch=scratch[1])), tmp_path)
    with server, horses:
        ready = Site(config, storage, people, store, horses)

        def is_ready() -> bool:
            try:
                return " 1 workers" in ready.ask("GET", "/readyz").text
            except requests.ConnectionError:
                return False

        wait_for(is_ready, seconds=120)
        yield ready
        for program, folder in zip((server, horses), scratch, strict=True):
            seen = Path(f"/proc/{program.pid}/root") / folder.relative_to("/")
            assert not seen.exists() or not list(seen.iterdir())
    assert not list(tmp_path.glob("s3*"))


def stop_and_go_on(site: Site) -> None:
    """Cancel and kill a load and a move in their middle, and end what was begun by doing it again."""
    zone = site.storage.loading_zone(site.people.acme, site.people.members["contributor"].id)
    for name, content in DOCUMENTS.items():
        with zone.write(name, 100) as file:
            file.write(content)
    for number, by_kill in enumerate((False, True)):
        site.stop_midway("loadingzone/start", "loaded", by_kill=by_kill, folder="loaded", overwrite="true")
        assert site.contents("loaded").items() <= DOCUMENTS.items()
        assert {*site.contents("loaded"), *(each.path[1:] for each in zone.walk(ignore_skip))} == {*DOCUMENTS}, number
    assert site.run("loadingzone/start", folder="loaded", overwrite="true")[0] is Status.COMPLETED
    assert (zone.count(), site.contents("loaded")) == (0, DOCUMENTS)
    options = {"path": "/loaded", "destination": "/moved", "merge": "true"}
    for by_kill in (False, True):
        if site.contents("loaded"):
            site.stop_midway("move", "moved", by_kill=by_kill, **options)
        assert {**site.contents("loaded"), **site.contents("moved")} == DOCUMENTS
    if site.contents("loaded"):
        assert site.run("move", **options)[0] is Status.COMPLETED
    assert (site.contents("loaded"), site.contents("moved")) == ({}, DOCUMENTS)


@pytest.mark.parametrize("backend", ["store"], indirect=True)
def test_every_process_runs_where_nothing_is_shared_and_no_cancel_or_kill_loses_anything(site: Site) -> None:
    large = os.urandom(9 * 1024 * 1024)  # more than a part
    for name, content in (("new/a.xml", b"<a n='1'/>"), ("large.bin", large), ("in.zip", many(8))):
        assert site.ask("PUT", f"/upload?group=acme&filename={name}", data=content).status_code == 201
    form = {"b": ("form/b.xml", b"<b/>"), "c": ("form/c.xml", b"<c>")}
    assert site.ask("POST", "/upload?group=acme", files=form).status_code == 201
    too_many = site.ask("POST", "/upload?group=acme", files={"d": ("d.xml", b""), "e": ("../e.xml", b"")})
    assert too_many.status_code == 400
    listing = site.ask("GET", "/members/contributor/groups/acme/loadingzone.json").text
    assert [name in listing for name in ("new/a.xml", "large.bin", "form/c.xml", "d.xml")] == [True, True, True, False]

    assert site.run("loadingzone/unzip", path="in.zip")[:2] == (Status.COMPLETED, "Successfully unzipped 8 files")
    status, message, _ = site.run("loadingzone/start", validate="true", folder="docs")
    assert (status, message) == (Status.FAILED, "Nothing was loaded: 1 of 12 files is not valid.")
    status, message, _ = site.run("loadingzone/start", **{"skip-invalid": "true"}, folder="docs")
    assert (status, message.partition(";")[0]) == (Status.COMPLETED, "Successfully loaded 11 files")
    assert site.contents("docs")["large.bin"] == large
    assert site.ask("POST", "/members/contributor/groups/acme/loadingzone/clear").status_code == 200

    status, message, thread_id = site.run("validate", path="/docs")
    assert (status, message.partition(":")[0]) == (Status.COMPLETED, "10 documents")
    assert b"Documents checked" in site.result(thread_id, f"report-{thread_id}.html")

    whole = site.ask("POST", "/members/contributor/groups/acme/export", data={"path": "/docs"})
    with zipfile.ZipFile(io.BytesIO(whole.content)) as archive:
        assert archive.testzip() is None
        assert archive.read("docs/large.bin") == large

    lines = [event.message for event in site.store.snapshot(thread_id, 1, 1_000).log.events]
    assert not [line for line in lines if line.startswith("Left behind")]

    stop_and_go_on(site)

    # A thread that is to write a large result, and is cancelled, has none; the next ones have all.
    thread_id = site.begin("export", path="/")
    site.ask("POST", f"/groups/acme/threads/{thread_id}/cancel.json")
    if ended(site.store, site.store.fetch(thread_id), seconds=120).status is Status.CANCELLED:
        name = f"acme-export-{thread_id}.zip"
        assert site.ask("GET", f"/groups/acme/threads/{thread_id}/results/{name}").status_code == 404
    site.storage.group(site.people.acme).write("stylesheets/publish.xsl", TITLE.encode())
    for service, count in (("export", 36), ("publish/start", 24)):
        path = "/" if service == "export" else "/moved"
        status, _, thread_id = site.run(service, path=path)
        assert status is Status.COMPLETED
        name = site.store.fetch(thread_id).xml.partition("<zip>")[2].partition("</zip>")[0]
        with zipfile.ZipFile(io.BytesIO(site.result(thread_id, name))) as archive:
            assert archive.testzip() is None
            assert len(archive.namelist()) == count, service
