"""Validates the XML documents of a group: well-formed, and valid by the schemas that apply to them.

Which documents: those whose name ends as that of XML does (`_XML`); others are counted and left alone.

Which schemas: the group's own for the root element, `/schemas/<local name>.xsd`, `.rng` and `.sch`;
those that the root element names with `xsi:schemaLocation` or `xsi:noNamespaceSchemaLocation`; and
those of `xml-model` instructions before it. All that there are apply, each once. References are
relative to the document, or absolute in the group, and never lead outside it.

Entities are not expanded and DTDs are not loaded: a document that declares or needs entities is
not valid here. A document of more than 16 MB is never held in memory: it is checked by XML Schema
while it is read, and a warning says which other schemas were not applied.

Of each document the log tells the first 20 problems, and the report, as HTML and as XML, the first 1,000. The
report is there once the thread has looked at everything, and not when it was cancelled.
"""

from __future__ import annotations

from typing import Annotated, Final, cast

from psthreads.authoring.context import Context
from psthreads.authoring.process import Start
from psthreads.authoring.registry import process
from psthreads.documents.layout import GroupFolder
from psthreads.domain.errors import PsthreadsError
from psthreads.domain.model import Level, Outcome, Status
from psthreads.processes.xml.checking import LARGEST_TREE, Checker
from psthreads.processes.xml.parsing import MOST_TOLD, Problem
from psthreads.processes.xml.report import Findings, Summary

_NAMES: Final = (
    "xml psml xsd rng sch xsl xslt svg xht xhtml rdf rss atom dita ditamap dbk docbook fo gpx kml mathml mml"
    " nvdl opf ncx owl tei tmx wsdl xlf xliff xmp xpl xproc xspec"
)
_XML: Final = frozenset(_NAMES.split())


def is_xml(name: str) -> bool:
    """Whether a document's name ends as those of XML documents do."""
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
    """Checks that every XML document below a path is well-formed and valid."""
    with (context.temporary() / "findings").open("w+b") as file:
        findings = Findings(file)
        summary = _check_all(context, path, findings, warn=warn)
        summary.verdict = _verdict(summary)
        findings.report(context, summary)
    return Outcome(Status.FAILED if summary.broken and not warn else Status.COMPLETED, summary.verdict)


@validate.check
def _path_is_there(start: Start) -> None:
    """Refuses a path that is unsafe or absent before anything starts."""
    cast("GroupFolder", start.folder).resolve(str(start.values["path"]))


def _check_all(context: Context, path: str, findings: Findings, *, warn: bool) -> Summary:
    folder = context.folder
    checker = Checker(context, folder)
    summary = Summary(folder.group.name, path or "/")

    def left_out(skipped: str, reason: str) -> None:
        summary.left_out += 1
        context.warning(f"{skipped} was left out: {reason}.")

    def is_wanted(name: str) -> bool:
        wanted = is_xml(name)
        summary.others += not wanted
        return wanted

    with context.bar("progress", total=folder.count(path, is_xml)) as bar:
        for document, data in folder.contents(path, LARGEST_TREE, is_wanted, left_out):
            try:
                problems = checker.problems_in(document, data)
            except (PsthreadsError, OSError):
                left_out(document.path, "it is gone, or can no longer be read")
                continue
            if problems or checker.unapplied:
                findings.add(document.path, problems, checker.unapplied)
            if problems:
                summary.broken += 1
                _tell(context, document.path, problems, warn=warn)
            elif checker.unapplied:
                context.warning(
                    f"Document {document.path} is well-formed, but too large to be checked by {checker.unapplied}."
                )
            else:
                context.message(f"Document {document.path} is valid.")
            summary.checked += 1
            bar.current += 1
        bar.total = summary.checked  # Documents may have come or gone meanwhile.
    return summary


def _verdict(summary: Summary) -> str:
    checked, broken, others = summary.checked, summary.broken, summary.others
    aside = f" {others:,} other {'file was' if others == 1 else 'files were'} not checked." if others else ""
    if not checked:
        return f"There was nothing to check: no XML document below {summary.path}.{aside}"
    if not broken:
        return f"{_documents(checked)} {'is' if checked == 1 else 'are'} valid.{aside}"
    return f"{broken:,} of {_documents(checked)} {'is' if broken == 1 else 'are'} not valid.{aside}"


def _tell(context: Context, path: str, problems: list[Problem], *, warn: bool) -> None:
    """One event for the document, with its first problem; the others are lines of the log."""
    report, level = (context.warning, Level.WARN) if warn else (context.error, Level.ERROR)
    report(f"Document {path} is not valid: {problems[0]}")
    for problem in problems[1:MOST_TOLD]:
        context.log(f"Document {path}, {problem}", level)
    if len(problems) > MOST_TOLD:
        context.log(f"Document {path} has more problems than these {MOST_TOLD}.", level)


def _documents(count: int) -> str:
    return f"{count:,} {'document' if count == 1 else 'documents'}"
