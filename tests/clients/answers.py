"""Requests and answers as PageSeeder's clients see them: bytes, headers, and elements."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import Any

from flask.testing import FlaskClient
from lxml import etree
from werkzeug.test import TestResponse

from tests.support.people import PASSWORD, People


@dataclass(frozen=True)
class Caller:
    """Sends requests of one member."""

    client: FlaskClient
    headers: dict[str, str]

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.client.get(path, headers=self.headers | options.pop("headers", {}), **options)

    def post(self, path: str, **options: Any) -> TestResponse:
        return self.client.post(path, headers=self.headers | options.pop("headers", {}), **options)

    def put(self, path: str, data: bytes, **options: Any) -> TestResponse:
        return self.client.put(path, data=data, headers=self.headers | options.pop("headers", {}), **options)


def bearer(client: FlaskClient, people: People, name: str) -> Caller:
    return Caller(client, {"Authorization": f"Bearer {people.token(name)}"})


def basic(client: FlaskClient, name: str) -> Caller:
    credentials = b64encode(f"{name}:{PASSWORD}".encode()).decode()
    return Caller(client, {"Authorization": f"Basic {credentials}"})


def xml(answer: TestResponse) -> etree._Element:
    return etree.fromstring(answer.data)
