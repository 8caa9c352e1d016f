"""The recipe for nginx: TLS, a path, uploads, and streams that are not held back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from psthreads.client import Client
from psthreads.domain.config import Config
from tests.support.needs import leave_out_anywhere
from tests.support.nginx import PREFIX, nginx
from tests.system.web.conftest import Site


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, proxies=1)


@pytest.fixture
def behind(site: Site) -> Iterator[tuple[str, Path]]:
    """The address behind nginx, and its certificate."""
    if not shutil.which("nginx"):
        leave_out_anywhere("There is no nginx: install nginx-light.")
    with nginx(site.config.port) as front:
        yield front


def test_pages_services_and_streams_work_below_the_path(site: Site, behind: tuple[str, Path]) -> None:
    address, certificate = behind
    thread = site.running()
    with requests.Session() as browser:
        browser.verify = str(certificate)
        browser.trust_env = False
        page = browser.get(f"{address}/dashboard/groups", timeout=30)
        assert page.url == f"{address}/sign-in?next={PREFIX}/dashboard/groups"
        cookie = page.headers["Set-Cookie"]
        assert cookie.startswith("__Host-")
        assert "Secure" in cookie
        browser.headers.update(site.people.bearer("manager"))
        started = browser.post(f"{address}/members/manager/groups/acme/samples/count", timeout=30)
        assert urlsplit(started.headers["Operation-Location"])[:2] == urlsplit(address)[:2]
        assert browser.get(started.headers["Operation-Location"], timeout=30).json()["status"] == "NotStarted"
        with browser.get(f"{address}/groups/acme/threads/{thread.id}/events", stream=True, timeout=30) as stream:
            lines = stream.iter_lines(chunk_size=1)
            site.log(thread, 1, message="Told at once")
            assert next(line for line in lines if b"Told at once" in line)
        left = browser.get(f"http://127.0.0.1:{site.config.port}/threads", timeout=30)
        assert left.status_code == 403
        assert left.headers["Connection"] == "close"  # Kept open, it could be closed under a POST, which would get 502.


def test_the_client_uploads_and_lists_below_the_path(site: Site, behind: tuple[str, Path], tmp_path: Path) -> None:
    address, certificate = behind
    thread = site.running()
    file = tmp_path / "large.bin"
    file.write_bytes(bytes(3_000_000))  # more than nginx lets through by default
    with Client(address, token=site.people.token("manager"), member="manager", certificate=str(certificate)) as client:
        client.upload("acme", file)
        assert [each.id for each in client.all_threads("acme")] == [thread.id]
        assert client.progress(thread.id, "acme").id == thread.id
    assert [each.stat().st_size for each in site.config.documents.rglob("large.bin")] == [3_000_000]
