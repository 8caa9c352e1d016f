"""Validates documents in a child process: libxml2 and libxslt run in C, where nothing can interrupt them.

A schema that took too long to compile, or needed too much memory for it, is not tried again for the thread's other
documents, and neither is one by which three of them could not be checked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from psthreads.authoring.context import Context
from psthreads.documents.group_documents import Document
from psthreads.domain.errors import PsthreadsError
from psthreads.processes.bounded.child import SECONDS, BoundedChild, Death, WorkRequest
from psthreads.processes.bounded.files import Files
from psthreads.processes.bounded.inside import Inside
from psthreads.processes.validation.verdict import Verdict, decode, encode
from psthreads.processes.xml.checking import PLAIN, Checker, CheckOptions
from psthreads.processes.xml.steps import Steps

LARGEST_SENT: Final = 1024 * 1024
"""The bytes of a document that are sent to the child with its name; it asks for more."""

_MOST_NOTES: Final = 200
_MOST_DEATHS: Final = 3  # of checks by one schema
_VERDICT, _GONE = b"V", b"G"


class Validator:
    """Validates documents of one group, or those that `files` has in their place."""

    def __init__(
        self,
        context: Context,
        files: Files,
        seconds: float = SECONDS,
        memory: int = 0,
        options: CheckOptions = PLAIN,
    ) -> None:
        self._files = files
        self._given_up: dict[str, str] = {}
        self._deaths: Counter[str] = Counter()

        def make(inside: Inside) -> _Validating:
            steps = Steps(inside.compiling, inside.applying, self._given_up)
            return _Validating(Checker(inside.files, steps, options))

        self._child: BoundedChild[Document] = BoundedChild(context, files, make, seconds, memory, self._learn)

    def verdicts(self, documents: Iterable[tuple[Document, bytes | None]]) -> Iterator[tuple[Document, Verdict | None]]:
        """Yield the verdict on each document, in order; None for one that is gone.

        Each comes with its bytes, or None for one that is large: it is read when its turn comes.
        """
        requests = (WorkRequest(document, self._fields(document, data), document.size) for document, data in documents)
        for document, answer in self._child.answers(requests):
            if isinstance(answer, Death):
                yield document, Verdict(unchecked=(_reason(answer),))
            else:
                yield document, decode(answer[1]) if answer[0] == _VERDICT else None

    def _fields(self, document: Document, data: bytes | None) -> Sequence[bytes]:
        if data is None and document.size <= LARGEST_SENT:
            with suppress(PsthreadsError, OSError):  # The child tells that it is gone.
                data = self._files.read(document.path, LARGEST_SENT + 1)
        path, size = document.path.encode(errors="surrogatepass"), b"%d" % document.size
        return (path, size) if data is None or len(data) > LARGEST_SENT else (path, size, data)

    def _learn(self, death: Death) -> None:
        schema = death.subject
        if not schema:
            return
        self._deaths[schema] += 1
        if death.action == "compile":
            self._given_up[schema] = _reason(death)
        elif self._deaths[schema] >= _MOST_DEATHS:
            self._given_up[schema] = f"{_reason(death)}, as before: it is not applied any more"


class Notes:
    """Warns of what was not applied, each note once and with the first document that it is about."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: set[str] = set()

    def warn(self, path: str, notes: Iterable[str]) -> None:
        """Warn of the notes on a document that no other one had."""
        for note in notes:
            if note not in self._known and len(self._known) < _MOST_NOTES:
                self._known.add(note)
                self._context.warning(f"Document {path}, and maybe others: {note}")


class _Validating:
    """The work in the child."""

    def __init__(self, checker: Checker) -> None:
        self._checker = checker

    def answer(self, fields: list[bytes]) -> Sequence[bytes]:
        path, size, *data = fields
        try:
            verdict = self._checker.verdict(path.decode(errors="surrogatepass"), int(size), *data)
        except (PsthreadsError, OSError):
            return (_GONE,)
        return _VERDICT, encode(verdict)


def _reason(death: Death) -> str:
    if death.subject and death.action == "compile":
        return f"the schema {death.subject} {death.reason} to compile"
    if death.subject:
        return f"the check by {death.subject} {death.reason}"
    return f"its check {death.reason}"
