"""Print the packages, lowest first, each with those that it imports: `python -m tools.imports [PACKAGE]`.

Exits with 1 where packages import each other in a circle.
"""

from __future__ import annotations

import sys
from graphlib import CycleError, TopologicalSorter

import grimp


def imports(package: str) -> dict[str, set[str]]:
    """Return the children of a package, each with the siblings that it or anything in it imports."""
    graph = grimp.build_graph(package.partition(".")[0])
    home = {
        module: child for child in graph.find_children(package) for module in {child} | graph.find_descendants(child)
    }
    siblings: dict[str, set[str]] = {child: set() for child in sorted(home.values())}
    for module, child in home.items():
        imported = graph.find_modules_directly_imported_by(module)
        siblings[child] |= {home[name] for name in imported if name in home} - {child}
    return siblings


def main() -> int:
    """Print the packages with their arrows; return the exit code."""
    siblings = imports(sys.argv[1] if len(sys.argv) > 1 else "psthreads")
    try:
        order = list(TopologicalSorter(siblings).static_order())
    except CycleError as error:
        print(f"A circle: {' -> '.join(error.args[1])}")
        return 1
    for name in order:
        arrows = ", ".join(sorted(other.rpartition(".")[2] for other in siblings[name]))
        print(f"{name:<24} -> {arrows}" if arrows else name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
