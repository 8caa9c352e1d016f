"""Compare verdicts on real documents: `python -m tools.differential FOLDER`.

Validates all XML documents of a folder as if it was a group's, with its schemas and its catalog in `schemas/`, and by
xmllint, jing, Xerces and Saxon, as far as they are installed. Prints each disagreement, and how many answers were
compared.
Exits with 1 where there is a disagreement.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from psthreads.processes.validation.verdict import Verdict, VerdictKind
from tools.differential.engines import Answer, Engine, Kind, engines
from tools.differential.ours import verdicts

_KINDS: Final = {".xsd": Kind.XSD, ".rng": Kind.RNG, ".rnc": Kind.RNC, ".dtd": Kind.DTD, ".sch": Kind.SCH}

_UNDECLARED: Final = re.compile(r"Entity .* not defined|ID .* already defined")

Checks = dict[tuple[Kind, str], dict[str, tuple[Answer, str]]]
"""Our answers, with the first problem: by kind and schema, and by document."""


def checks_of(verdict: Verdict) -> Iterator[tuple[Kind, str, Answer, str]]:
    """Yield what a document was checked by, with the answer and the first problem."""
    syntax = next((str(problem) for problem in verdict.problems if not problem.schema), "")
    if _UNDECLARED.search(syntax):  # Where there is a DTD, it is the one that the document is not valid by.
        yield Kind.DTD, "", Answer.INVALID, syntax
    elif not (verdict.unchecked and not verdict.schemas):
        yield Kind.XML, "", Answer.INVALID if syntax else Answer.VALID, syntax
    if syntax or verdict.unchecked:
        return
    problems = {problem.schema: str(problem) for problem in reversed(verdict.problems)}
    for schema in {*verdict.schemas, *problems} - {""}:
        if kind := _KINDS.get(Path(schema).suffix.lower()):
            problem = problems.get(schema, "")
            yield kind, "" if kind is Kind.DTD else schema, Answer.INVALID if problem else Answer.VALID, problem


def compare(folder: Path, engine: Engine, checks: Checks) -> Iterator[tuple[Kind, int, int, list[str]]]:
    """Yield for each kind how many answers were compared, how many an engine did not have, and the disagreements."""
    for kind in Kind:
        if kind not in engine.kinds:
            continue
        compared = unknown = 0
        lines = []
        for (its_kind, schema), answers in checks.items():
            if its_kind is not kind:
                continue
            documents = [folder / path.lstrip("/") for path in answers]
            theirs = engine.answers(kind, folder / schema.lstrip("/") if schema else None, documents)
            for (path, (ours, problem)), their in zip(answers.items(), theirs, strict=True):
                if their is Answer.UNKNOWN:
                    unknown += 1
                    continue
                compared += 1
                if their is not ours:
                    by = f" by {schema}" if schema else ""
                    reason = f" ({problem})" if problem else ""
                    lines.append(f"{path}: {kind}{by}: psthreads says {ours}{reason}, {engine.name} says {their}")
        if compared or unknown:
            yield kind, compared, unknown, lines


def _disagreements(count: int) -> str:
    return f"{count:,} {'disagreement' if count == 1 else 'disagreements'}"


def main() -> int:
    """Print the disagreements and the counts; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.differential", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.resolve()
    checks: Checks = defaultdict(dict)
    kinds: Counter[VerdictKind] = Counter()
    reasons: Counter[str] = Counter()
    for document, verdict in verdicts(folder):
        kinds[verdict.kind] += 1
        reasons.update(verdict.unchecked[:1])
        for kind, schema, answer, problem in checks_of(verdict):
            checks[kind, schema][document.path] = (answer, problem)
    print(f"{kinds.total():,} documents: " + ", ".join(f"{kinds[kind]:,} {kind.value}" for kind in VerdictKind))
    for reason, count in reasons.most_common(20):
        print(f"  {count:,} not checked: {reason}")
    catalog = folder / "schemas" / "catalog.xml"
    total = 0
    for engine in engines(catalog if catalog.is_file() else None):
        for kind, compared, unknown, lines in compare(folder, engine, checks):
            total += len(lines)
            print(*lines, sep="\n", end="\n" if lines else "")
            aside = f"; {unknown:,} without an answer of its own" if unknown else ""
            print(f"{engine.name}, {kind}: {compared:,} answers compared, {_disagreements(len(lines))}{aside}")
    return 1 if total else 0


if __name__ == "__main__":
    raise SystemExit(main())
