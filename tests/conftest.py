"""One real Redis for each process of the test runner, and what most tests need."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import settings
from redis import Redis

from psthreads.authoring.plugins import load
from psthreads.documents.group_documents import GroupDocuments
from psthreads.documents.installation import Installation
from psthreads.documents.layout import open_storage
from psthreads.domain.access import Group
from psthreads.domain.config import Config
from psthreads.identity.directory import Directory
from psthreads.local.programs import free_port
from psthreads.local.server import RedisServer
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from psthreads.web.app import create_app
from tests.support.backends import storage_at
from tests.support.forms import sign_in
from tests.support.group_folder import SECRET
from tests.support.leaves import Signed
from tests.support.machine import Missing
from tests.support.needs import leave_out, summary
from tests.support.people import People
from tests.support.speed import QuickHashes, compile_routes_once, compile_templates_once
from tools.object_store import PACKAGES, ObjectServer


def pytest_configure() -> None:
    # Programs write to files and pipes as they do for most people: late, unless they flush.
    os.environ.pop("PYTHONUNBUFFERED", None)
    compile_routes_once()
    settings.register_profile("fast", max_examples=20)
    # In the background, and below nohup, these are ignored, and would be by all programs that the tests start.
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # below all that pytest says itself
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    yield
    for line in summary(terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(line, yellow=True)


@pytest.fixture(scope="session")
def server() -> Iterator[RedisServer]:
    folder = Path(tempfile.mkdtemp(prefix="psthreads-"))
    # Most tests do not pull the plug, so they need not wait for the disk.
    with RedisServer(folder, "--appendfsync", "no") as running:
        yield running
    shutil.rmtree(folder)


@pytest.fixture
def redis(server: RedisServer) -> Iterator[Redis]:
    with Redis(unix_socket_path=str(server.socket)) as client:
        client.flushall()
        yield client


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> str:
    """The place of the documents: a folder, or in what `in_both` says."""
    return str(getattr(request, "param", "folder"))


@pytest.fixture
def config(server: RedisServer, tmp_path: Path, backend: str, request: pytest.FixtureRequest) -> Config:
    config = Config(
        redis_url=server.url,
        port=free_port(),
        workers=1,
        documents=tmp_path / "documents",
        processes=("psthreads.processes", "tests.support.sample_processes"),
        grace=2,
        heartbeat=0.5,
        lost_after=4,
        outage=0,
        group_threads=4,
        report_interval=0.1,
    )
    if backend == "folder":
        return config
    objects: ObjectServer = request.getfixturevalue("object_server")
    return replace(config, documents=Path(objects.new_url()), endpoint=objects.endpoint, scratch=tmp_path / "scratch")


@pytest.fixture(scope="session")
def object_server() -> Iterator[ObjectServer]:
    """A server of S3's protocol, which the programs that a test starts find, too."""
    if not PACKAGES.exists() or find_spec("obstore") is None:
        leave_out(Missing("An object store is missing: make test installs moto and obstore."))
    folder = Path(tempfile.mkdtemp(prefix="psthreads-"))
    with ObjectServer(folder / "log") as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment.items():
            patch.setenv(name, value)
        yield running
    shutil.rmtree(folder)


@pytest.fixture
def store(redis: Redis, config: Config) -> ThreadStore:
    return ThreadStore(redis, config)


@pytest.fixture
def installation(redis: Redis, config: Config) -> Installation:
    """Redis and the documents, which belong together from now on."""
    made = Installation(redis, config, "test")
    assert made.check() is None
    return made


@pytest.fixture
def engine(redis: Redis, config: Config, store: ThreadStore) -> Engine:
    return Engine(redis, config, store, load(config.processes))


@pytest.fixture
def app(redis: Redis, config: Config) -> Flask:
    app = create_app(config)
    compile_templates_once(app)
    app.config["TESTING"] = False  # an error must become an answer, as it does for people
    return app


@pytest.fixture
def people(redis: Redis, config: Config) -> People:
    return People(Directory(redis, QuickHashes()), open_storage(config))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "documents"


@pytest.fixture
def inside(root: Path) -> Path:
    return root / "groups" / "7"


@pytest.fixture
def folder(root: Path, request: pytest.FixtureRequest) -> GroupDocuments:
    """A group's documents: in a folder, or in what `in_both` says."""
    made = storage_at(root, request).group(Group(7, "acme"))
    made.write("documents/a.psml", b"<a/>")
    made.write("documents/b/c.psml", b"<c/>")
    made.write("readme.txt", b"read me")
    return made


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.xml").write_bytes(SECRET)
    return outside


@pytest.fixture
def signed(app: Flask, people: People) -> Signed:
    def client(name: str) -> FlaskClient:
        browser = app.test_client()
        assert sign_in(browser, name) == 303
        return browser

    return client
