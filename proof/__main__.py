"""Search every order of events over the scripts that ship, and see that planted faults are found: `make prove`.

It prints a line for each configuration and each fault, and writes the figures to var/prove.json.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

from proof.configuration import Configuration
from proof.configurations import LARGE, SMALL
from proof.faults import FAULTS, Fault
from proof.search import Result, search

_TARGET = Path("var/prove.json")
_SILENT_SECONDS = 20  # of a search, after which it says now and then how far it has come


def main() -> int:
    """Return 0 where every rule holds and every fault is found."""
    parser = argparse.ArgumentParser(prog="make prove", description=__doc__)
    parser.add_argument("--full", action="store_true", help="search the large configurations, too, which takes minutes")
    parser.add_argument("--only", default="", help="of the configurations and faults, those whose name contains this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    begun = time.monotonic()
    configurations = [each for each in (*SMALL, *(LARGE if arguments.full else ())) if arguments.only in each.name]
    faults = [each for each in FAULTS if arguments.only in each.words]
    print(f"{len(configurations)} configurations and {len(faults)} planted faults, {arguments.jobs} at once")
    # The largest first, so that none is left alone at the end.
    work = [*((each, None) for each in configurations[::-1]), *((each.configuration, each) for each in faults)]
    proved: list[Result] = []
    found: list[Result] = []
    # Each in a process of its own, so that what it says of its memory is its own.
    with multiprocessing.get_context("fork").Pool(arguments.jobs, maxtasksperchild=1) as pool:
        for result, fault in pool.imap_unordered(_search, work):
            (found if fault else proved).append(result)
            _print(result, fault)
    missed = [result for result in found if not result.violation]
    broken = [result for result in proved if not result.is_proved]
    figures = {
        "states": sum(result.states for result in proved),
        "steps": sum(result.steps for result in proved),
        "situations": sum(result.situations for result in proved),
        "steps worked out": sum(result.worked_out for result in proved),
        "calls made": sum(result.calls for result in proved),
        "deepest": max((result.depth for result in proved), default=0),
        "megabytes": max((result.megabytes for result in proved), default=0),
        "violations": sum(bool(result.violation) and not result.stuck for result in proved),
        "stuck": sum(result.stuck for result in proved),
        "faults": len(found),
        "faults found": len(found) - len(missed),
        "seconds": round(time.monotonic() - begun),
    }
    for name, value in figures.items():
        print(f"  {name:<16} {value:,}")
    _TARGET.parent.mkdir(exist_ok=True)
    details = [{key: value for key, value in asdict(result).items() if key != "story"} for result in proved]
    _TARGET.write_text(json.dumps({**figures, "configurations": details}, indent=2) + "\n")
    print("A rule is broken." if broken else "A planted fault was not found." if missed else "Every rule holds.")
    return 1 if broken or missed else 0


def _search(work: tuple[Configuration, Fault | None]) -> tuple[Result, Fault | None]:
    return search(*work, progress=_print_progress), work[1]


def _print_progress(result: Result) -> None:
    if result.seconds > _SILENT_SECONDS:
        print(f"    … {result.name}: {_verdict(result)} so far", flush=True)


def _verdict(result: Result) -> str:
    return (
        f"{result.states:,} states, {result.steps:,} steps ({result.situations:,} situations, "
        f"{result.worked_out:,} steps worked out), {result.depth} deep, {result.seconds:.0f} s, {result.megabytes} MB"
    )


def _print(result: Result, fault: Fault | None) -> None:
    if fault is None:
        print(f"  {result.name}: {_verdict(result)}", flush=True)
        if not result.is_proved:
            print(
                f"    BROKEN: {result.violation}", *(f"      {words}" for words in result.story), sep="\n", flush=True
            )
    elif result.violation:
        print(
            f"  found: {fault.words}, by {len(result.story)} steps in {result.seconds:.1f} s ({result.violation})",
            flush=True,
        )
    else:
        print(f"  NOT FOUND: {fault.words}, in {result.steps:,} steps of '{result.name}'", flush=True)


if __name__ == "__main__":
    sys.exit(main())
