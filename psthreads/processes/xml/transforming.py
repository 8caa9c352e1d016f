"""Transforms documents in a child process: libxslt runs in C, where nothing can interrupt it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from psthreads.authoring.context import Context
from psthreads.documents.layout import Document
from psthreads.domain.errors import PsthreadsError
from psthreads.processes.bounded.child import SECONDS, BoundedChild, Death, WorkRequest
from psthreads.processes.bounded.inside import Inside
from psthreads.processes.xml.stylesheet import NotTransformed, Output, Stylesheet

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
            return _Transforming(Stylesheet(inside.files, stylesheet, xinclude=xinclude))

        self._child: BoundedChild[Document] = BoundedChild(context, self._folder, make, seconds, memory)
        self._child.start()

    def transform(self, documents: Iterable[Document]) -> Iterator[Transformed]:
        """Yield the result for each document, in order."""
        with self._folder.keeping_folder():
            for document, answer in self._child.answers(map(self._request, documents)):
                if isinstance(answer, Death):
                    yield Transformed(document, None, f"it {answer.reason}")
                elif answer[0] == _PROBLEM:
                    yield Transformed(document, None, answer[1].decode())
                else:
                    _, content, ending, *messages = answer
                    yield Transformed(document, Output(content, ending.decode(), [each.decode() for each in messages]))

    def _request(self, document: Document) -> WorkRequest[Document]:
        path = document.path.encode(errors="surrogatepass")
        try:
            data = self._read(document.path, document.size)
        except NotTransformed as error:
            return WorkRequest(document, (path, b"", str(error).encode()), 0)
        except (PsthreadsError, OSError):
            return WorkRequest(document, (path, b"", b"it is gone, or can no longer be read"), 0)
        return WorkRequest(document, (path, data), len(data))

    def _read(self, path: str, size: int) -> bytes:
        data = self._folder.read(path, min(size, _LARGEST) + 1)
        if size < len(data) <= _LARGEST:  # It has grown.
            data = self._folder.read(path, _LARGEST + 1)
        if len(data) > _LARGEST:
            raise NotTransformed(f"it is larger than {_LARGEST // 1024 // 1024} MiB")
        return data


class _Transforming:
    """The work in the child."""

    def __init__(self, stylesheet: Stylesheet) -> None:
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
        return _OUTPUT, output.content, output.ending.encode(), *messages
