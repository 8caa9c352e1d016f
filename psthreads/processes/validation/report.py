"""The report of a validation, as XML for programs and as HTML for people.

Findings are collected on disk, so that a million of them take no memory. The summary comes first in the report, but
is complete only at the end.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from lxml import etree

from psthreads.authoring.context import Context
from psthreads.domain.model import clean, iso
from psthreads.processes.validation.verdict import Verdict, VerdictKind
from psthreads.processes.xml.parsing import MOST_PROBLEMS, DocumentProblem

if TYPE_CHECKING:
    from lxml.etree._serializer import _IncrementalFileWriter

_COLUMNS: Final = ("Line", "Column", "Schema", "Problem")
_MOST_SCHEMAS: Final = 1_000  # in the report
_STYLE: Final = """
:root { color-scheme: light dark; --line: #8886; --quiet: #666; }
@media (prefers-color-scheme: dark) { :root { --quiet: #aaa; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 70rem; padding: 1rem; }
h1 { font-size: 1.5rem; }
h2 { border-top: 1px solid var(--line); font-size: 1.05rem; margin: 2rem 0 0.5rem; padding-top: 1rem; }
h2, td { overflow-wrap: anywhere; }
dl { display: grid; gap: 0 1rem; grid-template-columns: max-content 1fr; }
dt, .quiet { color: var(--quiet); }
dd { margin: 0; }
.verdict { font-size: 1.15rem; font-weight: 600; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: 0.25rem 0.5rem; text-align: left; vertical-align: top; }
.number { font-variant-numeric: tabular-nums; text-align: right; width: 4rem; }
"""


class ReportFinding(NamedTuple):
    """The problems of one document. `unchecked` says what could not be checked and why, as ends of sentences."""

    path: str
    problems: list[DocumentProblem]
    has_more: bool
    unchecked: list[str]


@dataclass(slots=True)
class Summary:
    """The counts of a validation. `left_out` counts the documents that could not be read.

    `schemas` counts the documents to which each schema was applied.
    """

    group: str
    path: str
    counts: Counter[VerdictKind] = field(default_factory=Counter)
    schemas: Counter[str] = field(default_factory=Counter)
    others: int = 0
    left_out: int = 0
    verdict: str = ""

    @property
    def checked(self) -> int:
        """The number of documents that have a verdict."""
        return self.counts.total()

    def add(self, verdict: Verdict) -> None:
        """Count a verdict."""
        self.counts[verdict.kind] += 1
        for schema in verdict.schemas:
            if schema in self.schemas or len(self.schemas) < _MOST_SCHEMAS:
                self.schemas[schema] += 1


class Findings:
    """Collects the findings of a validation in a file, which is empty at first."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._total = 0
        self._is_capped = False

    def add(self, path: str, problems: Sequence[DocumentProblem], unchecked: Sequence[str] = ()) -> None:
        """Add a document's first MOST_PROBLEMS problems."""
        first = problems[:MOST_PROBLEMS]
        has_more = len(problems) > len(first)
        self._total += len(first)
        self._is_capped |= has_more
        lines = [(problem.line, problem.column, problem.schema, problem.text) for problem in first]
        self._file.write(json.dumps((path, lines, has_more, list(unchecked))).encode() + b"\n")

    def report(self, context: Context, summary: Summary) -> None:
        """Write both reports and name them in the thread's XML; an interrupt leaves neither."""
        with ExitStack() as pending:
            html = pending.enter_context(context.result("report.html"))
            xml = pending.enter_context(context.result("report.xml"))
            self._write_xml(xml, summary, context.thread_id)
            self._write_html(html, summary)
            with context.shield():
                pending.close()
                context.element("report", html.filename)
                context.element("report-xml", xml.filename)

    def _documents(self) -> Iterator[ReportFinding]:
        self._file.seek(0)
        for line in self._file:
            path, problems, has_more, unchecked = json.loads(line)
            yield ReportFinding(
                clean(path),
                [
                    DocumentProblem(number, column, clean(text), clean(schema))
                    for number, column, schema, text in problems
                ],
                has_more,
                [clean(reason) for reason in unchecked],
            )

    def _write_xml(self, file: BinaryIO, summary: Summary, thread_id: str) -> None:
        about = {
            "thread": thread_id,
            "group": clean(summary.group),
            "path": clean(summary.path),
            "created": iso(time.time_ns() // 1_000_000),
            "checked": str(summary.checked),
            **{kind.value: str(summary.counts[kind]) for kind in VerdictKind},
            "others": str(summary.others),
            "left-out": str(summary.left_out),
            "problems": str(self._total),
            "most-of-one-document": str(MOST_PROBLEMS),
        }
        with etree.xmlfile(file, encoding="utf-8") as report:
            report.write_declaration()
            with report.element("validation-report", about):
                report.write("\n", _element("summary", summary.verdict), "\n")
                for schema, documents in sorted(summary.schemas.items()):
                    attributes = {"path": clean(schema), "documents": str(documents)}
                    report.write(_element("schema", attributes=attributes), "\n")
                for finding in self._documents():
                    attributes = {"path": finding.path, "problems": str(len(finding.problems))}
                    attributes |= {"more": "true"} if finding.has_more else {}
                    with report.element("document", attributes):
                        for reason in finding.unchecked:
                            report.write("\n  ", _element("not-checked", reason))
                        for problem in finding.problems:
                            attributes = {"line": str(problem.line), "column": str(problem.column)}
                            attributes |= {"schema": problem.schema} if problem.schema else {}
                            report.write("\n  ", _element("problem", problem.text, attributes))
                        report.write("\n")
                    report.write("\n")

    def _write_html(self, file: BinaryIO, summary: Summary) -> None:
        title = f"Validation of {clean(summary.path)} in group {clean(summary.group)}"
        with etree.htmlfile(file, encoding="utf-8") as page:
            page.write_doctype("<!DOCTYPE html>")
            with page.element("html", {"lang": "en"}):
                page.write(_head(title))
                with page.element("body"):
                    page.write(_element("h1", title), _element("p", summary.verdict, {"class": "verdict"}))
                    page.write(_counts(summary, self._total))
                    if self._is_capped:
                        cap = f"Each document is checked for the first {MOST_PROBLEMS:,} problems by each schema, "
                        cap += f"and its first {MOST_PROBLEMS:,} problems are listed here."
                        page.write(_element("p", cap, {"class": "quiet"}))
                    for finding in self._documents():
                        page.write(_element("h2", finding.path))
                        self._write_problems(page, finding)

    def _write_problems(self, page: _IncrementalFileWriter, finding: ReportFinding) -> None:
        for reason in finding.unchecked:
            page.write(_element("p", f"Could not be checked: {reason}"))
        if not finding.problems:
            return
        with page.element("table"):
            page.write(_row("th", _COLUMNS))
            for problem in finding.problems:
                page.write(_row("td", (str(problem.line), str(problem.column), problem.schema, problem.text)))
        if finding.has_more:
            page.write(_element("p", f"There are more than these {MOST_PROBLEMS:,}.", {"class": "quiet"}))


def _element(name: str, text: str = "", attributes: dict[str, str] | None = None) -> etree._Element:
    element = etree.Element(name, attributes or {})
    element.text = text
    return element


def _row(name: str, cells: Sequence[str]) -> etree._Element:
    row = etree.Element("tr")
    for number, text in enumerate(cells):
        cell = etree.SubElement(row, name, {"class": "number"} if number < 2 else {})  # noqa: PLR2004 (line and column)
        cell.text = text
        if name == "th":
            cell.set("scope", "col")
    return row


def _head(title: str) -> etree._Element:
    head = etree.Element("head")
    etree.SubElement(head, "meta", {"charset": "utf-8"})
    # The page loads and runs nothing, whatever a finding contains.
    policy = {"http-equiv": "Content-Security-Policy", "content": "default-src 'none'; style-src 'unsafe-inline'"}
    etree.SubElement(head, "meta", policy)
    etree.SubElement(head, "meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"})
    head.append(_element("title", title))
    head.append(_element("style", _STYLE))
    return head


def _counts(summary: Summary, total: int) -> etree._Element:
    counts = etree.Element("dl")
    for name, number in (
        ("Documents checked", summary.checked),
        ("Valid by a schema", summary.counts[VerdictKind.VALID]),
        ("Well-formed, without a schema", summary.counts[VerdictKind.WELL_FORMED]),
        ("Not valid", summary.counts[VerdictKind.INVALID]),
        ("Could not be checked", summary.counts[VerdictKind.UNCHECKED]),
        ("Problems listed here", total),
        ("Other files, not checked", summary.others),
        ("Left out", summary.left_out),
        *((f"Documents checked by {clean(schema)}", count) for schema, count in sorted(summary.schemas.items())),
    ):
        counts.append(_element("dt", name))
        counts.append(_element("dd", f"{number:,}"))
    return counts
