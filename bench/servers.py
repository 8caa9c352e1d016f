"""The programs that are measured, as subprocesses under the same settings."""

from __future__ import annotations

import http.client
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

from redis import Redis

from psthreads.domain.config import Config
from psthreads.local.programs import GUNICORN, free_port, start
from psthreads.local.server import RedisServer

ROOT = Path(__file__).parent.parent


@contextmanager
def redis_server(*options: str) -> Iterator[Config]:
    """Run a Redis of our own, with these options of the server; yield a config that leads to it."""
    with tempfile.TemporaryDirectory(prefix="psthreads-bench-") as name:
        folder = Path(name)
        with RedisServer(folder / "redis", *options) as server:
            yield Config(redis_url=server.url, documents=folder / "documents")


@contextmanager
def gunicorn(config: Config, app: str) -> Iterator[int]:
    """Run one web process of this application; yield its port."""
    port = free_port()
    command = GUNICORN if app == "app:app" else (*GUNICORN[:-1], "bench/web/gunicorn_bare.py", app)
    environment = {"PORT": str(port), "WEB_CONCURRENCY": "1"}
    process = start(command, config, folder=ROOT, output=subprocess.DEVNULL, environment=environment)
    try:
        await_port(port)
        # The port is open before the worker has imported the application.
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/")
        connection.getresponse()
        connection.close()
        yield port
    finally:
        process.terminate()
        process.wait()


def await_port(port: int) -> None:
    """Wait until something listens on the port; fail after 30 s."""
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(0.05)
        else:
            return


def load(port: int, request: bytes, seconds: float, connections: int = 16) -> tuple[float, float]:
    """Return the answers in a second, and the 99th percentile of the time for one in milliseconds."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.web.load", str(port), str(seconds), str(connections)],
        cwd=ROOT,
        input=request,
        stdout=subprocess.PIPE,
        check=True,
    )
    rate, slowest = done.stdout.split()
    return float(rate), float(slowest)


def conditions(redis: Redis) -> str:
    """Return the machine and the versions that a measurement was made with."""
    server = cast("dict[str, str]", redis.info("server"))
    version = server.get("valkey_version") or server["redis_version"]
    load_average = os.getloadavg()[0]
    return (
        f"{_processor()}, {os.cpu_count()} cores, load {load_average:.1f}, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, {server.get('server_name', 'redis').capitalize()} {version}"
    )


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
