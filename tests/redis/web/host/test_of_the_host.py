"""An application that takes psthreads in stays as it was."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.middleware.proxy_fix import ProxyFix

from psthreads import Psthreads
from psthreads.domain.config import Config
from tests.redis.web.host.conftest import Host, new_host


def parts(app: Flask) -> dict[str, Any]:
    return {
        "rules": [(rule.rule, rule.endpoint, rule.methods) for rule in app.url_map.iter_rules()],
        "errors": repr(app.error_handler_spec),
        "before": repr(app.before_request_funcs),
        "after": repr(app.after_request_funcs),
        "teardown": repr(app.teardown_request_funcs),
        "config": dict(app.config),
        "globals": sorted(app.jinja_env.globals),
        "filters": sorted(app.jinja_env.filters),
        "blueprints": sorted(app.blueprints),
        "wsgi": app.wsgi_app,
        "session": app.session_interface,
        "login": app.login_manager,  # type: ignore[attr-defined] # Flask-Login puts it there
    }


def cookies(browser: FlaskClient) -> set[str]:
    return {cookie.key for cookie in (browser._cookies or {}).values()}


def test_all_that_the_application_has_is_as_before(config: Config) -> None:
    app, _ = new_host()
    before = parts(app)
    Psthreads(app, identify=lambda: None, config=config)
    assert parts(app) == before


def test_its_routes_session_hooks_errors_and_forms_work_as_before(host: Host) -> None:
    browser = host.browser("jjones")
    answer = browser.get("/shop/basket")
    assert answer.text == "3 apples of jjones, set, 0 bytes"
    assert answer.headers["X-Shop"] == "yes"
    assert not {"X-Request-Id", "Content-Security-Policy", "Cache-Control"} & set(answer.headers.keys())
    assert host.seen == ["/shop/basket"]
    assert browser.get("/nowhere").text == "The shop's own 404"
    assert browser.get("/jobsite").text == "The shop's own 404"  # not below the prefix
    assert browser.get("/shop/broken").text == "The shop's own 500"
    assert browser.post("/shop/basket").status_code == 400  # its own protection of forms
    token = browser.get("/login").text
    large = {"csrf_token": token, "text": "x" * 100_000}  # more than psthreads takes from whoever is nobody
    foreign = {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
    assert browser.post("/shop/basket", data=large, headers=foreign).text.endswith("bytes")


def test_its_hooks_and_errors_have_no_part_in_what_is_below_the_prefix(host: Host) -> None:
    browser = host.browser("jjones")
    answer = browser.get("/jobs/nowhere", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "The shop" not in answer.text
    assert "X-Shop" not in answer.headers
    assert host.seen == []
    # What the browser has of its session stays as it is, too.
    before = cookies(browser)
    assert browser.get("/jobs/dashboard/groups/acme/start/count").status_code == 200
    assert cookies(browser) - before == {"psthreads"}
    assert browser.get("/shop/basket").text.startswith("3 apples of jjones")


@pytest.mark.parametrize("is_first", [True, False])
def test_middleware_of_the_application_has_seen_the_request_whenever_it_was_added(
    config: Config, *, is_first: bool
) -> None:
    app, _ = new_host()

    def add() -> None:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1, x_prefix=1)  # type: ignore[method-assign]

    if is_first:
        add()
    Psthreads(app, identify=lambda: None, sign_in="/login", config=config)
    if not is_first:
        add()
    headers = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "shop.example",
        "X-Forwarded-Prefix": "/eu",
        "Accept": "text/html",
    }
    answer = app.test_client().get("/jobs/dashboard", headers=headers)
    assert answer.headers["Location"] == "/eu/login?next=%2Feu%2Fjobs%2Fdashboard"
    assert "Strict-Transport-Security" not in answer.headers  # That is for the whole site, and so for the application.


def test_one_extension_serves_applications_that_are_made_later(config: Config) -> None:
    jobs = Psthreads(identify=lambda: None, config=config)
    app, _ = new_host()
    with app.app_context(), pytest.raises(RuntimeError, match="call init_app"):
        jobs.progress("0" * 32)
    for made in (app, new_host()[0]):
        jobs.init_app(made)
        assert made.test_client().get("/jobs/healthz").status_code == 200
    with pytest.raises(ValueError, match="'shop' has a Psthreads already"):
        Psthreads(app, identify=lambda: None, config=config)


@pytest.mark.parametrize("prefix", ["jobs", "/", "", "/jobs/"])
def test_a_prefix_that_is_none_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="must be a path such as /jobs"):
        Psthreads(identify=lambda: None, url_prefix=prefix)
