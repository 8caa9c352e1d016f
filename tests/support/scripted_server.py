"""An HTTP server that misbehaves as told, and what it says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, urlsplit

import pytest

from psthreads.client import Client, ClientError, RemoteThread

ID = "349f4fbcd872d514751f7809acf4d888"
PROGRESS = f"/groups/acme/threads/{ID}/progress"
LOGS = f"/groups/acme/threads/{ID}/logs"
CANCEL = f"/groups/acme/threads/{ID}/cancel"
START = "/members/jjones/groups/acme/validate"


@dataclass
class Answer:
    """What the server says; with `drop` it hangs up instead, after the body's first `cut` bytes."""

    status: int = 200
    body: str | bytes = ""
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False
    cut: int | None = None


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: dict[str, list[str]]
    form: dict[str, list[str]]
    headers: dict[str, str]
    at: float


class Scripted:
    """An HTTP server that gives each path's answers in turn, and the last one again and again."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._answers: dict[str, list[Answer]] = {}
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                scripted._answer(self)

            def do_POST(self) -> None:
                scripted._answer(self)

            def do_PUT(self) -> None:
                scripted._answer(self)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def say(self, path: str, *answers: Answer) -> None:
        self._answers[path] = list(answers)

    def requests(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == path]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        address = urlsplit(handler.path)
        form = handler.rfile.read(int(handler.headers.get("Content-Length", 0))).decode()
        self.asked.append(
            Asked(
                handler.command,
                address.path,
                parse_qs(address.query),
                parse_qs(form),
                dict(handler.headers.items()),
                time.monotonic(),
            )
        )
        answers = self._answers.get(address.path, [Answer(404, "<error id='0404'><message>No.</message></error>")])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer.drop:
            handler.close_connection = True
            return
        body = answer.body.encode() if isinstance(answer.body, str) else answer.body
        handler.send_response(answer.status)
        for name, value in {"Content-Type": "application/xml", **answer.headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: answer.cut])
        handler.close_connection = answer.cut is not None


def thread_xml(status: str = "inprogress", inside: str = "", attributes: str = "") -> str:
    return (
        f'<thread id="{ID}" name="Validating" username="jjones" groupid="240" status="{status}" {attributes}>'
        f"{inside}</thread>"
    )


def logs_xml(first: int, last: int, total: int, following: int) -> str:
    events = "".join(
        f'<event seq="{seq}" timestamp="1652667241924" level="INFO"><message>Line {seq}</message></event>'
        for seq in range(first, last + 1)
    )
    return f'<logs threadid="{ID}" total="{total}" dropped="0" next="{following}">{events}</logs>'


def start(client: Client) -> RemoteThread:
    started = client.start("validate", group="acme")
    assert isinstance(started, RemoteThread)
    return started


def failure(ask: Callable[[], object]) -> ClientError:
    with pytest.raises(ClientError) as caught:
        ask()
    return caught.value


def running(message: str = "Working", current: int = 1) -> str:
    return thread_xml(inside=f'<message>{message}</message><progress total="9" current="{current}"/>')
