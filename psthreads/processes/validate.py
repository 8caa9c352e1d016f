"""Validates a group's XML documents: checks that they are well-formed, and valid by the schemas that apply to them.

The documents are those whose name has an extension of XML. Others are only counted.

The schemas are the DTD that the document names; the group's own for the root element, `/schemas/<local name>.xsd`,
`.rng`, `.rnc` and `.sch`, if they are for its namespace, and that of the catalog for this namespace; those that the
root element names with `xsi:schemaLocation` or `xsi:noNamespaceSchemaLocation`; and those of `xml-model` instructions
before it. All of them apply, each once. References are resolved by the group's catalog, or else relative to the
document or to the group, and never lead outside it. A schema that is named and cannot be had is a warning.

Entities are expanded within limits, and external ones only come from the group. A large document is checked by XML
Schema while it is read; what needs all of it in memory, such as RELAX NG, is done up to 128 MB.

A verdict is one of four: valid by schemas, well-formed without one, not valid, or could not be checked, because a
document or a schema is too large, takes too long or makes a library fail. The first and the second are messages, the
others errors; with `require-schema`, the second is one, too.

The log gives the first 20 problems of each document, and the report, as HTML and as XML, the first 1,000. A cancelled
thread has no report.
"""

from __future__ import annotations

from typing import Annotated, Final, cast

from psthreads.authoring.context import Context
from psthreads.authoring.process import Start
from psthreads.authoring.registry import process
from psthreads.documents.group_documents import Document, GroupDocuments
from psthreads.domain.model import Level, Outcome, Status
from psthreads.processes.endings import xml_test
from psthreads.processes.validation.report import Findings, Summary
from psthreads.processes.validation.validator import LARGEST_SENT, Notes, Validator
from psthreads.processes.validation.verdict import Verdict, VerdictKind
from psthreads.processes.wording import many
from psthreads.processes.xml.checking import CheckOptions
from psthreads.processes.xml.parsing import MOST_LOGGED, DocumentProblem

NO_SCHEMA: Final = "No schema applies to it, and one is required"
"""The problem of a document that no schema applies to, where that is one."""


@process(
    title="Validating {path} of group {group}",
    route="/members/{member}/groups/{group}/validate",
    methods=("POST",),
    time_limit=4 * 3600,
    restartable=True,
)
def validate(
    context: Context,
    path: Annotated[str, "the folder or the document to validate"] = "/",
    warn: Annotated[bool, "count invalid documents as warnings: the thread then ends completed"] = False,  # noqa: FBT002 (a parameter on the wire)
    require_schema: Annotated[bool, "whether a document to which no schema applies is an error"] = False,  # noqa: FBT002 (as above)
    xinclude: Annotated[bool, "whether documents are checked with those that they include by XInclude"] = False,  # noqa: FBT002 (as above)
    phase: Annotated[str, "the phase of Schematron schemas that have one of this name"] = "",
) -> Outcome:
    """Check that every XML document below a path is well-formed, and valid by the schemas that apply to it."""
    with (context.temporary() / "findings").open("w+b") as file:
        validation = _Validation(context, path, Findings(file), warn=warn, require_schema=require_schema)
        return validation.run(CheckOptions(xinclude, phase))


@validate.check
def _check_path(start: Start) -> None:
    cast("GroupDocuments", start.folder).resolve(str(start.values["path"]))


class _Validation:
    """One validation."""

    def __init__(self, context: Context, path: str, findings: Findings, *, warn: bool, require_schema: bool) -> None:
        self._context = context
        self._path = path
        self._findings = findings
        self._require_schema = require_schema
        self._report, self._level = (context.warning, Level.WARN) if warn else (context.error, Level.ERROR)
        self._warn = warn
        self._is_xml = xml_test(context)
        self._notes = Notes(context)
        self._summary = Summary(context.folder.group.name, path or "/")

    def run(self, options: CheckOptions) -> Outcome:
        """Check all documents, and write the report."""
        context, folder, summary = self._context, self._context.folder, self._summary
        validator = Validator(context, folder, options=options)
        with context.bar("progress", total=folder.count(self._path, self._is_xml)) as bar:
            documents = folder.contents(self._path, LARGEST_SENT, self._is_checked, self._skip)
            for document, verdict in validator.verdicts(documents):
                if verdict is None:
                    self._skip(document.path, "it is gone, or can no longer be read")
                    continue
                self._take(document, verdict)
                bar.current += 1
            bar.total = summary.checked  # The number of documents may have changed.
        summary.verdict = _sentence(summary)
        self._findings.report(context, summary)
        failures = summary.counts[VerdictKind.INVALID] + summary.counts[VerdictKind.UNCHECKED]
        if self._require_schema:
            failures += summary.counts[VerdictKind.WELL_FORMED]
        return Outcome(Status.FAILED if failures and not self._warn else Status.COMPLETED, summary.verdict)

    def _is_checked(self, name: str) -> bool:
        is_checked = self._is_xml(name)
        self._summary.others += not is_checked
        return is_checked

    def _skip(self, path: str, reason: str) -> None:
        self._summary.left_out += 1
        self._context.warning(f"{path} was left out: {reason}.")

    def _take(self, document: Document, verdict: Verdict) -> None:
        path, kind, problems = document.path, verdict.kind, list(verdict.problems)
        if kind is VerdictKind.WELL_FORMED and self._require_schema:
            problems = [DocumentProblem(1, 1, NO_SCHEMA)]
        self._summary.add(verdict)
        self._notes.warn(path, verdict.notes)
        if problems or verdict.unchecked:
            self._findings.add(path, problems, verdict.unchecked)
            self._complain(document, verdict, problems)
        else:
            self._context.message(good_news(path, verdict))

    def _complain(self, document: Document, verdict: Verdict, problems: list[DocumentProblem]) -> None:
        """Report the document once, with its first problem, and log the others."""
        path, log = document.path, self._context.log
        if verdict.kind is VerdictKind.WELL_FORMED:
            self._report(f"Document {path} is well-formed, but {NO_SCHEMA[0].lower()}{NO_SCHEMA[1:]}")
            return
        self._report(bad_news(path, verdict))
        for problem in problems[1:MOST_LOGGED]:
            log(f"Document {path}, {problem}", self._level)
        if len(problems) > MOST_LOGGED:
            log(f"Document {path} has more problems than these {MOST_LOGGED}.", self._level)
        for reason in verdict.unchecked[0 if problems else 1 : MOST_LOGGED]:
            log(f"Document {path} could not be checked to the end: {reason}", self._level)


def good_news(path: str, verdict: Verdict) -> str:
    """Return the sentence on a document without problems."""
    if verdict.schemas:
        return f"Document {path} is valid by {' and '.join(verdict.schemas)}."
    return f"Document {path} is well-formed; no schema applies to it."


def bad_news(path: str, verdict: Verdict) -> str:
    """Return the sentence on the first problem of a document."""
    if verdict.problems:
        return f"Document {path} is not valid: {verdict.problems[0]}"
    return f"Document {path} could not be checked: {verdict.unchecked[0]}"


def _sentence(summary: Summary) -> str:
    counts, others = summary.counts, summary.others
    aside = f" {others:,} other {'file was' if others == 1 else 'files were'} not checked." if others else ""
    if not summary.checked:
        return f"There was nothing to check: no XML document below {summary.path}.{aside}"
    parts = (
        (VerdictKind.VALID, "valid by a schema"),
        (VerdictKind.WELL_FORMED, "well-formed without one"),
        (VerdictKind.INVALID, "not valid"),
        (VerdictKind.UNCHECKED, "could not be checked"),
    )
    texts = [f"{counts[kind]:,} {text}" for kind, text in parts if counts[kind]]
    if not counts[VerdictKind.VALID]:
        texts = [text.replace("without one", "without a schema") for text in texts]
    return f"{many(summary.checked, 'document')}: {', '.join(texts)}.{aside}"
