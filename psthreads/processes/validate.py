"""Validates a group's XML documents: checks that they are well-formed, and valid by the schemas that apply to them.

The documents are those whose name has an extension of XML (`_XML`). Others are only counted.

The schemas are the DTD that the document names; the group's own for the root element, `/schemas/<local name>.xsd`,
`.rng`, `.rnc` and `.sch`, if they are for its namespace, and that of the catalog for this namespace; those that the
root element names with `xsi:schemaLocation` or `xsi:noNamespaceSchemaLocation`; and those of `xml-model` instructions
before it. All of them apply, each once. References are resolved by the group's catalog, or else relative to the
document or to the group, and never lead outside it. A schema that is named and cannot be had is a warning.

Entities are expanded within limits, and external ones only come from the group. A document of more than 16 MB is never
held in memory: it is checked by XML Schema while it is read, may not declare entities, and a warning names the DTD and
the other schemas that apply.

The log gives the first 20 problems of each document, and the report, as HTML and as XML, the first 1,000. A cancelled
thread has no report.
"""

from __future__ import annotations

from typing import Annotated, Final, cast

from psthreads.authoring.context import Context
from psthreads.authoring.process import Start
from psthreads.authoring.registry import process
from psthreads.documents.layout import GroupFolder
from psthreads.domain.errors import PsthreadsError
from psthreads.domain.model import Level, Outcome, Status
from psthreads.processes.wording import many
from psthreads.processes.xml.checking import LARGEST_TREE, Checker, Notes
from psthreads.processes.xml.parsing import MOST_LOGGED, DocumentProblem
from psthreads.processes.xml.report import Findings, Summary

_NAMES: Final = (
    "xml psml xsd rng sch xsl xslt svg xht xhtml rdf rss atom dita ditamap dbk docbook fo gpx kml mathml mml"
    " nvdl opf ncx owl tei tmx wsdl xlf xliff xmp xpl xproc xspec"
)
_XML: Final = frozenset(_NAMES.split())


def is_xml(name: str) -> bool:
    """Tell whether a document's name has an extension of XML."""
    _, dot, ending = name.rpartition(".")
    return bool(dot) and ending.lower() in _XML


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
) -> Outcome:
    """Check that every XML document below a path is well-formed and valid."""
    with (context.temporary() / "findings").open("w+b") as file:
        findings = Findings(file)
        summary = _check_all(context, path, findings, warn=warn)
        summary.verdict = _verdict(summary)
        findings.report(context, summary)
    return Outcome(Status.FAILED if summary.broken and not warn else Status.COMPLETED, summary.verdict)


@validate.check
def _check_path(start: Start) -> None:
    cast("GroupFolder", start.folder).resolve(str(start.values["path"]))


def _check_all(context: Context, path: str, findings: Findings, *, warn: bool) -> Summary:
    folder = context.folder
    checker = Checker(context, folder)
    notes = Notes(context)
    summary = Summary(folder.group.name, path or "/")

    def skip(skipped: str, reason: str) -> None:
        summary.left_out += 1
        context.warning(f"{skipped} was left out: {reason}.")

    def count_others(name: str) -> bool:
        is_checked = is_xml(name)
        summary.others += not is_checked
        return is_checked

    with context.bar("progress", total=folder.count(path, is_xml)) as bar:
        for document, data in folder.contents(path, LARGEST_TREE, count_others, skip):
            try:
                problems = checker.problems_in(document, data)
            except (PsthreadsError, OSError):
                skip(document.path, "it is gone, or can no longer be read")
                continue
            if problems or checker.unapplied:
                findings.add(document.path, problems, checker.unapplied)
            notes.warn(document.path, checker.notes)
            if problems:
                summary.broken += 1
                _report(context, document.path, problems, warn=warn)
            elif checker.unapplied:
                context.warning(
                    f"Document {document.path} is well-formed, but too large to be checked by {checker.unapplied}."
                )
            else:
                context.message(f"Document {document.path} is valid.")
            summary.checked += 1
            bar.current += 1
        bar.total = summary.checked  # The number of documents may have changed.
    return summary


def _verdict(summary: Summary) -> str:
    checked, broken, others = summary.checked, summary.broken, summary.others
    aside = f" {others:,} other {'file was' if others == 1 else 'files were'} not checked." if others else ""
    if not checked:
        return f"There was nothing to check: no XML document below {summary.path}.{aside}"
    if not broken:
        return f"{many(checked, 'document')} {'is' if checked == 1 else 'are'} valid.{aside}"
    return f"{broken:,} of {many(checked, 'document')} {'is' if broken == 1 else 'are'} not valid.{aside}"


def _report(context: Context, path: str, problems: list[DocumentProblem], *, warn: bool) -> None:
    """Report the document once, with its first problem, and log the others."""
    report, level = (context.warning, Level.WARN) if warn else (context.error, Level.ERROR)
    report(f"Document {path} is not valid: {problems[0]}")
    for problem in problems[1:MOST_LOGGED]:
        context.log(f"Document {path}, {problem}", level)
    if len(problems) > MOST_LOGGED:
        context.log(f"Document {path} has more problems than these {MOST_LOGGED}.", level)
