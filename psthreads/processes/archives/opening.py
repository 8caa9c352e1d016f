"""Opens an uploaded archive by its content, whatever its name says."""

from __future__ import annotations

from typing import BinaryIO, Final

from psthreads.processes.archives.entries import Archive, Damaged
from psthreads.processes.archives.tar_reader import TarReader
from psthreads.processes.archives.unpacking import ZipReader

_SUPPORTED: Final = "only zip, tar, tar.gz, tar.bz2 and tar.xz are unpacked: pack it as one of these"

_PACKINGS: Final = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}
_TAR: Final = (257, b"ustar")
_OTHERS: Final = (
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"\x28\xb5\x2f\xfd", "a file packed by Zstandard"),
    (0, b"\x04\x22\x4d\x18", "a file packed by LZ4"),
    (0, b"LZIP", "a file packed by lzip"),
    (0, b"\x5d\0\0", "a file packed by LZMA"),
    (0, b"\x1f\x9d", "a file packed by compress"),
    (0, b"MSCF", "a cabinet file"),
    (0, b"\x60\xea", "an ARJ archive"),
    (0, b"!<arch>\n", "an ar archive"),
    (0, b"07070", "a cpio archive"),
    (0, b"xar!", "a xar archive"),
    (0, b"SIT!", "a StuffIt archive"),
    (0, b"StuffIt", "a StuffIt archive"),
    (0, b"\xd0\xcf\x11\xe0", "an old Office document"),
    (0, b"%PDF", "a PDF document"),
    (2, b"-lh", "an LHA archive"),
)
_HEAD: Final = 512  # bytes


def open_archive(file: BinaryIO, encoding: str) -> Archive:
    """Return the archive in a file, whose names are in this encoding unless they say another.

    Raises Damaged for a file that is none, or one of a kind that is not unpacked.
    """
    file.seek(0)
    head = file.read(_HEAD)
    for offset, mark, what in _OTHERS:
        if head.startswith(mark, offset):
            raise Damaged(f"it is {what}, and {_SUPPORTED}")
    for mark, packing in _PACKINGS.items():
        if head.startswith(mark):
            return TarReader(file, packing, encoding)
    if head.startswith(_TAR[1], _TAR[0]):
        return TarReader(file, "", encoding)
    return ZipReader(file, encoding)
