"""A command line, and the scripted server that it talks to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from tests.support.scripted_server import Scripted


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    with Scripted() as server:
        yield server


@pytest.fixture
def run(scripted: Scripted, tmp_path: Path) -> CommandLine:
    settings = {"PSTHREADS_SERVER": scripted.url, "PSTHREADS_TOKEN": "secret", "PSTHREADS_MEMBER": "jjones"}
    return CommandLine(tmp_path, **settings)
