"""Fails where a thread costs more than at the last release: `python -m bench.check`; `--accept` notes the new costs.

Only what hardly depends on the machine is measured: trips to Redis, commands in it, and bytes. Times are left to
`python -m bench`; those of expected.json are what a release was measured with.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.threads import cost

EXPECTED = Path(__file__).parent / "expected.json"
DETERMINISTIC = (
    "thread_trips",
    "thread_commands",
    "kept_thread_bytes",
    "kept_thread_audit_bytes",
    "start_trips",
    "progress_trips",
)
TOLERANCE = 0.03  # of a figure: the janitor comes by, and sizes of memory are rounded


def worse(measured: Mapping[str, float], expected: Mapping[str, float]) -> list[str]:
    """Return a sentence for each figure that got worse, or that one of the two lacks."""
    sentences = []
    for name in DETERMINISTIC:
        if name not in expected or name not in measured:
            sentences.append(f"{name} is not {'measured' if name in expected else 'in expected.json'}.")
        elif measured[name] > expected[name] * (1 + TOLERANCE):
            sentences.append(f"{name} got worse: {measured[name]:.2f}, and {expected[name]:.2f} at the last release.")
    return sentences


def compare(measured: Mapping[str, float], expected: Mapping[str, float]) -> int:
    """Print the figures, and what got worse; return the exit code."""
    for name in DETERMINISTIC:
        print(f"  {name:<30} {measured.get(name, 0):10.2f}   at the last release {expected.get(name, 0):10.2f}")
    sentences = worse(measured, expected)
    for sentence in sentences:
        print(sentence, file=sys.stderr)
    return 1 if sentences else 0


def accept(measured: Mapping[str, float], path: Path = EXPECTED) -> None:
    """Write the figures as those of the release."""
    figures = json.loads(path.read_text()) | {name: round(measured[name], 2) for name in DETERMINISTIC}
    path.write_text(json.dumps(figures, indent=2) + "\n")


def main() -> int:
    """Measure, and compare or accept; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.check", description="Compare with the last release.")
    parser.add_argument("--accept", action="store_true", help="note what a thread costs now as a release's")
    arguments = parser.parse_args()
    measured = cost.measure_cheap()
    if arguments.accept:
        accept(measured)
    return compare(measured, json.loads(EXPECTED.read_text()))


if __name__ == "__main__":
    sys.exit(main())
