"""REDIS_URL with TLS and a password: web and workers reach Redis only where its certificate is one to trust.

The server that the tests start speaks no TLS (its build has none), so that a front does that takes TLS off, as stunnel
does before many a Redis: to whoever connects it is the same.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests
from redis import Redis

from psthreads.database.connection import connect, translate_errors
from psthreads.domain.config import Config
from psthreads.domain.errors import Unavailable
from psthreads.identity.directory import Directory
from psthreads.local.programs import free_port
from psthreads.local.server import RedisServer
from tests.support.certificates import make_certificate
from tests.support.people import People
from tests.support.waiting import wait_for
from tests.system.stack import web, worker

PASSWORD = "a-password-of-the-test"


@dataclass(frozen=True)
class Fronted:
    port: int
    authority: Path
    stranger: Path

    def url(self, *, authority: Path | None = None, password: str = PASSWORD, scheme: str = "rediss") -> str:
        return f"{scheme}://guest:{password}@127.0.0.1:{self.port}/0?ssl_ca_certs={authority or self.authority}"


class Front:
    """Takes TLS connections, and passes on what they carry to a Unix socket."""

    def __init__(self, port: int, certificate: Path, key: Path, to: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate, key)
        self._port = port
        self._to = to
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()
        assert self._ready.wait(10)

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(lambda *_: None)  # A client that trusts nobody hangs up.
        serving = asyncio.start_server(self._pass_on, "127.0.0.1", self._port, ssl=self._context)
        server = self._loop.run_until_complete(serving)
        self._ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(str(self._to))

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            try:
                while data := await source.read(65_536):
                    sink.write(data)
                    await sink.drain()
            except OSError:
                pass
            finally:
                sink.close()

        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))


@pytest.fixture
def fronted(server: RedisServer, redis: Redis, tmp_path: Path) -> Iterator[Fronted]:
    authority = make_certificate(tmp_path, "authority")
    stranger = make_certificate(tmp_path, "stranger")
    own = make_certificate(tmp_path, "redis", authority=authority)
    redis.acl_setuser(
        "guest", enabled=True, passwords=[f"+{PASSWORD}"], keys=["*"], channels=["*"], categories=["+@all"]
    )
    port = free_port()
    with Front(port, own.path, own.key_path, server.socket):
        yield Fronted(port, authority.path, stranger.path)
    redis.acl_deluser("guest")


def test_web_and_worker_do_their_work_through_tls_with_a_password(
    fronted: Fronted, config: Config, people: People
) -> None:
    config = replace(config, redis_url=fronted.url())
    base = f"http://127.0.0.1:{config.port}"

    def is_ready() -> bool:
        try:
            return " 1 workers" in requests.get(f"{base}/readyz", timeout=25).text
        except requests.ConnectionError:
            return False

    with web(config), worker(config):
        wait_for(is_ready)
        headers = {**people.bearer("contributor"), "Prefer": "wait=20"}
        started = requests.post(
            f"{base}/members/contributor/groups/acme/samples/count.json", headers=headers, timeout=30
        )
        assert started.json()["status"] == "completed"
        with requests.get(
            f"{base}/groups/acme/threads/{started.json()['id']}/events", headers=headers, timeout=30
        ) as stream:
            assert '"status": "completed"' in stream.text


def refuses(url: str) -> None:
    with connect(url) as client, pytest.raises(Unavailable), translate_errors():
        Directory(client).members()


def test_a_certificate_of_a_stranger_is_not_trusted(fronted: Fronted) -> None:
    refuses(fronted.url(authority=fronted.stranger))


def test_a_certificate_for_another_name_is_not_trusted(fronted: Fronted) -> None:
    refuses(fronted.url().replace("127.0.0.1", "localhost"))


def test_a_certificate_that_the_server_signed_itself_is_taken_where_the_setting_says_so(fronted: Fronted) -> None:
    url = fronted.url().partition("?")[0].replace("127.0.0.1", "localhost")
    refuses(Config(redis_url=url).redis_url)
    config = Config(redis_url=url, redis_verify=False)
    again = Config.from_env(config.to_env())
    with connect(again.redis_url) as client:
        assert client.ping()
    assert again.redis_url == config.redis_url
    strict = f"{url}?ssl_cert_reqs=required"
    assert Config(redis_url=strict, redis_verify=False).redis_url == strict


def test_a_wrong_password_is_refused(fronted: Fronted) -> None:
    refuses(fronted.url(password="wrong"))


def test_what_speaks_no_tls_is_not_talked_to_without(fronted: Fronted) -> None:
    refuses(fronted.url(scheme="redis").partition("?")[0])
