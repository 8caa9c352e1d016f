"""psthreads' own verdicts on the documents of a folder, as a validation of a group would have them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from psthreads.authoring.context import Context
from psthreads.documents.layout import Document, Documents, GroupFolder
from psthreads.domain.access import Group, Member
from psthreads.domain.model import Ownership, Report
from psthreads.processes.bounded.child import SECONDS
from psthreads.processes.endings import is_xml
from psthreads.processes.validation.validator import LARGEST_SENT, Validator
from psthreads.processes.validation.verdict import Verdict


class _Silent:
    """A reporter that keeps nothing."""

    def report(self, _report: Report) -> Ownership:
        return Ownership.OWNED


def verdicts(folder: Path, seconds: float = SECONDS) -> Iterator[tuple[Document, Verdict]]:
    """Yield each XML document of a folder, as if it was a group's, with the verdict. Nothing is changed there."""
    group = Group(1, "differential")
    with tempfile.TemporaryDirectory() as temporary:
        documents = Documents(Path(temporary))
        context = Context(
            thread_id="0" * 32,
            member=Member(1, "differential"),
            group=group,
            folder=GroupFolder(group, folder.resolve()),
            results=documents.results(group.id),
            scratch=documents.scratch,
            reporter=_Silent(),
        )
        try:
            contents = context.folder.contents("", LARGEST_SENT, is_xml)
            for document, verdict in Validator(context, context.folder, seconds).verdicts(contents):
                if verdict is not None:
                    yield document, verdict
        finally:
            context.stop_interrupts()
            context.clean_up()
            context.close()
