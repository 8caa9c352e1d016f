"""Other processes of an installation, and what the web says where it is none."""

from __future__ import annotations

from lxml import etree
from redis import Redis
from werkzeug.test import TestResponse

from psthreads.documents.installation import Installation
from psthreads.domain.config import Config


def other(config: Config, program: str = "other") -> Installation:
    return Installation(Redis.from_url(config.redis_url), config, program)


def message(answer: TestResponse) -> str:
    """The sentence of an error, for everybody: it names no folder and no bucket."""
    assert "/tmp" not in answer.text  # noqa: S108 (where the tests' folders are)
    assert "s3:" not in answer.text
    return etree.fromstring(answer.data).findtext("message") or ""
