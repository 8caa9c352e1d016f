"""Everything works below a prefix of the path, such as /jobs: pages, redirects, services, cookies."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import urljoin, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis

from psthreads.domain.config import Config
from psthreads.threads.store import ThreadStore
from tests.support.forms import sign_in
from tests.support.people import People
from tests.support.threads import new_thread

PREFIX = "/jobs"
ADDRESS = re.compile(r"""(href|action|src|hx-[a-z]+|data-[a-z-]+|content)=["'](/[^"']*|https?://[^"']*)["']""")


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, proxies=1)


@pytest.fixture
def below(app: Flask) -> FlaskClient:
    """A browser of a server that a proxy shows below the prefix, which it takes off."""
    browser = app.test_client()
    browser.environ_base["HTTP_X_FORWARDED_PREFIX"] = PREFIX
    return browser


@pytest.mark.parametrize("name", ["chief", "manager", "contributor"])
def test_every_address_of_every_page_leads_below_the_prefix(
    name: str, below: FlaskClient, people: People, redis: Redis, store: ThreadStore
) -> None:
    thread_id = store.create(new_thread(redis, group=people.acme))
    assert store.claim(thread_id, "t", "w")
    assert sign_in(below, name) == 303
    waiting, seen = ["/"], set[str]()
    while waiting and len(seen) < 120:
        path = waiting.pop(0)
        shape = re.sub(r"\d+|[0-9a-f]{32}", "#", path.split("?")[0])
        if shape in seen:
            continue
        seen.add(shape)
        answer = below.get(path)
        if answer.status_code in {301, 302, 303}:
            answer.close()
            addresses = [("href", answer.headers["Location"])]
        else:
            assert answer.status_code < 400, path
            addresses = ADDRESS.findall(answer.text) if answer.mimetype == "text/html" else []
            answer.close()
        for attribute, address in addresses:
            parts = urlsplit(urljoin("http://localhost", address))
            if parts.netloc != "localhost":
                continue
            assert parts.path == PREFIX or parts.path.startswith(PREFIX + "/"), f"{address} on {path}"
            inside = parts.path.removeprefix(PREFIX) + (f"?{parts.query}" if parts.query else "")
            if attribute in {"href", "src", "hx-get"} and "/download" not in inside:
                waiting.append(inside or "/")
    assert len(seen) > 12


def test_services_give_addresses_below_the_prefix(below: FlaskClient, people: People) -> None:
    answer = below.post("/members/manager/groups/acme/samples/count?to=1", headers=people.bearer("manager"))
    assert answer.status_code == 202
    assert urlsplit(answer.headers["Operation-Location"]).path.startswith(f"{PREFIX}/groups/")
    own = urlsplit(answer.headers["Location"]).path
    at_server_level = own.removeprefix(PREFIX).removeprefix("/groups/acme")
    assert f"Follow it at {own}, or" in below.get(at_server_level, headers=people.bearer("manager")).text
    routes = below.get("/api/v1/groups/acme/processes", headers=people.bearer("manager")).get_json()
    assert all(each["route"].startswith(f"{PREFIX}/api/v1/") for each in routes["processes"])
    document = below.get("/openapi.json").get_json()
    assert document["servers"] == [{"url": f"{PREFIX}/api/v1"}]
    del below.environ_base["HTTP_X_FORWARDED_PREFIX"]
    assert below.get("/openapi.json").get_json()["servers"] == [{"url": "/api/v1"}]
    assert f'href="{PREFIX}/' not in below.get("/api").text


def test_who_signs_in_is_led_to_the_page_that_was_asked_for(below: FlaskClient, people: People) -> None:
    answer = below.get("/dashboard/threads?status=failed")
    assert answer.headers["Location"] == f"{PREFIX}/sign-in?next={PREFIX}/dashboard/threads?status%3Dfailed"
    assert sign_in(below, "chief", following=f"{PREFIX}/dashboard/threads") == 303
    assert below.environ_base["location"] == f"{PREFIX}/dashboard/threads"


@pytest.mark.parametrize(
    "following", ["/elsewhere", "//evil.example/jobs/", "https://evil.example/jobs/", "/jobsite", ""]
)
def test_nobody_is_led_out_of_the_prefix(following: str, below: FlaskClient, people: People) -> None:
    assert sign_in(below, "chief", following=following) == 303
    assert below.environ_base["location"] == f"{PREFIX}/"


@pytest.mark.parametrize(
    "prefix", ["//evil.example", "/jobs//evil", "https://evil.example", "/a b", "/a?b", '/"><script>', "/\\evil"]
)
def test_only_a_plain_path_is_a_prefix(prefix: str, below: FlaskClient, people: People) -> None:
    below.environ_base["HTTP_X_FORWARDED_PREFIX"] = prefix
    assert below.get("/dashboard").headers["Location"] == "/sign-in?next=/dashboard"


def test_a_prefix_may_end_in_a_slash_and_is_taken_from_declared_proxies_only(app: Flask, below: FlaskClient) -> None:
    below.environ_base["HTTP_X_FORWARDED_PREFIX"] = f"/elsewhere, {PREFIX}/"
    assert below.get("/dashboard").headers["Location"].startswith(f"{PREFIX}/sign-in?next={PREFIX}/")
