"""Web and workers that share nothing but Redis and an object store: each has a folder of its own."""

from __future__ import annotations

import io
import os
import re
import signal
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import requests

from psthreads.documents.layout import open_storage
from psthreads.documents.storage import Storage
from psthreads.domain.config import Config
from psthreads.domain.model import Status
from psthreads.identity.directory import Directory
from psthreads.threads.store import ThreadStore
from tests.support.archives import many
from tests.support.people import People
from tests.support.speed import QuickHashes
from tests.support.threads import ended
from tests.support.waiting import wait_for
from tests.system.stack import Program, web, worker
from tools.object_store import ObjectServer


@dataclass(frozen=True)
class Site:
    """The two programs, and a contributor's requests to the one that listens."""

    config: Config
    storage: Storage
    people: People
    store: ThreadStore
    worker: Program
    folders: tuple[Path, Path]

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        url = f"http://127.0.0.1:{self.config.port}{path}"
        headers = {**self.people.bearer("contributor"), **options.pop("headers", {})}
        return requests.request(method, url, headers=headers, timeout=60, **options)

    def run(self, service: str, **values: str) -> tuple[Status, str, str]:
        """Start a process and wait for its end: its status, its message and its id."""
        answer = self.ask("POST", f"/members/contributor/groups/acme/{service}.json", data=values)
        assert answer.status_code == 202, answer.text
        match = re.search(r'"id": ?"(\w{32})"', answer.text)
        assert match
        thread = ended(self.store, self.store.fetch(match[1]), seconds=120)
        return thread.status, thread.message, thread.id

    def result(self, thread_id: str, name: str) -> str:
        return f"/groups/acme/threads/{thread_id}/results/{name}"


@pytest.fixture
def site(config: Config, object_server: ObjectServer, store: ThreadStore, tmp_path: Path) -> Iterator[Site]:
    config = replace(config, documents=Path(object_server.new_url()), endpoint=object_server.endpoint)
    folders = tmp_path / "of-web", tmp_path / "of-worker"
    storage = open_storage(replace(config, scratch=tmp_path / "of-test"))
    people = People(Directory(store._redis, QuickHashes()), storage)
    with web(replace(config, scratch=folders[0])), worker(replace(config, scratch=folders[1])) as program:
        ready = Site(config, storage, people, store, program, folders)

        def is_ready() -> bool:
            try:
                return " 1 workers" in ready.ask("GET", "/readyz").text
            except requests.ConnectionError:
                return False

        wait_for(is_ready, seconds=120)
        yield ready


def test_what_is_uploaded_is_unpacked_loaded_validated_and_downloaded(site: Site) -> None:
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
    documents = site.storage.group(site.people.acme)
    assert documents.count("docs") == 11
    with documents.open("docs/large.bin") as file:
        assert file.read() == large

    status, message, thread_id = site.run("validate", path="/docs")
    assert (status, message.partition(":")[0]) == (Status.COMPLETED, "10 documents")
    report = site.ask("GET", site.result(thread_id, f"report-{thread_id}.html"))
    assert (report.status_code, b"Documents checked" in report.content) == (200, True)

    whole = site.ask("POST", "/members/contributor/groups/acme/export", data={"path": "/docs"})
    with zipfile.ZipFile(io.BytesIO(whole.content)) as archive:
        assert archive.testzip() is None
        assert archive.read("docs/large.bin") == large

    lines = [event.message for event in site.store.snapshot(thread_id, 1, 1_000).log.events]
    assert not [line for line in lines if line.startswith("Left behind")]
    assert [list(folder.iterdir()) for folder in site.folders if folder.exists()] == [[]] * sum(
        folder.exists() for folder in site.folders
    )
    assert not list(site.folders[0].parent.glob("s3*"))


def test_a_load_that_is_killed_on_the_way_loses_nothing_and_goes_on(site: Site) -> None:
    zone = site.storage.loading_zone(site.people.acme, site.people.members["contributor"].id)
    for number in range(24):
        with zone.write(f"{number:02}.xml", 100) as file:
            file.write(b"<a n='%d'/>" % number)
    documents = site.storage.group(site.people.acme)
    answer = site.ask("POST", "/members/contributor/groups/acme/loadingzone/start.json")
    thread_id = re.search(r'"id": ?"(\w{32})"', answer.text)
    assert thread_id
    wait_for(lambda: documents.count() > 3, seconds=120)
    for horse in site.worker.children():
        horse.send_signal(signal.SIGKILL)
    thread = ended(site.store, site.store.fetch(thread_id[1]), seconds=120)
    if thread.status is not Status.COMPLETED:
        site.run("loadingzone/start")
    assert zone.count() == 0
    contents = {document.path: documents.read(document.path, 100) for document in documents.walk()}
    assert contents == {f"/{number:02}.xml": b"<a n='%d'/>" % number for number in range(24)}
