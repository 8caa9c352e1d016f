"""A process that starts another one, as docs/writing-a-process.md has it."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis

from psthreads import Service, User
from psthreads.domain.config import Config
from psthreads.testing import run
from tests.support.blocks import block_of
from tests.support.checkout import ROOT

BLOCK = block_of((ROOT / "docs" / "writing-a-process.md").read_text(), "file: relaying.py")


def test_a_process_starts_another_one_with_the_rights_of_its_member(
    redis: Redis, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis.ping()
    for name, value in config.to_env().items():
        monkeypatch.setenv(name, value)
    names: dict[str, Any] = {"__name__": "relaying"}
    exec(BLOCK, names)  # noqa: S102 (it is our own page)
    with Service.from_env() as service:
        service.users.note(User("jjones", groups={"acme": "contributor"}))
        group, member = service.directory.find_group("acme"), service.directory.find_member("jjones")
        service.documents.group(group).write("documents/a.psml", b"<a/>")
        result = run(names["relay"], group=group, member=member)
        assert result.status == "completed", result.log
        thread = service.progress(result.message.removeprefix("Started "))
    assert (thread.process, thread.username, thread.group_name) == ("export", "jjones", "acme")
