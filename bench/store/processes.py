"""Each process on an object store, beside the same on a folder, and beside a plain loop of boto3: near, and 5 ms away.

All use one server, `bench.store.memory`, and one proxy. A ratio below 1 means that we are faster.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from io import BytesIO
from itertools import count
from pathlib import Path
from statistics import median
from typing import Final

from redis import Redis

from bench.processes import documents
from bench.processes.speed import GROUP, MEMBER, in_child, run
from bench.servers import ROOT, await_port, redis_server
from psthreads.authoring.parameter import Value
from psthreads.authoring.plugins import load as load_processes
from psthreads.database.connection import connect
from psthreads.documents.layout import open_storage
from psthreads.documents.objects.client import ObjectStore
from psthreads.documents.side_by_side import side_by_side
from psthreads.domain.config import Config
from psthreads.local.programs import free_port
from tools.object_store import BUCKET, PACKAGES

ROUNDS: Final = int(os.environ.get("ROUNDS", "3"))
COUNT: Final = 1_000
MILLISECONDS: Final = (0, 5)
VALUES: Final[Mapping[str, Mapping[str, Value]]] = {
    "validate": {"path": "/documents", "warn": False},
    "export": {"path": "/documents", "includes": "", "excludes": ""},
    "publish": {"path": "/documents", "stylesheet": "/stylesheets/publish.xsl"},
    "unzip": {"path": "/documents.zip"},
    "load": {"validate": False, "overwrite": False, "folder": "/loaded"},
    "move": {"path": "/documents", "destination": "/moved", "merge": False},
}
_numbers: Final = count(1)


def measure() -> dict[str, float]:
    """Measure the seconds of each process on the store by those on a folder, and by those of the plain loop."""
    figures: dict[str, float] = {}
    with redis_server() as config, connect(config.redis_url) as redis, _servers() as ports:
        load_processes(config.processes)
        os.environ |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_REGION": "us-east-1"}
        os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
        for process in VALUES:
            on_folder = median(
                _seconds(redis, replace(config, documents=_fresh(config)), process) for _ in range(ROUNDS)
            )
            for milliseconds, port in ports.items():
                by_loop, ours = [], []
                for _ in range(ROUNDS):
                    endpoint = f"http://127.0.0.1:{port}"
                    ours.append(_seconds(redis, _on_store(config, ports[0]), process, endpoint))
                    by_loop.append(_of_loop(_on_store(config, ports[0]), process, endpoint))
                name = f"store_{process}_at_{milliseconds}_ms"
                figures[f"{name}_by_folder"] = median(ours) / on_folder
                figures[f"{name}_by_boto3"] = median(ours) / median(by_loop)
                print(
                    f"  {process}, {milliseconds} ms away: {COUNT / median(ours):8,.0f} documents/s, "
                    f"{COUNT / median(by_loop):8,.0f}/s by boto3, {COUNT / on_folder:8,.0f}/s on a folder"
                )
        figures |= _many(redis, config, ports)
    return figures


def _many(redis: Redis, config: Config, ports: Mapping[int, int]) -> dict[str, float]:
    """Measure the validation of 10,000 documents by reading them one after the other, both 5 ms away."""
    far = f"http://127.0.0.1:{ports[MILLISECONDS[-1]]}"
    near = _on_store(config, ports[0])
    in_child(partial(_fill, near, "validate", documents.COUNT))
    ours = _timed(redis, replace(near, endpoint=far), "validate")

    def one_after_the_other() -> None:
        store = ObjectStore(near.store_url, far)
        for stored in store.each("groups/1/documents"):
            store.get(stored.key, 1 << 20)

    slowly = in_child(one_after_the_other)
    print(f"  validate {documents.COUNT:,} documents, 5 ms away: {ours:.1f} s, and {slowly:.1f} s to read each in turn")
    return {"store_validate_10000_at_5_ms_by_one_after_the_other": ours / slowly}


def _seconds(redis: Redis, config: Config, process: str, endpoint: str = "") -> float:
    in_child(partial(_fill, config, process, COUNT))
    return _timed(redis, replace(config, endpoint=endpoint or config.endpoint), process)


def _timed(redis: Redis, config: Config, process: str) -> float:
    seconds = in_child(partial(run, redis, config, process, dict(VALUES[process])))
    redis.flushall()
    return seconds


def _of_loop(config: Config, process: str, endpoint: str) -> float:
    in_child(partial(_fill, config, process, COUNT))
    prefix = config.store_url.removeprefix(f"s3://{BUCKET}/")
    done = subprocess.run(
        [sys.executable, "-m", "bench.store.plain", endpoint, BUCKET, prefix, process],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(PACKAGES)},
        stdout=subprocess.PIPE,
        check=True,
    )
    return float(done.stdout)


def _fill(config: Config, process: str, number: int) -> None:
    """Put the documents where a process takes them from."""
    storage = open_storage(config)
    folder, zone = storage.group(GROUP), storage.loading_zone(GROUP, MEMBER.id)
    folder.create()
    contents = {
        f"documents/{each // 100:03}/document-{each % 100:03}.psml": text.encode()
        for each, text in enumerate(documents.documents(number))
    }
    if process == "unzip":
        packed = BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, content in contents.items():
                archive.writestr(path, content)
        contents = {"documents.zip": packed.getvalue()}

    def upload(path: str) -> None:
        if process in {"unzip", "load"}:
            with zone.write(path, 1 << 30, lambda _: None) as file:
                file.write(contents[path])
        else:
            folder.write(path, contents[path])

    for _, error in side_by_side(upload, contents):
        assert error is None
    folder.write("stylesheets/publish.xsl", documents.STYLESHEET.encode())


def _fresh(config: Config) -> Path:
    return config.documents / str(next(_numbers))


def _on_store(config: Config, port: int) -> Config:
    url = f"s3://{BUCKET}/{next(_numbers)}"
    return replace(config, documents=Path(url), endpoint=f"http://127.0.0.1:{port}", scratch=config.documents / "tmp")


@contextmanager
def _servers() -> Iterator[dict[int, int]]:
    """Run the server, and a proxy for each latency; yield their ports by the milliseconds."""
    if not PACKAGES.exists():
        raise SystemExit("The plain loop needs boto3: `make run STORE=s3 ONCE=1` installs it beside moto.")
    parent = str(os.getpid())
    target = free_port()
    ports = {milliseconds: free_port() for milliseconds in MILLISECONDS}
    commands = [["bench.store.memory", str(target), parent]]
    commands += [["bench.store.latency", str(port), str(target), str(ms / 1_000), parent] for ms, port in ports.items()]
    programs = [subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT) for command in commands]
    try:
        for port in (target, *ports.values()):
            await_port(port)
        yield ports
    finally:
        for program in programs:
            program.kill()
            program.wait()
