"""Metrics: who may read them, that they are right, and that they cost the same whatever is stored."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from importlib.resources import files

import pytest
from flask.testing import FlaskClient
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from psthreads.domain.config import Config
from psthreads.domain.errors import ConfigError
from psthreads.domain.model import Outcome, Status
from psthreads.telemetry import logs
from psthreads.threads.engine import Engine
from psthreads.threads.figures.figures import LIMITS
from psthreads.threads.store import ThreadStore
from psthreads.web.app import create_app
from psthreads.web.telemetry.request_counts import RequestCounts
from tests.support.checkout import ROOT
from tests.support.people import People
from tests.support.threads import BY, start

TOKEN = "a-token-of-the-monitor-alone"


def parse_text(text: str) -> Iterable[Metric]:
    return text_string_to_metric_families(text)


def samples(text: str) -> dict[tuple[str, ...], float]:
    """The values by name and the labels' values, in the order of the labels' names."""
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in parse_text(text)
        for sample in family.samples
    }


def monitored(config: Config, **settings: object) -> FlaskClient:
    return create_app(replace(config, metrics_token=TOKEN, **settings)).test_client()  # type: ignore[arg-type]


def scrape(client: FlaskClient, **headers: str) -> dict[tuple[str, ...], float]:
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}", **headers}, buffered=True)
    assert answer.status_code == 200
    return samples(answer.text)


def run(engine: Engine, store: ThreadStore, status: Status, name: str = "count") -> None:
    thread = start(engine, name)
    assert store.claim(thread.id, "t", "w")
    store.finish(thread.id, "t", Outcome(status, "Done"))


def test_nobody_reads_metrics_by_default(redis: Redis, config: Config, people: People) -> None:
    client = create_app(config).test_client()
    for who in ("anonymous", "contributor", "chief"):
        answer = client.get("/metrics", headers=people.bearer(who))
        assert answer.status_code == 403
        assert "psthreads_" not in answer.text


def test_only_the_token_lets_a_monitor_in(redis: Redis, config: Config, people: People) -> None:
    client = monitored(config)
    assert scrape(client)["psthreads_redis_up",] == 1
    for value in ("", "Bearer", "Bearer ", f"Bearer {TOKEN}x", "Bearer é", f"Basic {TOKEN}"):
        answer = client.get("/metrics", headers={"Authorization": value})
        assert (answer.status_code, "psthreads_" in answer.text) == (401, False), value
    assert client.get("/metrics", headers=people.bearer("chief")).status_code == 401


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("10.1.2.3", {}, 200),
        ("::ffff:10.1.2.3", {}, 200),
        ("10.2.0.1", {}, 403),
        # Through a proxy that is not declared, which has the address of many.
        ("10.1.2.3", {"X-Forwarded-For": "203.0.113.9"}, 403),
        ("10.1.2.3", {"Forwarded": "for=203.0.113.9"}, 403),
    ],
)
def test_an_address_of_the_list_lets_a_monitor_in(
    redis: Redis, config: Config, address: str, headers: dict[str, str], status: int
) -> None:
    client = create_app(replace(config, metrics_addresses=("10.1.0.0/16", "::1"))).test_client()
    answer = client.get("/metrics", headers=headers, environ_overrides={"REMOTE_ADDR": address})
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("name", "value"), [("PSTHREADS_METRICS_TOKEN", "short"), ("PSTHREADS_METRICS_ADDRESSES", "10.0.0.1/8")]
)
def test_settings_that_would_let_others_in_are_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        Config.from_env({name: value})


def test_the_figures_are_those_of_the_threads(
    redis: Redis, config: Config, engine: Engine, store: ThreadStore, people: People
) -> None:
    for status, many in ((Status.COMPLETED, 3), (Status.FAILED, 2)):
        for _ in range(many):
            run(engine, store, status)
    engine.cancel(start(engine, "count"), by=BY)
    running, _waiting = start(engine, "spin", group=people.acme, mark=""), start(engine, "count", group=people.other)
    assert store.claim(running.id, "t", "w")
    store.note_kill(running.id, "timeout")
    store.count_late_renewal()
    assert store.abandon(start_and_claim(engine, store), "Worker lost", "t") == "requeued"
    now = scrape(monitored(config))
    assert [now["psthreads_threads", str(status)] for status in Status] == [2, 1, 0, 0, 3, 2, 1]
    ended = {status: now["psthreads_threads_ended_total", "count", status] for status in ("completed", "failed")}
    assert ended == {"completed": 3, "failed": 2}
    assert now["psthreads_threads_ended_total", "count", "cancelled"] == 1
    assert now["psthreads_threads_accepted_total", "count"] == 7
    assert now["psthreads_process_threads", "spin"] == 1
    assert now["psthreads_group_threads", "acme", "inprogress"] == 1
    assert now["psthreads_group_threads", "other", "initialised"] == 1 + 1  # The group of this name, and all others.
    assert now["psthreads_thread_run_seconds_count", "count"] == 5  # The cancelled one never began.
    assert now["psthreads_thread_run_seconds_bucket", "+Inf", "count"] == 5
    assert now["psthreads_oldest_waiting_seconds",] > 0
    assert now["psthreads_horses_killed_total", "timeout"] == 1
    assert now["psthreads_lease_renewals_late_total",] == 1
    assert now["psthreads_threads_requeued_total",] == 1
    assert now["psthreads_redis_memory_bytes",] > 100_000
    assert now["psthreads_workers", "idle"] == 0


def start_and_claim(engine: Engine, store: ThreadStore) -> str:
    thread = start(engine, "restartable")
    assert store.claim(thread.id, "t", "w")
    return thread.id


def test_steps_of_time_are_right_at_their_limits(redis: Redis) -> None:
    common = (files("psthreads.threads") / "lua" / "common.lua").read_text()
    function = next(line for line in common.splitlines() if line.startswith("local function step_of"))
    steps = ", ".join(f"step_of({ms})" for ms in (0, 15, 16, 63, 64, 4**12, 4**20))
    assert redis.eval(f"{function} return {{{steps}}}", 0) == [1, 1, 2, 2, 3, 12, 12]
    assert LIMITS[0] == 0.016
    assert len(LIMITS) == 11


def test_a_scrape_costs_the_same_however_many_threads_there_are(
    redis: Redis, config: Config, engine: Engine, store: ThreadStore
) -> None:
    client = monitored(config)

    def calls() -> int:
        scrape(client)
        before = sum(each["calls"] for each in redis.info("commandstats").values())
        scrape(client)
        return int(sum(each["calls"] for each in redis.info("commandstats").values()) - before)

    def commands() -> int:
        # What the web process does beside its requests can only add some.
        return min(calls() for _ in range(5))

    run(engine, store, Status.COMPLETED)
    start(engine, "count", group=None)
    few = commands()
    for _ in range(40):
        run(engine, store, Status.COMPLETED)
        start(engine, "count", group=None)
    assert commands() == few


def test_groups_and_processes_without_a_label_are_counted_together(
    redis: Redis, config: Config, engine: Engine, people: People, store: ThreadStore
) -> None:
    for group in (people.acme, people.other, None):
        start(engine, "count", group=group)
    redis.hset("ps:ended", "odd | process|failed|1|2", 4)
    redis.hset("ps:ended", "nothing", 1)
    now = scrape(monitored(config, metrics_groups=1))
    assert now["psthreads_group_threads", "acme", "initialised"] == 1
    assert now["psthreads_group_threads", "other", "initialised"] == 2
    assert now["psthreads_threads_ended_total", "other", "failed"] == 4


def test_any_web_process_answers_for_all_and_a_dead_one_takes_nothing_back(redis: Redis, config: Config) -> None:
    first, second = monitored(config), monitored(config)
    for client in (first, second, second):
        client.get("/healthz", buffered=True)
    scrape(second)
    now = scrape(first)
    assert now["psthreads_requests_total", "GET", "health", "200"] == 3
    assert now["psthreads_request_seconds_count", "health"] == 3
    redis.hset("ps:streams", "dead", "1|100")
    living = RequestCounts(redis, lambda: 7)
    living.flush()
    assert scrape(first)["psthreads_streams",] == 7
    assert not redis.hexists("ps:streams", "dead")
    living.stop()
    assert scrape(first)["psthreads_streams",] == 0


def test_a_full_redis_is_read_and_takes_the_counts_of_requests_later(redis: Redis, config: Config) -> None:
    client = monitored(config)
    client.get("/healthz", buffered=True)
    redis.config_set("maxmemory", 1)
    try:
        assert scrape(client)["psthreads_redis_memory_limit_bytes",] == 1
    finally:
        redis.config_set("maxmemory", 0)
    assert scrape(client)["psthreads_requests_total", "GET", "health", "200"] == 1


def test_a_redis_that_is_away_is_a_figure_too(config: Config) -> None:
    now = scrape(monitored(replace(config, redis_url="unix:///nowhere/redis.sock")))
    assert now["psthreads_redis_up",] == 0
    assert set(now) == {("psthreads_redis_up",), ("psthreads_build_info", logs.release())}


def test_odd_requests_make_no_labels_of_their_own(redis: Redis, config: Config) -> None:
    client = monitored(config)
    for number in range(5):
        client.open(f"/none-{number}", method=f"ODD{number}", buffered=True)
    labels = {key for key in scrape(client) if key[0] == "psthreads_requests_total"}
    assert len(labels) == 1


def test_openmetrics_are_sent_to_those_that_ask(redis: Redis, config: Config) -> None:
    answer = monitored(config).get(
        "/metrics", headers={"Authorization": f"Bearer {TOKEN}", "Accept": "application/openmetrics-text"}
    )
    assert answer.content_type.startswith("application/openmetrics-text")
    assert "psthreads_threads" in {
        family.name
        for family in parse_openmetrics(answer.text)  # type: ignore[no-untyped-call] # as above
    }


def test_the_alerts_are_rules_and_name_metrics_that_there_are(redis: Redis, config: Config) -> None:
    alerts = (ROOT / "deploy/prometheus/alerts.yml").read_text()
    answer = monitored(config).get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    families = {family.name for family in parse_text(answer.text)}
    docs = (ROOT / "docs/monitoring.md").read_text()
    for text in (alerts, docs):
        names = {re.sub(r"_(total|bucket|count)$", "", name) for name in re.findall(r"\bpsthreads_\w+", text)}
        assert len(names) > 4
        assert names <= {name.removesuffix("_total") for name in families}
    described = {name.removesuffix("_total") for name in re.findall(r"`(psthreads_\w+)`", docs)}
    assert {name.removesuffix("_total") for name in families} <= described
