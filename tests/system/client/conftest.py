"""A command line that starts programs, and the scripted server that they talk to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.scripted_server import Scripted
from tests.system.client.programs import Programs


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    with Scripted() as server:
        yield server


@pytest.fixture
def run(scripted: Scripted, tmp_path: Path) -> Iterator[Programs]:
    settings = {"PSTHREADS_SERVER": scripted.url, "PSTHREADS_TOKEN": "secret", "PSTHREADS_MEMBER": "jjones"}
    with Programs(tmp_path, **settings) as run:
        yield run
