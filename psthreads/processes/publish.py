"""Publishes a group's XML documents: transforms each by a stylesheet of the group, and packs them into a zip file.

The documents are those that a validation checks, without stylesheets and schemas. In the zip file they keep their
paths, but get the extension that the stylesheet's `xsl:output` asks for: `.html` for html and xhtml, `.txt` for text,
`.xml` for everything else. Without `xsl:output`, output with the root element `html` is HTML. If two documents would
have one name, the second keeps its old extension before the new one.

The stylesheet is XSLT 1.0 with EXSLT's functions, or XSLT 2.0 or 3.0 where Saxon is installed. Its parameters are
`path`, the document's path in the group, and `group`, the group's name. It includes and reads documents of the group
only. What it writes by `xsl:result-document` or `exsl:document` is in the zip file, too, below the folder of the
document's output. Its `xsl:message` is logged. The limits for one document are 30 s, 1 GiB of memory and 64 MiB of
output.

A document that cannot be published is an error. The others are still published: the thread then ends `failed`, and
the zip file contains them.

With `dry-run`, every document is transformed and reported in the same way, but there is no zip file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from itertools import islice
from typing import Annotated, Final, cast

from psthreads.authoring.context import Context
from psthreads.authoring.process import Start
from psthreads.authoring.registry import process
from psthreads.documents.group_documents import GroupDocuments
from psthreads.domain.errors import BadParameter, Conflict, DocumentNotFound, UnsafePath
from psthreads.domain.model import Outcome, Status
from psthreads.processes.archives.zip_writer import ZipWriter
from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.endings import xml_test
from psthreads.processes.wording import filename_of, many, warn_of_skips
from psthreads.processes.xml.stylesheets.transforming import Transformed, Transformer

_TOOL: Final = re.compile(r"\.(xslt?|xsd|rng|sch|nvdl)\Z", re.IGNORECASE)
_MESSAGES: Final = 20  # of one document, in the log
_MOST_NAMED: Final = 3  # files of one document


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
    dry_run: Annotated[bool, "transform the documents and say what becomes of them, without a zip file"] = False,  # noqa: FBT002 (a parameter on the wire)
    xinclude: Annotated[bool, "whether documents are published with those that they include by XInclude"] = False,  # noqa: FBT002 (as above)
) -> Outcome:
    """Transform the XML documents below a path by a stylesheet, and pack them into a zip file to download."""
    try:
        transformer = Transformer(context, context.folder.normal(stylesheet), xinclude=xinclude)
        return _publish(context, path, transformer, dry_run=dry_run)
    except Unusable as error:
        sentence = f"The stylesheet {stylesheet} cannot be used, and nothing was published: {error}"
        return Outcome(Status.FAILED, sentence)


@publish.check
def _check_paths(start: Start) -> None:
    folder, stylesheet = cast("GroupDocuments", start.folder), str(start.values["stylesheet"])
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


def _publish(context: Context, path: str, transformer: Transformer, *, dry_run: bool) -> Outcome:
    folder = context.folder
    context.message(f"Publishing documents below {path or '/'}")
    is_published = _publishable(context)
    documents = (document for document in folder.walk(path, warn_of_skips(context)) if is_published(document.path))
    total = folder.count(path, is_published)
    if not total:
        sentence = f"There was nothing to publish: no XML document below {path or '/'}."
        return Outcome(Status.COMPLETED, sentence)
    filename = f"{filename_of(folder.group)}-publish-{context.thread_id}.zip"
    published = 0
    names: set[str] = set()
    archive = None
    with ExitStack() as stack:
        if not dry_run:
            directory = stack.enter_context((context.temporary() / "directory").open("w+b"))
            archive = ZipWriter(stack.enter_context(context.result(filename)), directory)
        bar = context.bar("progress", total=total)
        for transformed in transformer.transform(documents):
            published += _add(context, archive, transformed, names)
            bar.advance()
        bar.total = bar.current  # The number of documents may have changed.
        if not published:  # An exception: leaving the block with one removes the file.
            raise Conflict(
                f"Nothing {'was' if archive else 'would be'} published: the log says why, for each document."
            )
        if archive is not None:
            archive.close()
            with context.shield():  # The file exists if and only if the thread names it.
                stack.close()
                context.element("zip", filename)
    if published < bar.current:
        attempted = many(bar.current, "document")
        would_be, were = ("would be ", "would") if archive is None else ("", "were")
        sentence = f"{published:,} of {attempted} {would_be}published: the log says why the others {were} not."
        return Outcome(Status.FAILED, sentence)
    sentence = f"Would publish {many(published, 'document')}. There is no zip file, since this was a dry run."
    return Outcome(Status.COMPLETED, sentence if archive is None else f"Published {many(published, 'document')}")


def _publishable(context: Context) -> Callable[[str], bool]:
    is_xml = xml_test(context)
    return lambda path: is_xml(path) and not _TOOL.search(path)


def _add(context: Context, archive: ZipWriter | None, transformed: Transformed, names: set[str]) -> bool:
    """Add an output to the archive, if there is one, and report it; returns False if there is no output."""
    path, output = transformed.document.path, transformed.output
    were = "was not" if archive else "would not be"
    if output is None:
        context.error(f"Document {path} {were} published: {transformed.problem}")
        return False
    for message in output.messages[:_MESSAGES]:
        context.log(f"Document {path}: {message}")
    if len(output.messages) > _MESSAGES:
        context.log(f"Document {path}: the stylesheet has more than these {_MESSAGES} messages.")
    old = path.lstrip("/")
    folder = old[: old.rfind("/") + 1]
    contents = {f"{folder}{relative}": content for relative, content in output.results.items()}
    has_output = bool(output.content) or not contents
    name = old[: old.rindex(".")] + output.ending
    if has_output and name in names | contents.keys():
        name = old + output.ending
        context.warning(f"Document {path} is {name} in the zip file, because another document has its name.")
    taken = [each for each in ([name] if has_output else []) + [*contents] if each in names]
    if taken or (has_output and name in contents):
        context.error(f"Document {path} {were} published: the zip file has {(taken or [name])[0]} already.")
        return False
    if has_output:
        contents = {name: output.content, **contents}
    names.update(contents)
    if archive is None:
        context.message(f"Would publish {path} as {' and '.join(islice(contents, _MOST_NAMED))}{_more(contents)}")
        return True
    for each, content in contents.items():
        archive.add(each, transformed.document.modified, content)
    context.message(f"Published {path}{'' if len(contents) == 1 else f' as {len(contents):,} files'}")
    return True


def _more(contents: Mapping[str, bytes]) -> str:
    return f" and {len(contents) - _MOST_NAMED:,} more files" if len(contents) > _MOST_NAMED else ""
