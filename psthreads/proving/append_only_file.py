"""Reads the append-only file of a Redis or Valkey, command by command: one file, or the parts that a manifest names.

A file is read as a stream, so that its size does not matter. What is unfinished at the end of the last one, as after a
crash, is left out, as a server leaves it out.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Final, NamedTuple

from psthreads.domain.errors import PsthreadsError
from psthreads.proving import snapshot

_LONGEST_LINE: Final = 64
_LONGEST_VALUE: Final = 512 * 1024 * 1024  # that a server takes
_MOST_WORDS: Final = 1024 * 1024
_SIZES: Final = {b"$%d\r\n" % size: size for size in range(1000)}  # most are looked up, which is quicker
_TIME: Final = b"#TS:"
_LATEST: Final = 253_402_300_799  # the last second that a date can have


class UnreadableFile(PsthreadsError):
    """A file is no append-only file, or a damaged one. The message says where."""


class WrittenCommand(NamedTuple):
    """A command and where it begins. `words` has its name and arguments, and none where the file only notes the time.

    One of the base only says what there was before the first step.
    """

    file: Path
    offset: int
    words: list[bytes]
    is_base: bool = False
    time: int = 0
    """In seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class FileParts:
    """The files to read, in order. `is_whole` is false where what was before the first of them is not known."""

    files: tuple[Path, ...]
    is_whole: bool


def parts(path: Path) -> FileParts:
    """Return the files of a path: a folder or a manifest stands for all parts; a part for those up to itself.

    Raises UnreadableFile where there is no such file, or not one manifest.
    """
    if path.is_dir():
        manifests = sorted(path.glob("*.manifest")) or sorted(path.glob("*/*.manifest"))
        if len(manifests) != 1:
            number = "several manifests" if manifests else "no manifest"
            raise UnreadableFile(f"{path} has {number}: name the file to judge.")
        return FileParts(_named_in(manifests[0]), is_whole=True)
    if not path.is_file():
        raise UnreadableFile(f"There is no file {path}.")
    if path.suffix == ".manifest":
        return FileParts(_named_in(path), is_whole=True)
    for manifest in path.parent.glob("*.manifest"):
        files = _named_in(manifest)
        if path in files:
            return FileParts(files[: files.index(path) + 1], is_whole=True)
    return FileParts((path,), is_whole=not path.name.endswith(".incr.aof"))


def _named_in(manifest: Path) -> tuple[Path, ...]:
    """Return the files that a manifest names, in order, but for those that only wait to be removed."""
    files: list[tuple[int, Path]] = []
    try:
        for line in manifest.read_text().splitlines():
            words = shlex.split(line, comments=True)
            fields = dict(zip(words[::2], words[1::2], strict=True))
            if fields and fields["type"] != "h":
                files.append((0 if fields["type"] == "b" else int(fields["seq"]), manifest.parent / fields["file"]))
    except (ValueError, KeyError, OSError):
        raise UnreadableFile(f"{manifest} is no manifest of an append-only file.") from None
    return tuple(file for _, file in sorted(files))


def commands(files: tuple[Path, ...]) -> Iterator[WrittenCommand]:
    """Return the commands of these files. Raises UnreadableFile where one is damaged, but for the last one's end."""
    for file in files:
        try:
            with file.open("rb") as stream:
                yield from _commands(file, stream)
        except EOFError:
            if file is not files[-1]:
                raise UnreadableFile(f"{file} ends in the middle of a command, and is not the last file.") from None
        except OSError as error:
            raise UnreadableFile(f"{file} cannot be read: {error.strerror}.") from None


def _commands(file: Path, stream: BufferedReader) -> Iterator[WrittenCommand]:
    is_base = file.name.endswith((".base.aof", ".base.rdb"))
    try:
        for words in snapshot.commands(stream):
            yield WrittenCommand(file, 0, words, is_base=True)
    except snapshot.UnknownSnapshot as error:
        raise UnreadableFile(f"{file} begins with a snapshot that cannot be read: {error}.") from None
    offset = stream.tell()
    while line := stream.readline(_LONGEST_LINE):
        length, words = len(line), []
        if line.startswith(_TIME):
            yield WrittenCommand(file, offset, [], is_base, _number(file, offset, line, _TIME, _LATEST))
            offset += length
            continue
        for _ in range(_number(file, offset, line, b"*", _MOST_WORDS)):
            head = stream.readline(_LONGEST_LINE)
            size = _SIZES.get(head, -1)
            if size < 0:
                size = _number(file, offset, head, b"$", _LONGEST_VALUE)
            value = stream.read(size + 2)
            if len(value) < size + 2:
                raise EOFError
            length += len(head) + len(value)
            words.append(value[:-2])
        if not words:
            raise _damage(file, offset)
        yield WrittenCommand(file, offset, words, is_base)
        offset += length


def _number(file: Path, offset: int, line: bytes, mark: bytes, most: int) -> int:
    """Return the number in a line after its mark. Raises EOFError where the file ends before the line does."""
    if not line.endswith(b"\n") and len(line) < _LONGEST_LINE and mark.startswith(line[: len(mark)]):
        raise EOFError
    number = line[len(mark) : -2]
    if not line.startswith(mark) or not line.endswith(b"\r\n") or not number.isdigit() or int(number) > most:
        raise _damage(file, offset)
    return int(number)


def _damage(file: Path, offset: int) -> UnreadableFile:
    return UnreadableFile(f"{file} is no append-only file, or a damaged one: there is no command at byte {offset:,}.")
