"""`make run STORE=s3 ONCE=1`: the same main job, with the documents in an object store and none on the disk."""

from __future__ import annotations

import sys
from pathlib import Path

from lxml import etree

from tests.system.local.runner import Runner, folder
from tests.system.local.test_run import verdicts
from tools.object_store import ObjectServer

__all__ = ["folder"]


def test_once_does_the_same_main_job_on_an_object_store(folder: Path, object_server: ObjectServer) -> None:
    command = [sys.executable, "-m", "tools.object_store", "run"]
    with Runner(folder, "--once", command=command) as runner:
        assert runner.ended() == 0
    lines = runner.out.read_text().splitlines()
    assert lines[0].startswith("An object store of moto's runs at http://127.0.0.1:")
    assert object_server.endpoint not in lines[0]
    thread = etree.fromstring(lines[-1])
    total = str(sum(verdict != "skipped" for verdict in verdicts().values()))
    assert (thread.get("status"), [dict(bar.attrib) for bar in thread.iter("progress")]) == (
        "completed",
        [{"total": total, "current": total}],
    )
    assert not list((folder / "var").rglob("*.psml"))
