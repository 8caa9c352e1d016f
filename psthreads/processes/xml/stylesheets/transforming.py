"""Transforms documents in a child process: libxslt runs in C, where nothing can interrupt it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import Final

from psthreads.authoring.context import Context
from psthreads.documents.group_documents import Document
from psthreads.processes.bounded.child import SECONDS, BoundedChild, Death, WorkRequest
from psthreads.processes.bounded.inside import Inside
from psthreads.processes.xml.stylesheets.choice import CompiledStylesheet, compiled
from psthreads.processes.xml.stylesheets.outputs import NotTransformed, Output

_LARGEST: Final = 32 * 1024 * 1024  # bytes of one document
_OUTPUT, _PROBLEM = b"O", b"P"


@dataclass(frozen=True, slots=True)
class Transformed:
    """A document with its output, or None and the problem."""

    document: Document
    output: Output | None
    problem: str = ""


class Transformer:
    """Transforms documents by one stylesheet; raises Unusable if the stylesheet cannot be used.

    The child ends when the process's function does, in whatever way.
    """

    def __init__(
        self,
        context: Context,
        stylesheet: str,
        seconds: float = SECONDS,
        memory: int = 0,
        *,
        xinclude: bool = False,
    ) -> None:
        self._folder = context.folder

        def make(inside: Inside) -> _Transforming:
            return _Transforming(compiled(inside.files, stylesheet, xinclude=xinclude))

        self._child: BoundedChild[Document] = BoundedChild(context, self._folder, make, seconds, memory)
        self._child.start()

    def transform(self, documents: Iterable[Document]) -> Iterator[Transformed]:
        """Yield the result for each document, in order."""
        requests = starmap(_request, self._folder.read_each(documents, _LARGEST))
        for document, answer in self._child.answers(requests):
            if isinstance(answer, Death):
                yield Transformed(document, None, f"it {answer.reason}")
            elif answer[0] == _PROBLEM:
                yield Transformed(document, None, answer[1].decode())
            else:
                yield Transformed(document, _output(answer))


def _request(document: Document, data: bytes | Exception | None) -> WorkRequest[Document]:
    path = document.path.encode(errors="surrogatepass")
    if data is None:
        problem = f"it is larger than {_LARGEST // 1024 // 1024} MiB"
        return WorkRequest(document, (path, b"", problem.encode()), 0)
    if isinstance(data, Exception):
        return WorkRequest(document, (path, b"", b"it is gone, or can no longer be read"), 0)
    return WorkRequest(document, (path, data), len(data))


class _Transforming:
    """The work in the child."""

    def __init__(self, stylesheet: CompiledStylesheet) -> None:
        self._stylesheet = stylesheet

    def answer(self, fields: list[bytes]) -> Sequence[bytes]:
        path, data, *problem = fields
        if problem:
            return _PROBLEM, *problem
        try:
            output = self._stylesheet.transform(data, path.decode(errors="surrogatepass"))
        except NotTransformed as error:
            return _PROBLEM, str(error).encode(errors="replace")
        messages = [message.encode(errors="replace") for message in output.messages]
        results = [field for name, content in output.results.items() for field in (name.encode(), content)]
        return _OUTPUT, output.content, output.ending.encode(), b"%d" % len(messages), *messages, *results


def _output(answer: Sequence[bytes]) -> Output:
    _, content, ending, count, *rest = answer
    messages, results = rest[: int(count)], rest[int(count) :]
    pairs = zip(results[::2], results[1::2], strict=True)
    return Output(
        content, ending.decode(), [each.decode() for each in messages], {name.decode(): data for name, data in pairs}
    )
