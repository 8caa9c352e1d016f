"""A REDIS_URL, or a Redis, that psthreads cannot use: each program says so at its start, in one sentence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from psthreads.database.connection import connect
from psthreads.domain.config import Config
from psthreads.domain.errors import ConfigError
from psthreads.local.programs import GUNICORN, free_port
from psthreads.local.server import RedisServer
from tests.support.checkout import ROOT
from tests.system.stack import PROCFILE

PROGRAMS = {
    "psthreads web": [sys.executable, "-m", "psthreads", "web"],
    "gunicorn": GUNICORN,
    "a checkout's web": PROCFILE["web"],
    "flask": [sys.executable, "-m", "flask", "--app", "app", "routes"],
    "psthreads worker": [sys.executable, "-m", "psthreads", "worker"],
    "a checkout's worker": PROCFILE["worker"],
    "psthreads doctor": [sys.executable, "-m", "psthreads", "doctor"],
    "psthreads admin": [sys.executable, "-m", "psthreads", "admin", "member", "list"],
    "psthreads run": [sys.executable, "-m", "psthreads", "run", "--once"],
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisServer]:
    folder = Path(tempfile.mkdtemp(prefix="psthreads-"))
    with RedisServer(folder, "--appendfsync", "no", "--cluster-enabled", "yes") as server:
        yield server
    shutil.rmtree(folder)


def says(name: str, url: str, folder: Path) -> tuple[int, str]:
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("PSTHREADS_")},
        "PYTHONPATH": str(ROOT),
        "REDIS_URL": url,
        "PORT": str(free_port()),
        "PSTHREADS_DOCUMENTS": str(folder / "documents"),
    }
    done = subprocess.run(
        PROGRAMS[name], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    # Tests may run as root, of which the programs warn.
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "runs as root" not in line]
    return done.returncode, "\n".join(lines)


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_says_in_one_sentence_that_redis_url_names_several_servers(name: str, tmp_path: Path) -> None:
    code, output = says(name, "redis://:hunter2@a:1,b:2/0", tmp_path)
    assert code in {1, 3}
    assert (
        "REDIS_URL names several servers: name a single Redis, no cluster, or its Sentinels as redis+sentinel://"
        in output
    )
    assert "Traceback" not in output
    assert "hunter2" not in output
    assert len(output.splitlines()) == 1, output


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "psthreads run"])
def test_every_program_says_that_this_redis_is_a_cluster(name: str, cluster: RedisServer, tmp_path: Path) -> None:
    code, output = says(name, cluster.url, tmp_path)
    assert code in {1, 3}
    assert "This Redis is a cluster" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://h:x/0", "Port could not be cast"),
        ("redis://h:99999/0", "Port out of range"),
        ("redis://[::1/0", "Invalid IPv6 URL"),
        ("redis://h/zero", "its path is the number of a database"),
        ("rediss://h/0/1", "its path is the number of a database"),
        ("redis://h/0?socket_timeout=soon", "Invalid value for 'socket_timeout'"),
        ("redis://h/0?colour=green", "colour"),
        ("http://h/0", "must start with redis://"),
        ("redis+sentinel://h:1", "no primary that they watch"),
        ("redis+sentinel://h:1/0/1?x=2", "REDIS_URL cannot be used: .*'x'"),
        ("redis+sentinel://a:1,/main", "names the Sentinel ''"),
        ("rediss+sentinel://a:1,b:65536/main/0", "names the Sentinel 'b:65536'"),
        ("redis+sentinel://a/main/zero", "its path is the number of a database"),
        ("redis+sentinel://u:hunter2@a:b:c/main", "names the Sentinel 'a:b:c'"),
        (
            "sentinel://u:hunter2@a:1/main?sentinel_password=hunter2",
            "REDIS_URL is 'sentinel://a:1/main', but must start",
        ),
    ],
)
def test_each_url_that_cannot_be_used_is_one_sentence(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refusal:
        connect(Config(redis_url=url).redis_url)
    assert refusal.value.message.startswith("REDIS_URL ")
    assert "\n" not in refusal.value.message
    assert "hunter2" not in refusal.value.message


@pytest.mark.parametrize(
    "url",
    [
        *("redis://h", "redis://h/", "redis://u:p,w@h:1/7?db=3", "unix:///a,b.sock?db=1"),
        *(
            "redis+sentinel://a/main",
            "rediss+sentinel://u:p@a,[::1]:2/main.1/3?ssl_check_hostname=false&sentinel_password=x",
        ),
    ],
)
def test_urls_that_can_be_used_are_taken(url: str) -> None:
    connect(Config(redis_url=url).redis_url)
