"""A machine on which the engines of the extras are not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.checkout import ROOT

WITHOUT = """
import sys
sys.modules["saxonche"] = sys.modules["xmlschema"] = None  # As on a machine where they are not installed.
from pathlib import Path
from tests.support.group_of_documents import GroupOfDocuments
from psthreads.processes.publish import publish
from psthreads.processes.validate import validate
root = Path(sys.argv[1])
group = GroupOfDocuments(root, publish if sys.argv[2] == "publish" else validate)
outcome = group.run(path="/d")
print(outcome.status.value)
print(outcome.message)
print(*group.reporter.lines(), sep="\\n")
"""


def without_extras(root: Path, process: str) -> list[str]:
    """What a process says where neither extra is installed."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(root), process],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert not done.returncode, done.stderr.decode()
    return done.stdout.decode().strip().splitlines()
