"""The forms of a log line."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from psthreads.domain.config import Config
from psthreads.domain.model import Status, Thread
from psthreads.telemetry import logs, thread_lines

THREAD = Thread("a" * 32, "A title", "count", "j jones", 1, 7, "acme", Status.COMPLETED)


def fail(text: str) -> None:
    raise ValueError(text)


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """Where psthreads logs to; as before afterwards."""
    names = ("psthreads", "rq")
    before = [(logger, logger.handlers, logger.propagate, logger.level) for logger in map(logging.getLogger, names)]
    logs.bind()
    yield io.StringIO()
    logs.bind()
    for logger, handlers, propagate, level in before:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def test_lines_are_readable_text_by_default(output: io.StringIO) -> None:
    logs.install(Config(), libraries=False, stream=output)
    thread_lines.ended(THREAD, "completed", 1.23456)
    line = (
        r"\d{4}-\d\d-\d\d \S+ psthreads\.telemetry\.thread_lines: Thread ended \| "
        rf'thread={THREAD.id} process=count group=acme member="j jones" status=completed seconds=1\.235\n'
    )
    assert re.fullmatch(line, output.getvalue())


def test_json_has_one_object_a_line_whatever_is_logged(output: io.StringIO) -> None:
    logs.install(Config(log_format="json"), libraries=False, stream=output)
    logs.bind(request="r1")
    try:
        fail("one\ntwo")
    except ValueError:
        logging.getLogger("psthreads.any").exception("Gone \ud800 wrong\n%s", "here")
    entry = json.loads(output.getvalue().encode())
    assert output.getvalue().count("\n") == 1
    assert (entry["level"], entry["message"], entry["request"]) == ("ERROR", "Gone \ufffd wrong\nhere", "r1")
    assert "ValueError: one\ntwo" in entry["exception"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", entry["time"])


@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_are_masked_in_messages_fields_and_tracebacks(output: io.StringIO, form: str) -> None:
    logs.install(Config(log_format=form, mask=("hunter2",)), libraries=False, stream=output)
    logger = logging.getLogger("psthreads.any")
    try:
        fail("password=swordfish")
    except ValueError:
        logger.exception("token=swordfish and hunter2")
    logs.note(logger, "A field", path="/a/hunter2")
    assert "[masked]" in output.getvalue()
    assert "swordfish" not in output.getvalue()
    assert "hunter2" not in output.getvalue()
