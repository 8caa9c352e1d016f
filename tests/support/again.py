"""Run the tests that failed in the last run again, one by one: `python -m tests.support.again 3`, if not more failed.

A test of running programs may fail because the tests beside it leave it no time. Alone it has no such excuse.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.checkout import ROOT


def run_again(most: int, cache: Path) -> int:
    """Return the exit code of the second run, or 1 where none or more than `most` tests failed in the first."""
    record = cache / "v" / "cache" / "lastfailed"
    failed = list(json.loads(record.read_text())) if record.exists() else []
    if not 1 <= len(failed) <= most:
        sys.stdout.write(f"{len(failed)} tests failed; between 1 and {most} would be run again, alone.\n")
        return 1
    code = subprocess.run([sys.executable, "-m", "pytest", "-n", "0", *failed], cwd=ROOT, check=False).returncode
    for each in failed:
        outcome = "not all passed" if code else "passed"
        sys.stdout.write(f"{each} failed beside other tests, and {outcome} alone. Mend it.\n")
    return code


if __name__ == "__main__":
    sys.exit(run_again(int(sys.argv[1]), ROOT / ".pytest_cache"))
