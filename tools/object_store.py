"""A local server of S3's protocol, moto's, for `make run STORE=s3` and the tests. What it stores is in memory.

`python -m tools.object_store run` starts it and then the whole service on it; further arguments are those of
`psthreads run`.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import requests

from psthreads.local.programs import free_port
from psthreads.system.parent_death import die_with_parent

BUCKET: Final = "psthreads"

PACKAGES: Final = Path(sys.prefix) / "object-store"
"""Where `make run STORE=s3` and `make test` put moto: it wants other packages than ours."""

_CHECKOUT: Final = Path(__file__).resolve().parents[1]
_READY_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.05


class ObjectServer:
    """A server in a process of its own, with one bucket. It dies with this process.

    With OBJECT_STORE in the environment, it is the one at that address, which has the bucket.
    """

    def __init__(self, log: Path) -> None:
        self.port = free_port()
        self._other = os.environ.get("OBJECT_STORE", "")
        self.endpoint = self._other or f"http://127.0.0.1:{self.port}"
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if self._other:
            return self
        command = [sys.executable, "-m", "tools.object_store", "serve", str(self.port), str(os.getpid())]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 (our own program)
                command,
                cwd=_CHECKOUT,
                # Parts of any size, so that tests need not send many megabytes.
                env={**os.environ, "PYTHONPATH": str(PACKAGES), "S3_UPLOAD_PART_MIN_SIZE": "1"},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        deadline = time.monotonic() + _READY_SECONDS
        while not self._is_ready():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise SystemExit(f"The object store did not start: {self._log} may say why.")
            time.sleep(_POLL_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to use the server, besides PSTHREADS_DOCUMENTS."""
        local = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_REGION": "us-east-1"}
        return {"AWS_ENDPOINT_URL": self.endpoint, **({} if self._other else local)}

    def new_url(self) -> str:
        """Return the address of a prefix that nobody has used."""
        return f"s3://{BUCKET}/{secrets.token_hex(8)}"

    def _is_ready(self) -> bool:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)):
                return False
        return requests.put(f"{self.endpoint}/{BUCKET}", timeout=20).ok


def serve(port: int, parent: int) -> None:
    """Serve until the parent dies."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 (it takes a second)
    from werkzeug.serving import WSGIRequestHandler  # noqa: PLC0415 (as above)

    die_with_parent(parent)
    # Connections are kept, and answers sent at once, as object stores do.
    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    WSGIRequestHandler.disable_nagle_algorithm = True
    ThreadedMotoServer("127.0.0.1", port, verbose=False).start()
    while True:
        time.sleep(3600)


def run(arguments: list[str], environ: Mapping[str, str] = os.environ) -> int:
    """Run the whole service on a new server; return the exit code."""
    folder = Path("var")
    folder.mkdir(mode=0o750, exist_ok=True)
    with ObjectServer(folder / "object-store.log") as server:
        environment = {**environ, **server.environment, "PSTHREADS_DOCUMENTS": f"s3://{BUCKET}/documents"}
        print(f"An object store of moto's runs at {server.endpoint}; what is in it is gone at the end.", flush=True)
        command = [sys.executable, "-m", "psthreads", "run", *arguments]
        with subprocess.Popen(command, env=environment) as program:  # noqa: S603 (our own program)
            while True:
                try:
                    return program.wait()
                except KeyboardInterrupt:  # It has got the signal, too.
                    continue


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]), int(sys.argv[3]))
    else:
        sys.exit(run(sys.argv[2:]))
