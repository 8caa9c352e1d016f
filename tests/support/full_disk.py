"""A disk that is full after so many bytes, for tests of what a process does then.

It needs no privileges and no file system of its own: the calls by which Python writes to files are replaced for a
while, and fail as the operating system's would, with a short write first and then ENOSPC.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import FileIO
from typing import Any, Final, cast

_OPEN: Final = builtins.open
_ALIASES: Final = ("open", "_builtin_open", "bltn_open")  # the names under which the standard library keeps it


class _Room:
    """What is left of the disk, in bytes."""

    def __init__(self, room: int) -> None:
        self._left = room
        self._lock = threading.Lock()
        self.is_over = False

    def take(self, wanted: int) -> int:
        """How many of these bytes fit; raises OSError (ENOSPC) when there are some and none does."""
        with self._lock:
            if self.is_over or not wanted:
                return wanted
            if not self._left:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            given = min(wanted, self._left)
            self._left -= given
            return given

    def give_back(self, unused: int) -> None:
        """Return what was taken and then not written."""
        with self._lock:
            self._left += unused


@contextmanager
def full_after(room: int) -> Iterator[None]:
    """Within the block, what Python code writes to regular files fails with ENOSPC after so many bytes.

    Bytes count when they are written, wherever the file is; they are not given back when a file is removed. It
    holds for what `open`, `os.fdopen`, `pathlib`, `tempfile`, `shutil` and `zipfile` write, and for `os.write`
    and its like, in every Python thread. Not for libraries in C that open files themselves (sqlite3, lxml with a
    file's name), for other programs, nor for names, folders and renames, which need no room here.
    """
    disk = _Room(room)

    class File(FileIO):
        def write(self, data: Any, /) -> int:
            view = memoryview(data).cast("B")
            if not _is_regular(self.fileno()):
                return super().write(view) or 0
            return _written(disk, len(view), lambda most: super(File, self).write(view[:most]) or 0)

    def opened(file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **more: Any) -> Any:
        return _opened(File, file, mode, buffering, *rest, **more)

    with ExitStack() as stack:
        for module in list(sys.modules.values()):
            names = vars(module) if hasattr(module, "__dict__") else {}
            for alias in _ALIASES:
                if names.get(alias) is _OPEN:
                    _replace(stack, module, alias, opened)
            if names.get("FileIO") is FileIO and module.__name__.startswith("psthreads."):
                _replace(stack, module, "FileIO", File)
        for name, counted in _CALLS.items():
            if hasattr(os, name):
                _replace(stack, os, name, counted(disk, getattr(os, name)))
        try:
            yield
        finally:
            disk.is_over = True  # What is closed only later was not refused while it counted.


def _replace(stack: ExitStack, owner: Any, name: str, new: Any) -> None:
    stack.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, new)


def _opened(
    kind: type[FileIO],
    file: Any,
    mode: str,
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,  # noqa: FBT001, FBT002 (the signature of open)
    opener: Any = None,
) -> Any:
    """What `open` gives, on top of a file of ours where it is to be written to."""
    is_text, raw_mode = "b" not in mode, mode.replace("b", "").replace("t", "")
    if not set("wax+") & set(mode) or (not is_text and (encoding or errors or newline)):
        return _OPEN(file, mode, buffering, encoding, errors, newline, closefd, opener)
    raw = kind(file, raw_mode, closefd, opener)
    try:
        if not buffering and not is_text:
            return raw
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        buffer = io.BufferedRandom(raw, size) if "+" in mode else io.BufferedWriter(raw, size)
        if not is_text:
            return buffer
        text = io.TextIOWrapper(buffer, io.text_encoding(encoding), errors, newline, buffering == 1)
    except BaseException:
        raw.close()
        raise
    cast("Any", text).mode = mode
    return text


def _is_regular(fd: int) -> bool:
    return stat.S_ISREG(os.fstat(fd).st_mode)


def _written(disk: _Room, wanted: int, write: Callable[[int], int]) -> int:
    room, done = disk.take(wanted), 0
    try:
        done = write(room)
        return done
    finally:
        disk.give_back(room - done)


def _write(disk: _Room, real: Callable[..., int]) -> Callable[..., int]:
    def write(fd: int, data: Any, /, *rest: Any) -> int:
        if not _is_regular(fd):
            return real(fd, data, *rest)
        view = memoryview(data).cast("B")
        return _written(disk, len(view), lambda most: real(fd, view[:most], *rest))

    return write


def _send(disk: _Room, real: Callable[..., int]) -> Callable[..., int]:
    def sendfile(out_fd: int, in_fd: int, offset: int | None, count: int, *rest: Any) -> int:
        if not _is_regular(out_fd):
            return real(out_fd, in_fd, offset, count, *rest)
        at = os.lseek(in_fd, 0, os.SEEK_CUR) if offset is None else offset
        there = min(count, max(0, os.fstat(in_fd).st_size - at))
        return _written(disk, there, lambda most: real(out_fd, in_fd, offset, most, *rest) if most else 0)

    return sendfile


def _copy(disk: _Room, real: Callable[..., int]) -> Callable[..., int]:
    def copy_file_range(src: int, dst: int, count: int, **more: Any) -> int:
        at = more.get("offset_src")
        at = os.lseek(src, 0, os.SEEK_CUR) if at is None else at
        there = min(count, max(0, os.fstat(src).st_size - at))
        return _written(disk, there, lambda most: real(src, dst, most, **more) if most else 0)

    return copy_file_range


def _allocate(disk: _Room, real: Callable[..., None]) -> Callable[..., None]:
    def posix_fallocate(fd: int, offset: int, length: int, /) -> None:
        if (room := disk.take(length)) < length:
            disk.give_back(room)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(fd, offset, length)

    return posix_fallocate


_CALLS: Final[dict[str, Callable[[_Room, Any], Callable[..., Any]]]] = {
    "write": _write,
    "pwrite": _write,
    "sendfile": _send,
    "copy_file_range": _copy,
    "posix_fallocate": _allocate,
}
