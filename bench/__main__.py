"""Run every measurement: `python -m bench [name ...]`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.processes import memory, speed
from bench.store import processes as store
from bench.threads import cost, heartbeat, reporting, stored, throughput
from bench.web import pages, progress, starts, streams

MEASUREMENTS: Mapping[str, Callable[[], dict[str, float]]] = {
    "throughput": throughput.measure,
    "cost": cost.measure,
    "starts": starts.measure,
    "progress": progress.measure,
    "heartbeat": heartbeat.measure,
    "reporting": reporting.measure,
    "stored": stored.measure,
    "pages": pages.measure,
    "streams": streams.measure,
    "processes": speed.measure,
    "memory": memory.measure,
    "store": store.measure,
}


def main() -> None:
    """Run the measurements that the arguments name, or all; print and write the figures."""
    names = sys.argv[1:] or list(MEASUREMENTS)
    target = Path("var/bench.json")
    figures: dict[str, float] = json.loads(target.read_text()) if sys.argv[1:] and target.exists() else {}
    for name in names:
        print(f"\n{name}")
        measured = MEASUREMENTS[name]()
        for figure, value in measured.items():
            print(f"  {figure:<44} {value:10.3f}")
        figures |= measured
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"\nWritten to {target}.")


if __name__ == "__main__":
    main()
