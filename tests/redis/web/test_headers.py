"""The headers that protect whoever reads an answer, on every route; and whom a proxy's headers are believed of."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask

from psthreads.domain.config import Config
from psthreads.domain.errors import ConfigError
from psthreads.web.app import create_app
from tests.support.people import People

STRANGER = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "evil.example"}


def test_every_answer_of_every_route_carries_the_headers_that_protect_its_reader(app: Flask, people: People) -> None:
    app.extensions["psthreads"].feed.close()  # A stream then ends at once.
    client = app.test_client(use_cookies=False)
    checked = 0
    for rule in app.url_map.iter_rules():
        values = {"group": "acme", "member": "chief", "thread": "0" * 32, "filename": "psthreads.css", "suffix": "xml"}
        with app.test_request_context():
            built = rule.build({name: values.get(name, "x") for name in rule.arguments}, append_unknown=False)
        assert built is not None
        for method in sorted(rule.methods or ()):
            for headers in ({}, people.bearer("chief")):
                with client.open(built[1], method=method, headers=headers) as answer:
                    where = f"{method} {rule.rule}: {answer.status}"
                    assert answer.headers.getlist("X-Content-Type-Options") == ["nosniff"], where
                    (policy,) = answer.headers.getlist("Content-Security-Policy")
                    assert "default-src 'none'" in policy or "default-src 'self'" in policy, where
                    assert "frame-ancestors 'none'" in policy, where
                    assert "base-uri 'none'" in policy, where
                    assert "unsafe" not in policy, where
                    assert len(answer.headers.getlist("Referrer-Policy")) == 1, where
                    assert len(answer.headers.getlist("Cache-Control")) == 1, where
                    assert "Strict-Transport-Security" not in answer.headers, where
                    if headers and rule.endpoint != "static" and not rule.endpoint.startswith("schemas"):
                        kept = answer.headers["Cache-Control"]
                        assert "no-store" in kept or "private" in kept, where
                    checked += 1
    assert checked > 300


@pytest.mark.parametrize(("proxies", "scheme", "address"), [(0, "http", "127.0.0.1"), (1, "https", "203.0.113.9")])
def test_a_proxys_headers_count_only_where_the_setting_says_that_there_is_one(
    config: Config, proxies: int, scheme: str, address: str
) -> None:
    app = create_app(replace(config, proxies=proxies))
    seen: list[tuple[str, str | None]] = []

    @app.before_request
    def look() -> None:
        from flask import request

        seen.append((request.scheme, request.remote_addr))

    answer = app.test_client().get("/healthz", headers=STRANGER)
    assert seen == [(scheme, address)]
    assert ("Strict-Transport-Security" in answer.headers) == (scheme == "https")


def test_of_several_entries_only_those_of_the_declared_proxies_are_believed(config: Config) -> None:
    app = create_app(replace(config, proxies=1))
    seen: list[str | None] = []

    @app.before_request
    def look() -> None:
        from flask import request

        seen.append(request.remote_addr)

    app.test_client().get("/healthz", headers={"X-Forwarded-For": "10.9.9.9, 203.0.113.9"})
    assert seen == ["203.0.113.9"]


@pytest.mark.parametrize("text", ["\r\nX-Evil: 1", "%0d%0aX-Evil:%201", "\nSet-Cookie: a=b"])
def test_no_header_of_an_answer_can_be_made_by_the_request(app: Flask, people: People, text: str) -> None:
    client = app.test_client(use_cookies=False)
    for path in ("/sign-in", "/dashboard", "/groups/acme/threads", "/ps/member-resource/acme/x"):
        for where in (f"{path}?next=/{text}", f"{path}/{text}", f"{path}.{text}"):
            answer = client.get(where.replace("\r", "%0d").replace("\n", "%0a"), headers=people.bearer("chief"))
            assert "X-Evil" not in answer.headers
            assert "a=b" not in answer.headers.get("Set-Cookie", "")
            answer.close()


@pytest.mark.parametrize("credentials", ["Basic \xff", "Basic \xff==", "Bearer \xff", "\xff", "Basic a\xe9b="])
def test_credentials_of_characters_that_none_can_have_are_401(app: Flask, credentials: str) -> None:
    client = app.test_client(use_cookies=False)
    for path in ("/threads", "/groups/acme/threads", "/dashboard"):
        answer = client.get(path, headers={"Authorization": credentials})
        assert answer.status_code in ({302} if path == "/dashboard" else {401}), (path, credentials)
    for path in ("/ps/oauth/token", "/ps/oauth/revoke"):
        form = {"grant_type": "client_credentials"}
        assert client.post(path, headers={"Authorization": credentials}, data=form).status_code in {400, 401}


def test_a_certificate_without_its_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="PSTHREADS_PRIVATE_KEY"):
        Config(certificate="cert.pem")
