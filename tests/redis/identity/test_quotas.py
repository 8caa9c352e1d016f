"""Claims about what a group may store: it is counted without a scan, and refused with a sentence when it is used up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from redis import Redis

from psthreads.admin import redis_checks
from psthreads.audit.entries import SETUP
from psthreads.documents.layout import open_storage
from psthreads.domain.config import Config
from psthreads.domain.model import Level, Line, Outcome, Report, Status
from psthreads.identity.quotas import Quotas
from psthreads.threads.store import ThreadStore
from psthreads.web.app import create_app
from tests.support.backends import StoredFiles, in_both
from tests.support.forms import sign_in
from tests.support.people import People
from tests.support.threads import new_thread

UPLOAD = "/ps/servlet/upload?group=acme&filename=a.txt"
START = "/members/contributor/groups/acme/validate"


def logged(store: ThreadStore, redis: Redis, people: People, size: int) -> str:
    """The id of a finished thread with a log of about that size."""
    thread = store.create(new_thread(redis, group=people.acme))
    assert store.claim(thread, "t", "w")
    lines = tuple(Line(1_652_667_241_924, Level.INFO, "x" * 1_000) for _ in range(size // 1_000))
    store.report(thread, "t", Report(1, lines=lines))
    store.finish(thread, "t", Outcome(Status.COMPLETED, "Done"))
    return thread


def test_the_bytes_of_logs_are_counted_and_given_back(
    redis: Redis, config: Config, store: ThreadStore, people: People
) -> None:
    quotas = Quotas(redis, replace(config, group_log_bytes=60_000))
    thread = logged(store, redis, people, 50_000)
    logs = quotas.uses(people.acme.id)[0]
    assert 50_000 < logs.used < 60_000
    assert logs.is_near
    assert quotas.uses(people.other.id)[0].used == 0
    store.delete(thread, SETUP)
    assert quotas.uses(people.acme.id)[0].used == 0


def test_what_a_full_log_drops_is_not_counted(redis: Redis, config: Config, people: People) -> None:
    config = replace(config, log_bytes=100_000)
    logged(ThreadStore(redis, config), redis, people, 500_000)
    assert Quotas(redis, config).uses(people.acme.id)[0].used <= 110_000


@in_both("backend")
def test_the_files_are_measured_group_by_group(config: Config, redis: Redis, people: People) -> None:
    files, group = StoredFiles(config), people.acme.id
    for path, size in (
        (f"groups/{group}/a/b.txt", 10),
        (f"loading/{group}/7/c/d.txt", 20),
        (f"results/{group}/e.zip", 30),
    ):
        files.put(path, content=b"x" * size)
    files.put("results/server/f.zip")
    if not config.store_url:
        (config.documents / "results" / str(group) / "link").symlink_to("/etc")
    Quotas(redis, config).record(usage for usage in open_storage(config).measure() if usage)
    uses = {use.what: use.used for use in Quotas(redis, config).uses(group)}
    assert (uses["results"], uses["loading zones"], uses["files"]) == (30, 20, 3)
    assert [use.used for use in Quotas(redis, config).uses(people.other.id)] == [0, 0, 0, 0]


def test_an_upload_counts_at_once_and_is_refused_above_the_quota(redis: Redis, config: Config, people: People) -> None:
    client = create_app(replace(config, group_loading_bytes=100)).test_client()
    headers = people.bearer("contributor")
    assert client.put(UPLOAD, data=b"x" * 150, headers=headers).status_code == 201
    refused = client.put(UPLOAD, data=b"x", headers=headers)
    assert refused.status_code == 507
    assert "150 bytes of loading zones" in refused.text
    assert "PSTHREADS_GROUP_LOADING_BYTES" in refused.text
    assert client.post("/members/contributor/groups/acme/loadingzone/clear", headers=headers).status_code == 200
    assert client.put(UPLOAD, data=b"x", headers=headers).status_code == 201


@pytest.mark.parametrize("setting", ["group_log_bytes", "group_result_bytes", "group_files"])
def test_nothing_starts_in_a_group_that_has_used_up_its_quota(
    redis: Redis, config: Config, store: ThreadStore, people: People, setting: str
) -> None:
    limits: dict[str, Any] = {setting: 1}
    config = replace(config, **limits)
    people.acme_folder.write("documents/a.xml", b"<a/>")
    results = config.documents / "results" / str(people.acme.id)
    results.mkdir(parents=True)
    (results / "a.zip").write_bytes(b"zip")
    logged(store, redis, people, 1_000)
    quotas = Quotas(redis, config)
    quotas.record(usage for usage in open_storage(config).measure() if usage)
    client = create_app(config).test_client()
    refused = client.post(START, headers=people.bearer("contributor"))
    assert (refused.status_code, f"PSTHREADS_{setting.upper()}" in refused.text) == (507, True)
    assert [group for group, _ in quotas.near()] == [people.acme.id]
    assert any(f"PSTHREADS_{setting.upper()}" in problem.remedy for problem in redis_checks.quotas(redis, config))


def test_the_groups_page_shows_what_it_uses(redis: Redis, config: Config, people: People) -> None:
    config = replace(config, group_loading_bytes=2_100_000)
    Quotas(redis, config).count_upload(people.acme, 3, 2_000_000)
    browser = create_app(config).test_client()
    assert sign_in(browser, "contributor") == 303
    page = browser.get("/dashboard/groups/acme").text
    assert "The quota of loading zones is nearly used up" in page
    assert "1.9 MiB" in page
