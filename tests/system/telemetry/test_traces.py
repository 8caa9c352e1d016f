"""One trace from a request to the end of its thread, at a real collector."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from redis import Redis

from psthreads.domain.config import Config
from psthreads.telemetry import trace_context
from psthreads.threads.store import ThreadStore
from tests.support.people import People
from tests.support.threads import ended
from tests.support.waiting import wait_for
from tests.system.stack import supervisor, web

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


@contextmanager
def collector() -> Iterator[tuple[str, list[Span]]]:
    spans: list[Span] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    spans.extend(scope.spans)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", spans
        server.shutdown()


def facts(span: Span) -> dict[str, str]:
    return {each.key: each.value.string_value for each in span.attributes}


def test_one_trace_leads_from_the_request_to_the_end_of_the_thread(
    redis: Redis, config: Config, people: People, store: ThreadStore
) -> None:
    with ExitStack() as stack:
        address, spans = stack.enter_context(collector())
        config = replace(config, otlp_endpoint=address)
        stack.enter_context(web(config))
        stack.enter_context(supervisor(config))
        url = f"http://127.0.0.1:{config.port}"
        wait_for(lambda: redis.exists("rq:workers"))
        wait_for(lambda: is_up(url))

        def run(process: str, **query: str) -> str:
            path = f"{url}/members/manager/groups/acme/samples/{process}.json"
            headers = {**people.bearer("manager"), "traceparent": PARENT}
            answer = requests.post(path, params=query, headers=headers, timeout=10)
            assert answer.status_code == 202, answer.text
            thread = next(iter(answer.json().values())) if "id" not in answer.json() else answer.json()
            ended(store, store.fetch(thread["id"]))
            return str(thread["id"])

        counted, killed = run("count"), run("end", how="kill")
        wait_for(lambda: len([each for each in spans if facts(each)["psthreads.thread"] in {counted, killed}]) == 4)
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    for thread_id, status in ((counted, "completed"), (killed, "failed")):
        own = [span for span in spans if facts(span)["psthreads.thread"] == thread_id]
        start = next(span for span in own if span.name.startswith("start "))
        end = next(span for span in own if span.name.startswith("thread "))
        assert start.parent_span_id.hex() == SPAN
        assert end.parent_span_id == start.span_id
        assert facts(end)["psthreads.status"] == status
        assert start.start_time_unix_nano <= start.end_time_unix_nano
        # Redis's clock has milliseconds; and a short thread may end before its start is answered.
        assert start.start_time_unix_nano // 10**6 <= end.end_time_unix_nano // 10**6
    assert store.fetch(counted).traceparent.split("-")[1] == TRACE


def is_up(url: str) -> bool:
    try:
        return requests.get(f"{url}/healthz", timeout=5).ok
    except requests.ConnectionError:
        return False


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (PARENT, PARENT),
        (f"cc-{TRACE}-{SPAN}-01-more", PARENT),
        (f"ff-{TRACE}-{SPAN}-01", ""),
        (f"00-{'0' * 32}-{SPAN}-01", ""),
        (f"00-{TRACE}-{'0' * 16}-01", ""),
        (PARENT.upper(), ""),
        (PARENT + "\n", ""),
        ("", ""),
    ],
)
def test_only_what_is_a_traceparent_is_kept(header: str, kept: str) -> None:
    assert trace_context.read(header) == kept
