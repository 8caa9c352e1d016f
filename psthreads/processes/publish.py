"""Publishes the XML documents of a group: each transformed by a stylesheet of the group, all in one zip file.

Which documents: those that a validation would check, but for stylesheets and schemas; others are counted and
left alone. In the zip file they keep their path, with the ending that the stylesheet's `xsl:output` asks for:
`.html` for html, `.txt` for text, `.xml` for all else; without one, a result that starts with `html` is
HTML. A document whose new name is taken by another keeps its old ending before the new one.

The stylesheet is XSLT 1.0 with EXSLT's functions. It is given two parameters: `path`, the document's path in the
group, and `group`, the group's name. What it includes and what it reads with `document()` is read in the group
only, and it writes nothing but its result. What it says with `xsl:message` is logged. A document may take
30 s, may need 1 GiB of memory and may become 64 MiB large.

A document that cannot be published is an error, and the others are published all the same: the thread then ends
`failed`, and the zip file holds those that could be.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import Annotated, Final, cast

from psthreads.authoring.context import Context
from psthreads.authoring.process import Start
from psthreads.authoring.registry import process
from psthreads.documents.layout import GroupFolder
from psthreads.domain.errors import BadParameter, Conflict, DocumentNotFound, UnsafePath
from psthreads.domain.model import Outcome, Status
from psthreads.processes.archives.zip_writer import ZipWriter
from psthreads.processes.validate import is_xml
from psthreads.processes.xml.includes import Unusable
from psthreads.processes.xml.transforming import Transformed, Transformer

_TOOL: Final = re.compile(r"\.(xslt?|xsd|rng|sch|nvdl)\Z", re.IGNORECASE)
_MESSAGES: Final = 20  # of one document, in the log


@process(
    title="Publishing {path} of group {group}",
    route="/members/{member}/groups/{group}/publish/start",
    time_limit=4 * 3600,
    restartable=True,
)
def publish(
    context: Context,
    path: Annotated[str, "the folder or the document to publish"] = "/",
    stylesheet: Annotated[str, "the XSLT stylesheet of the group that transforms each document"] = (
        "/stylesheets/publish.xsl"
    ),
) -> Outcome:
    """Transforms the XML documents below a path by a stylesheet, into a zip file that can be downloaded."""
    try:
        return _publish(context, path, Transformer(context, context.folder.normal(stylesheet)))
    except Unusable as error:
        sentence = f"The stylesheet {stylesheet} cannot be used, and nothing was published: {error}"
        return Outcome(Status.FAILED, sentence)


@publish.check
def _can_be_published(start: Start) -> None:
    """Refuses paths that are unsafe or absent before anything starts."""
    folder, stylesheet = cast("GroupFolder", start.folder), str(start.values["stylesheet"])
    folder.resolve(str(start.values["path"]))
    try:
        is_folder = folder.is_folder(stylesheet)
    except UnsafePath as error:
        error.name = "stylesheet"
        raise
    except DocumentNotFound:
        is_folder = True
    if is_folder:
        raise BadParameter(
            "stylesheet", f"There is no stylesheet '{stylesheet}' in this group: put one there, or name another."
        )


def _publish(context: Context, path: str, transformer: Transformer) -> Outcome:
    folder = context.folder

    def left_out(skipped: str, reason: str) -> None:
        context.warning(f"{skipped} was left out: {reason}.")

    context.message(f"Publishing documents below {path or '/'}")
    documents = (document for document in folder.walk(path, left_out) if _is_published(document.path))
    total = folder.count(path, _is_published)
    if not total:
        sentence = f"There was nothing to publish: no XML document below {path or '/'}."
        return Outcome(Status.COMPLETED, sentence)
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", folder.group.name)[:80] or "group"
    filename = f"{plain}-publish-{context.thread_id}.zip"
    published = 0
    names: set[str] = set()
    with ExitStack() as stack:
        directory = stack.enter_context((context.temporary() / "directory").open("w+b"))
        file = stack.enter_context(context.result(filename))
        archive = ZipWriter(file, directory)
        bar = context.bar("progress", total=total)
        for transformed in transformer.transform(documents):
            published += _add(context, archive, transformed, names)
            bar.advance()
        bar.total = bar.current  # Documents may have come or gone meanwhile.
        if not published:  # Leaves the block, so that there is no file.
            raise Conflict("Nothing was published: the log says why, for each document.")
        archive.close()
        with context.shield():  # The file is there if and only if the thread names it.
            stack.close()
            context.element("zip", filename)
    if published < bar.current:
        sentence = f"{published:,} of {_documents(bar.current)} published: the log says why the others were not."
        return Outcome(Status.FAILED, sentence)
    return Outcome(Status.COMPLETED, f"Published {_documents(published)}")


def _is_published(path: str) -> bool:
    return is_xml(path) and not _TOOL.search(path)


def _add(context: Context, archive: ZipWriter, transformed: Transformed, names: set[str]) -> bool:
    """Put an output into the archive, and say so; False when there is none."""
    path, output = transformed.document.path, transformed.output
    if output is None:
        context.error(f"Document {path} was not published: {transformed.problem}")
        return False
    for message in output.messages[:_MESSAGES]:
        context.log(f"Document {path}: {message}")
    if len(output.messages) > _MESSAGES:
        context.log(f"Document {path}: the stylesheet says more than these {_MESSAGES} lines.")
    old = path.lstrip("/")
    name = old[: old.rindex(".")] + output.ending
    if name in names:
        name = old + output.ending  # This is nobody's: documents come sorted by name.
        context.warning(f"Document {path} is {name} in the zip file, since another one has its name.")
    names.add(name)
    archive.add(name, transformed.document.modified, output.content)
    context.message(f"Published {path}")
    return True


def _documents(count: int) -> str:
    return f"{count:,} {'document' if count == 1 else 'documents'}"
