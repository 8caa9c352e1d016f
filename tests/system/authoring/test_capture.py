"""What a process says in other ways than by its context, in real workers: logging, warnings, output, tracebacks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from redis import Redis

from psthreads.authoring.parameter import Value
from psthreads.domain.config import Config
from psthreads.domain.model import Event, Level, Status, Thread
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.people import People
from tests.support.threads import ACME, ended, start
from tests.support.waiting import wait_for
from tests.system.stack import worker


def run(config: Config, engine: Engine, store: ThreadStore, name: str, **values: Value) -> tuple[Thread, list[Event]]:
    with worker(config):
        thread = ended(store, start(engine, name, ACME, "", **values))
    return thread, list(store.log(thread.id, 1, 5_000).events)


def test_any_logger_and_every_warning_lands_in_the_threads_log(
    config: Config, engine: Engine, store: ThreadStore, redis: Redis
) -> None:
    thread, events = run(replace(config, capture_output=False), engine, store, "chatty")
    said = {event.message: event.level for event in events}
    assert said["some.library: for your information"] is Level.INFO
    assert said["some.library: be careful"] is Level.WARN
    assert said["some.library: it failed"] is Level.ERROR
    assert not any("too much" in text for text in said), "DEBUG is below the setting"
    assert any("UserWarning: old way" in text and level is Level.WARN for text, level in said.items())
    assert (thread.status, thread.warnings, thread.errors) == (Status.COMPLETED, 0, 0), "a line of a log is no report"
    assert not any("to stdout" in text for text in said), "stdout is left alone where the setting says so"


def test_the_level_is_a_setting(config: Config, engine: Engine, store: ThreadStore, redis: Redis) -> None:
    _, events = run(replace(config, log_level="DEBUG"), engine, store, "chatty")
    assert ("some.library: too much", Level.DEBUG) in [(event.message, event.level) for event in events]


def test_stdout_and_stderr_are_taken_line_by_line(
    config: Config, engine: Engine, store: ThreadStore, redis: Redis
) -> None:
    _, events = run(config, engine, store, "chatty")
    said = {event.message: event for event in events}
    assert said["to stdout"].level is Level.INFO
    assert said["to stderr"].level is Level.WARN
    assert said["from another program"].level is Level.INFO
    assert said["without an end"].seq > said["to stdout"].seq
    slow = said["a line that"], said["comes late"]
    assert slow[0].seq < slow[1].seq, "a line without an end is taken after a while"
    assert [event.message for event in events].count("some.library: it failed") == 1, "what is logged comes once"


def test_a_line_is_in_the_log_as_soon_as_it_is_printed(
    config: Config, engine: Engine, store: ThreadStore, redis: Redis, tmp_path: Path
) -> None:
    with worker(config):
        thread = start(engine, "printing", until=str(tmp_path / "go-on"))
        wait_for(lambda: "on the way" in [event.message for event in store.log(thread.id, 1, 100).events])
        assert store.fetch(thread.id).status.is_running
        (tmp_path / "go-on").touch()
        assert ended(store, thread).status is Status.COMPLETED


def test_secrets_are_masked_wherever_they_are_said(
    config: Config, engine: Engine, store: ThreadStore, redis: Redis
) -> None:
    config = replace(config, mask=("hunter[0-9]",))
    thread, events = run(config, engine, store, "indiscreet")
    everything = f"{thread} {events}" + "".join(map(repr, redis.lrange(f"ps:log:{thread.id}", 0, -1)))
    assert "swordfish" not in everything
    assert "hunter2" not in everything
    assert len([event for event in events if "[masked]" in event.message]) >= 5
    assert thread.message == "ValueError: password=[masked]"


def test_a_traceback_is_for_administrators_and_its_first_line_for_everybody(
    app: Flask, people: People, config: Config, engine: Engine, store: ThreadStore, redis: Redis
) -> None:
    with worker(config):
        thread = ended(store, start(engine, "end", group=people.acme, how="raise"))
    assert (thread.status, thread.message) == (Status.FAILED, "ValueError: Bad things")
    client = app.test_client(use_cookies=False)
    for form in (
        "logs",
        "logs.json",
        "logs/download",
        "logs/download?format=jsonl",
        "logs/download?format=xml",
        "events",
    ):
        path = f"/groups/acme/threads/{thread.id}/{form}"
        shown = client.get(path, headers=people.bearer("manager")).get_data(as_text=True)
        # Once in the log; the stream of events also sends the thread with its message.
        assert shown.count("ValueError: Bad things") == (2 if form == "events" else 1), form
        assert "Traceback" not in shown, form
        assert "sample_processes.py" not in shown, form
        shown = client.get(path, headers=people.bearer("chief")).get_data(as_text=True)
        assert "Traceback (most recent call last):" in shown, form
        assert "sample_processes.py" in shown, form


def test_an_error_that_is_meant_for_people_has_no_traceback(
    config: Config, engine: Engine, store: ThreadStore, redis: Redis
) -> None:
    _, events = run(config, engine, store, "validate", path="/nowhere")
    assert not any(event.detail for event in events)


@pytest.mark.parametrize("how", ["child", "fork", "stdout"])
def test_what_a_process_does_to_its_own_output_does_not_stop_it(
    config: Config, engine: Engine, store: ThreadStore, redis: Redis, how: str, tmp_path: object
) -> None:
    thread, _ = run(config, engine, store, "end", how=how, mark=f"{tmp_path}/mark")
    assert thread.status is Status.COMPLETED
