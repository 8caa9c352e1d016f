"""Zip files of all kinds, most of them hostile, for the tests of unpacking."""

from __future__ import annotations

import io
import random
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from psthreads.processes.archives import entries as _entries


def pack(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return file.getvalue()


def entry(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("x")
    info.filename = name
    info.external_attr = mode << 16
    return info


def many(count: int) -> bytes:
    return pack(*((f"docs/{number:04}.xml", b"<doc>" + b"text " * number + b"</doc>") for number in range(count)))


def central(data: bytes) -> int:
    """Where the list of entries starts."""
    return int.from_bytes(data[-6:-2], "little")


def with_bytes(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def renamed(old: bytes, new: bytes, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    assert len(old) == len(new)
    data = pack(*entries)
    assert data.count(old) == 2
    return data.replace(old, new)


def with_names(
    *names: bytes, system: int = 3, extra: bytes = b"", date: tuple[int, ...] = (2020, 1, 2, 3, 4, 6)
) -> bytes:
    """Files with these bytes as their names, that do not say in which encoding these are. Each contains its number."""
    entries = []
    for number, name in enumerate(names):
        info = zipfile.ZipInfo(chr(ord("A") + number) * len(name), date)  # type: ignore[arg-type]
        info.create_system, info.extra = system, extra
        entries.append((info, b"%d" % number))
    data = pack(*entries, method=zipfile.ZIP_STORED)
    for number, name in enumerate(names):
        placeholder = bytes([ord("A") + number]) * len(name)
        assert data.count(placeholder) == 2
        data = data.replace(placeholder, name)
    return data


def tar(*members: tuple[str | tarfile.TarInfo, bytes], mode: str = "w", **options: Any) -> bytes:
    """A tar archive, packed as the mode says."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, **options) as archive:  # type: ignore[call-overload]
        for name, content in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = info.size or len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def encrypted() -> bytes:
    data = pack(("secret.xml", b"<a/>"))
    at = central(data)
    return with_bytes(with_bytes(data, 6, b"\x01"), at + 8, b"\x01")


def overlapping() -> bytes:
    """Two entries whose places in the archive are the same."""
    data = pack(("a.xml", b"<a/>" * 100), ("b.xml", b"<b/>" * 100))
    second = data.index(b"PK\x01\x02", central(data) + 1)
    return with_bytes(data, second + 42, struct.pack("<L", 0))


def quine_of_one_kernel() -> bytes:
    """Many entries that share one packed part, as in a zip bomb without recursion: each lies within the next."""
    kernel = zlib.compress(b"\0" * 50_000)[2:-4]
    headers, listed, body = [], b"", b""
    for number in range(3):
        name = b"%d.xml" % number
        sizes = struct.pack("<3L2H", zlib.crc32(b"\0" * 50_000), len(kernel), 50_000, len(name), 0)
        headers.append((b"PK\x03\x04" + struct.pack("<5H", 20, 0, 8, 0, 33) + sizes + name, name, sizes))
    for header, name, sizes in headers:
        listed += b"PK\x01\x02" + struct.pack("<6H", 20, 20, 0, 8, 0, 33) + sizes
        listed += struct.pack("<3H2L", 0, 0, 0, 0, len(body)) + name
        body += header
    body += kernel
    end = b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 3, 3, len(listed), len(body), 0)
    return body + listed + end


def bomb() -> bytes:
    return pack(("bomb.xml", b"\0" * (_entries.ALWAYS_FINE + 1)))


def damaged() -> bytes:
    content = random.Random(1).randbytes(20_000)  # noqa: S311 (no secret)
    data = pack(("good.xml", b"<a/>"), ("bad.bin", content), method=zipfile.ZIP_STORED)
    at = data.index(content) + 10_000
    return with_bytes(data, at, bytes([data[at] ^ 1]))


def liar() -> bytes:
    """An entry that holds more than it says, in both of its headers."""
    data = pack(("a.xml", b"<a/>" * 100))
    for at in (22, central(data) + 24):
        data = with_bytes(data, at, struct.pack("<L", 10))
    return data


def other_method() -> bytes:
    return pack(("a.xml", b"<a/>" * 100), method=zipfile.ZIP_LZMA)


def not_utf_8() -> bytes:
    return renamed("é".encode(), b"\xff\xfe", ("é.xml", b"<a/>"))


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "zip-slip": (lambda: pack(("../../../../tmp/evil.xml", b"x")), "'../../../../tmp/evil.xml' .* would leave"),
    "zip-slip inside": (lambda: pack(("a/../../b.xml", b"x")), r"'a/\.\./\.\./b\.xml' .* would leave"),
    "absolute": (lambda: pack(("/etc/passwd", b"x")), "'/etc/passwd' .*: its name is absolute"),
    "drive": (lambda: pack(("C:/a.xml", b"x")), "'C:/a.xml' .*: its name is absolute"),
    "backslash": (lambda: pack((entry("..\\a.xml", 0), b"x")), "a backslash, a control character"),
    "control character": (lambda: pack((entry("a\nb.xml", 0), b"x")), "a backslash, a control character"),
    "zero byte": (lambda: renamed(b"a_b.xml", b"a\0b.xml", ("a_b.xml", b"x")), "a backslash, a control character"),
    "symlink": (
        lambda: pack((entry("link", stat.S_IFLNK | 0o777), b"/etc/passwd")),
        "'link' .*: it is a symbolic link",
    ),
    "device": (
        lambda: pack((entry("null", stat.S_IFCHR | 0o666), b"")),
        "'null' .*: it is neither a file nor a folder",
    ),
    "duplicate": (lambda: renamed(b"b.xml", b"a.xml", ("a.xml", b"1"), ("b.xml", b"2")), "'a.xml' .*: another entry"),
    "duplicate in effect": (lambda: pack(("a/b", b"1"), ("a/./b", b"2")), r"'a/\./b' .*: another entry has the same"),
    "file and folder": (lambda: pack(("a", b"1"), ("a/b", b"2")), "'a' .*: other entries use it as a folder"),
    "folder and file": (lambda: pack(("a/", b""), ("a", b"2")), "'a' .*: other entries use it as a folder"),
    "long name": (lambda: pack(("n" * 256, b"x")), "longer than 255 bytes"),
    "long path": (lambda: pack(("a/" * 2_100 + "b", b"x")), "longer than 4,096 characters"),
    "hidden": (lambda: pack((".psthreads-1/a.xml", b"x")), "names that start with '.psthreads-'"),
    "no name": (lambda: pack((entry(".", 0), b"x")), "it has no name"),
    "folder with content": (lambda: pack(("b", b""), (entry("a/", 0), b"x")), "is a folder, and yet has"),
    "itself": (lambda: pack(("in.zip", b"x")), "'in.zip' .*: it has the name of the archive itself"),
    "encrypted": (encrypted, "'secret.xml' .*: it is encrypted: pack it without a password"),
    "method": (other_method, "'a.xml' .*: it is packed by method 14, and only deflate is supported"),
    "overlap": (overlapping, "'b.xml' .*: it lies within entry 'a.xml'"),
    "overlap of many": (quine_of_one_kernel, "'1.xml' .*: it lies within entry '0.xml'"),
    "ratio": (bomb, "unpacks to more than 200 times its size"),
    "not UTF-8": (not_utf_8, "the name of entry '.*' is marked as UTF-8 and is not"),
    "damaged": (damaged, "'bad.bin' .*: its content is damaged"),
    "liar": (liar, "'a.xml' .*: its content is damaged"),
    "truncated": (lambda: many(20)[:-300], "it is not a zip file, or only a part of one"),
    "truncated in front": (lambda: many(20)[500:], "its place in the archive|its content|only a part of one"),
    "no zip": (lambda: b"<html>" * 100, "it is not a zip file, or only a part of one"),
    "nothing": (lambda: b"", "it is not a zip file, or only a part of one"),
    "empty": (pack, "there is no file in it"),
}
