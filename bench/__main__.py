"""Run every measurement: `python -m bench [name ...]`."""

from __future__ import annotations

import argparse
import json
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
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure, and write the figures.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"{', '.join(MEASUREMENTS)}; all without one")
    names = parser.parse_args().names
    if unknown := [name for name in names if name not in MEASUREMENTS]:
        parser.error(f"there is no measurement '{unknown[0]}', only {', '.join(MEASUREMENTS)}")
    target = Path("var/bench.json")
    target.parent.mkdir(exist_ok=True)
    figures: dict[str, float] = json.loads(target.read_text()) if names and target.exists() else {}
    for name in names or MEASUREMENTS:
        print(f"\n{name}", flush=True)
        measured = MEASUREMENTS[name]()
        for figure, value in measured.items():
            print(f"  {figure:<44} {value:10.3f}")
        figures |= measured
        target.write_text(json.dumps(figures, indent=2) + "\n")  # Each is kept, whatever becomes of the next.
    print(f"\nWritten to {target}.")


if __name__ == "__main__":
    main()
