"""Downloads from a real web process: whole, in part, and only when they have changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from psthreads.domain.config import Config
from tests.support.backends import in_both
from tests.support.downloads import CONTENT, Made, made
from tests.support.waiting import wait_for
from tests.system.stack import web

__all__ = ["made"]


@pytest.fixture
def address(made: Made, config: Config) -> Iterator[str]:
    """Where a real web process serves the file."""
    base = f"http://127.0.0.1:{config.port}"

    def is_up() -> bool:
        try:
            return requests.get(f"{base}/healthz", timeout=5).ok
        except requests.RequestException:
            return False

    with web(config):
        wait_for(is_up)
        yield f"{base}/ps/member-resource/acme/{made.name}"


@in_both("backend")
def test_a_download_is_whole_or_goes_on_where_it_was_cut_off(made: Made, address: str) -> None:
    with requests.Session() as session:
        session.headers.update(made.people.bearer("contributor"))
        whole = session.get(address, timeout=10)
        assert whole.status_code == 200
        assert whole.content == CONTENT
        assert whole.headers["Accept-Ranges"] == "bytes"
        assert whole.headers["Content-Length"] == str(len(CONTENT))
        assert whole.headers["Content-Disposition"] == f"attachment; filename={made.name}"
        assert whole.headers["Cache-Control"] == "private, no-cache"
        tag, date = whole.headers["ETag"], whole.headers["Last-Modified"]

        for asked, start, end in (
            ("bytes=0-99", 0, 100),
            ("bytes=2000000-", 2_000_000, 3_000_000),
            ("bytes=-10", 2_999_990, 3_000_000),
            ("bytes=1-9999999", 1, 3_000_000),
        ):
            part = session.get(address, headers={"Range": asked}, timeout=10)
            assert part.status_code == 206
            assert part.headers["Content-Range"] == f"bytes {start}-{end - 1}/3000000"
            assert part.headers["Content-Length"] == str(end - start)
            assert part.content == CONTENT[start:end]
        for condition in (tag, date):
            same = session.get(address, headers={"Range": "bytes=5-9", "If-Range": condition}, timeout=10)
            assert (same.status_code, same.content) == (206, CONTENT[5:10])
        other = session.get(address, headers={"Range": "bytes=5-9", "If-Range": '"other"'}, timeout=10)
        assert (other.status_code, other.content) == (200, CONTENT)

        several = session.get(address, headers={"Range": "bytes=0-1,5-9"}, timeout=10)
        assert (several.status_code, several.content) == (200, CONTENT)
        known = session.get(address, headers={"If-None-Match": tag}, timeout=10)
        assert (known.status_code, known.content) == (304, b"")
        head = session.head(address, timeout=10)
        assert (head.headers["Content-Length"], head.headers["ETag"]) == (str(len(CONTENT)), tag)

        beyond = session.get(address, headers={"Range": "bytes=3000000-"}, timeout=10)
        assert beyond.status_code == 416
        assert beyond.headers["Content-Range"] == "bytes */3000000"
        assert b'<error id="0416">' in beyond.content

        made.write(CONTENT[::-1])
        changed = session.get(address, headers={"Range": "bytes=5-9", "If-Range": tag}, timeout=10)
        assert (changed.status_code, changed.content) == (200, CONTENT[::-1])
