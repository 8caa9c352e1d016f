"""Spans for OpenTelemetry: one for each start by a request, and below it one for each last execution of a thread.

They are made when they are over, and sent by OTLP where the standard variables name a collector and the extra `otel` is
installed. Nothing waits for the collector but the process of threads, after the end of a thread and for two seconds at
most; one that does not answer is left alone for half a minute.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Final

from psthreads.domain.config import Config
from psthreads.domain.model import Status, Thread
from psthreads.telemetry import trace_context

_PATIENCE: Final = 2.0
_PAUSE: Final = 30.0
_SAMPLED: Final = 1
_UNNAMED: Final = "unknown_service"
_MISSING: Final = "A collector of traces is set, but no trace is sent: install psthreads[otel]."
_log = logging.getLogger(__name__)
_sender: _Sender | None = None


def install(config: Config, *, background: bool) -> None:
    """Send spans from now on, where the settings name a collector; in the background where no process is forked."""
    global _sender  # noqa: PLW0603 (as loggers are: the store, which knows of each end, is made in many places)
    _sender = None
    if not (config.otlp_endpoint or config.otlp_traces_endpoint):
        return
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter.otlp.proto.http") is None:
        _log.warning(_MISSING)
        return
    _sender = _Sender(background=background)


def are_sent() -> bool:
    """Return whether somebody collects spans."""
    return _sender is not None


def begin(traceparent: str) -> str:
    """Return the traceparent for a thread that a request starts: a new span's, or that of the request itself."""
    if _sender is None:
        return traceparent
    parent = traceparent or f"00-{os.urandom(16).hex()}-{'0' * 16}-01"
    return trace_context.below(parent, os.urandom(8).hex())


def request_ended(parent: str, thread: Thread, seconds: float) -> None:
    """Send the span of a request that has started a thread. Its own `traceparent` is the thread's."""
    if _sender is not None and thread.traceparent:
        end = time.time_ns()
        _sender.send(
            f"start {thread.process}", thread.traceparent, parent, (end - int(seconds * 1e9), end), _facts(thread)
        )


def span_of(thread: Thread) -> str:
    """Return the traceparent of what the thread itself does: a span of its own where spans are sent."""
    if _sender is None or not thread.traceparent:
        return thread.traceparent
    # Whoever writes the thread's end knows the id without being told.
    return trace_context.below(thread.traceparent, thread.id[:16])


def thread_ended(thread: Thread, status: str, seconds: float) -> None:
    """Send the span of a thread's last execution, which was so long."""
    if _sender is not None and thread.traceparent:
        end = time.time_ns()
        _sender.send(
            f"thread {thread.process}",
            span_of(thread),
            thread.traceparent,
            (end - int(seconds * 1e9), end),
            {**_facts(thread), "psthreads.status": status},
            has_failed=status == Status.FAILED,
        )


def _facts(thread: Thread) -> dict[str, str]:
    return {
        "psthreads.thread": thread.id,
        "psthreads.process": thread.process,
        "psthreads.group": thread.group_name,
        "psthreads.member": thread.username,
    }


class _Sender:
    """Sends spans that are over."""

    def __init__(self, *, background: bool) -> None:
        # The extra's packages take a while to import, and need not be there.
        import requests  # noqa: PLC0415
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        self._session = requests.Session()
        self._exporter = OTLPSpanExporter(timeout=_PATIENCE, session=self._session)
        self._batch = BatchSpanProcessor(self._exporter) if background else None
        resource = Resource.create()
        if str(resource.attributes.get(SERVICE_NAME, _UNNAMED)).startswith(_UNNAMED):
            resource = resource.merge(Resource({SERVICE_NAME: "psthreads"}))
        self._resource = resource
        self._again_at = 0.0

    def send(
        self,
        name: str,
        own: str,
        parent: str,
        times: tuple[int, int],
        facts: Mapping[str, str],
        *,
        has_failed: bool = False,
    ) -> None:
        """Send a span, or drop it where its trace is not sampled, or the collector does not answer."""
        from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415
        from opentelemetry.trace import SpanKind, StatusCode  # noqa: PLC0415
        from opentelemetry.trace import Status as Verdict  # noqa: PLC0415

        context = _context(own)
        if not context.trace_flags & _SAMPLED or time.monotonic() < self._again_at:
            return
        span = ReadableSpan(
            name,
            context=context,
            parent=_context(parent) if parent else None,
            resource=self._resource,
            attributes=facts,
            kind=SpanKind.CONSUMER if name.startswith("thread") else SpanKind.SERVER,
            status=Verdict(StatusCode.ERROR if has_failed else StatusCode.UNSET),
            start_time=times[0],
            end_time=times[1],
        )
        if self._batch is not None:
            self._batch.on_end(span)
            return
        try:
            is_sent = self._exporter.export([span]).name == "SUCCESS"
        finally:
            self._session.close()  # A connection that stays open would look like one that the process has left.
        if not is_sent:
            self._again_at = time.monotonic() + _PAUSE


def _context(traceparent: str) -> Any:
    from opentelemetry.trace import SpanContext, TraceFlags  # noqa: PLC0415

    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
