"""The group's files, as a child sees them: it opens none, and asks its parent, who reads within the group only."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import BinaryIO, Final, NoReturn, Protocol, cast

from psthreads.domain.access import Group
from psthreads.domain.errors import DocumentNotFound, PsthreadsError
from psthreads.processes.bounded import frames
from psthreads.processes.bounded.frames import Frame

_MOST_OPEN: Final = 64
_LARGEST_READ: Final = 64 * 1024 * 1024
_BUFFER: Final = 256 * 1024
_RESOLVE, _READ, _OPEN, _MORE, _REWIND, _CLOSE = b"resolve", b"read", b"open", b"more", b"rewind", b"close"
_ENTRIES: Final = b"entries"
_MOST_NAMES: Final = 10_000
_FOLDER, _FILE = b"/", b"-"

Ask = Callable[[Sequence[bytes]], list[bytes]]
"""Sends a question to the parent and returns its reply; raises a PsthreadsError or an OSError where it refuses."""


class Files(Protocol):
    """The documents of one group that a piece of work reads, as GroupDocuments has them."""

    group: Group

    def resolve(self, path: str) -> str:
        """Return the normal form of the path of an existing document or folder."""

    def open(self, path: str) -> BinaryIO:
        """Open a document to read it."""

    def read(self, path: str, most: int) -> bytes:
        """Return a document's first `most` bytes."""

    def entries(self, path: str) -> list[tuple[str, bool]]:
        """Return the names in a folder, and whether each is a folder."""


class AskedFiles:
    """The files of a group in a child. Every method raises what GroupDocuments's would."""

    def __init__(self, group: Group, ask: Ask) -> None:
        self.group = group
        self._ask = ask

    def resolve(self, path: str) -> str:
        """Do as Files."""
        return _text(self._ask((_RESOLVE, _bytes(path)))[0])

    def open(self, path: str) -> BinaryIO:
        """Do as Files. The file can be read and rewound."""
        (handle,) = self._ask((_OPEN, _bytes(path)))
        return cast("BinaryIO", io.BufferedReader(_AskedFile(handle, self._ask), _BUFFER))

    def read(self, path: str, most: int) -> bytes:
        """Do as Files."""
        return self._ask((_READ, _bytes(path), b"%d" % most))[0]

    def entries(self, path: str) -> list[tuple[str, bool]]:
        """Do as Files."""
        return [(_text(entry[1:]), entry[:1] == _FOLDER) for entry in self._ask((_ENTRIES, _bytes(path)))]


class _AskedFile(io.RawIOBase):
    def __init__(self, handle: bytes, ask: Ask) -> None:
        super().__init__()
        self._handle = handle
        self._ask = ask
        self._position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # the stubs name a type that Python has not
        data = self._ask((_MORE, self._handle, b"%d" % len(buffer)))[0]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if offset or whence != io.SEEK_SET:
            raise io.UnsupportedOperation("It can only be rewound")
        self._ask((_REWIND, self._handle))
        self._position = 0
        return 0

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        if not self.closed:
            self._ask((_CLOSE, self._handle))
        super().close()


class FileServer:
    """Answers a child's questions about the files of one group, in its parent."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._open: dict[bytes, BinaryIO] = {}
        self._handles = 0

    def reply(self, question: Sequence[bytes]) -> Frame:
        """Return the frame that answers a question, whatever it is."""
        try:
            return frames.REPLY, self._read(*question)
        except DocumentNotFound as error:
            return frames.REFUSAL, [b"absent", error.message.encode(errors="replace")]
        except PsthreadsError as error:
            return frames.REFUSAL, [b"error", error.message.encode(errors="replace")]
        except OSError as error:
            return frames.REFUSAL, [b"system", b"%d" % (error.errno or 0), str(error.strerror).encode()]
        except (KeyError, TypeError, ValueError):
            return frames.REFUSAL, [b"error", b"This is no question"]

    def close(self) -> None:
        """Close what the child has open."""
        while self._open:
            self._open.popitem()[1].close()

    def _read(self, what: bytes, which: bytes, most: bytes = b"0") -> list[bytes]:
        size = min(int(most), _LARGEST_READ)
        if what == _RESOLVE:
            return [_bytes(self._files.resolve(_text(which)))]
        if what == _READ:
            return [self._files.read(_text(which), size)]
        if what == _ENTRIES:
            entries = self._files.entries(_text(which))
            if len(entries) > _MOST_NAMES:
                raise PsthreadsError(f"The folder {_text(which)} has more than {_MOST_NAMES:,} documents and folders.")
            return [(_FOLDER if is_folder else _FILE) + _bytes(name) for name, is_folder in entries]
        if what == _OPEN:
            if len(self._open) >= _MOST_OPEN:
                raise OSError(24, "Too many open files")
            self._handles += 1
            handle = b"%d" % self._handles
            self._open[handle] = self._files.open(_text(which))
            return [handle]
        file = self._open[which]
        if what == _MORE:
            return [file.read(size)]
        if what == _REWIND:
            file.seek(0)
        elif what == _CLOSE:
            self._open.pop(which).close()
        else:
            raise ValueError(what)
        return []


def raise_refusal(kind: bytes, *texts: bytes) -> NoReturn:
    """Raise the error that a refusal tells of."""
    if kind == b"system":
        raise OSError(int(texts[0]), texts[1].decode())
    message = texts[0].decode()
    if kind == b"absent":
        error = DocumentNotFound("")
        error.args = (message,)
        raise error
    raise PsthreadsError(message)


def _bytes(path: str) -> bytes:
    return path.encode(errors="surrogatepass")


def _text(path: bytes) -> str:
    return path.decode(errors="surrogatepass")
