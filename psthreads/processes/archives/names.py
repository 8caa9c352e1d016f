"""Names in archives: in which encoding they are, and which of them no one means to pack.

An archive says little about its names. The ones that are UTF-8 by a mark of the entry, or by Info-ZIP's field "Unicode
Path" that fits the name, are certain. All others are bytes in the encoding of the system that wrote them.
"""

from __future__ import annotations

import re
import struct
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby, islice, pairwise
from typing import Final, Literal

from psthreads.documents.paths import printable

Encoding = Literal[
    "guess", "utf-8", "cp437", "cp850", "cp852", "cp866", "cp932", "cp936", "gbk", "cp949", "cp950", "cp1251", "cp1252"
]
"""The values of the parameter `encoding`."""

GUESS: Final = "guess"
_FALLBACK: Final = "cp437"
_GUESSED: Final = ("cp437", "cp850", "cp866", "cp932", "gbk", "cp1252")
"""The encodings to choose from, in the order in which they win a draw."""

_SAMPLE: Final = 2_000  # names that a guess looks at

_CLUTTER: Final = re.compile(
    r"(?:\A|/)(?:__MACOSX(?:/|\Z)|\._[^/]*\Z|\.DS_Store\Z|(?i:thumbs\.db|desktop\.ini)\Z)",
)

_NOT_WINDOWS: Final = re.compile(
    r'[<>:"|?*\\]|[. ](?:/|\Z)|(?:\A|/)(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:[./]|\Z)',
    re.IGNORECASE,
)
"""A sign, an end of a name, or a device's name, which none of its files may have."""

_FIELD: Final = struct.Struct("<HH")
_UNICODE_PATH: Final = 0x7075
_CHECKED: Final = struct.Struct("<BL")

# The first bytes of the characters that people write: kana and the first level of kanji; the first level of hanzi.
_COMMON: Final = {"cp932": range(0x81, 0x99), "gbk": range(0xB0, 0xD8)}
_ASCII, _CYRILLIC, _EAST_ASIAN = "ASCII", "CYRILLIC", "EAST ASIAN"
_WORD: Final = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class PackedName:
    """A name's bytes, and the name itself where the archive says for certain what they mean."""

    raw: bytes
    certain: str | None = None

    @property
    def is_certain(self) -> bool:
        """True where every encoding gives the same name."""
        return self.certain is not None or self.raw.isascii()


@dataclass(frozen=True, slots=True)
class DecodedNames:
    """The names, each with the reason against it or "", and a sentence on the encoding if that was guessed."""

    names: list[tuple[str, str]]
    guess: str


def is_clutter(name: str) -> bool:
    """Tell whether a name is of a file that macOS or Windows keeps for itself beside the documents."""
    return _CLUTTER.search(name) is not None


def suits_windows(path: str) -> bool:
    """Tell whether Windows can have a file with this path, and unpack it under this name."""
    return not _NOT_WINDOWS.search(path)


def fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the kind and the content of each extra field of an entry of a zip file."""
    while len(extra) >= _FIELD.size:
        kind, size = _FIELD.unpack_from(extra)
        yield kind, extra[_FIELD.size : _FIELD.size + size]
        extra = extra[_FIELD.size + size :]


def unicode_path(raw: bytes, extra: bytes) -> str | None:
    """Return the name in an entry's field "Unicode Path"; None without one, or with one of another name."""
    for kind, field in fields(extra):
        if kind == _UNICODE_PATH and len(field) > _CHECKED.size:
            version, checksum = _CHECKED.unpack_from(field)
            # A program that renames an entry, and does not know the field, leaves the old name in it.
            if version == 1 and checksum == zlib.crc32(raw):
                with suppress(UnicodeDecodeError):
                    return field[_CHECKED.size :].decode()
    return None


def read(packed: Sequence[PackedName], encoding: str) -> DecodedNames:
    """Decode the names in the encoding, or in the one that GUESS finds."""
    used = guess(name.raw for name in packed if name.certain is None) if encoding == GUESS else encoding
    names = [_decoded(name, used) for name in packed]
    sentence = ""
    if encoding == GUESS and used != "utf-8":
        doubtful = (text for name, (text, _) in zip(packed, names, strict=True) if not name.is_certain)
        sentence = (
            f"names that do not say their encoding are read as {used}, such as '{printable(next(doubtful))}': "
            "if that is wrong, upload the archive again and unpack it with the right encoding"
        )
    return DecodedNames(names, sentence)


def _decoded(name: PackedName, encoding: str) -> tuple[str, str]:
    if name.certain is not None:
        return name.certain, ""
    try:
        return name.raw.decode(encoding), ""
    except UnicodeDecodeError:
        return name.raw.decode(encoding, "replace"), f"its name is not in {encoding}: unpack it with another encoding"


def guess(names: Iterable[bytes]) -> str:
    """Return the encoding in which these names look most like words; "utf-8" where all of them are."""
    sample = list(islice((name for name in names if not name.isascii()), _SAMPLE))
    if all(map(_is_utf_8, sample)):
        return "utf-8"
    scores = {encoding: sum(_score(name, encoding) for name in sample) for encoding in _GUESSED}
    best = max(scores, key=lambda encoding: scores[encoding])  # The first of those with the same score.
    return best if scores[best] > float("-inf") else _FALLBACK


def _is_utf_8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _score(raw: bytes, encoding: str) -> float:
    """Return how many of a name's bytes beyond ASCII are of characters that stand in words, less those that are not."""
    try:
        name = raw.decode(encoding)
    except UnicodeDecodeError:
        return float("-inf")
    score = -sum(not (c.isascii() or c.isalpha() or _is_punctuation(c)) for c in name)
    for word in _WORD.findall(name):
        runs = [(script, len(list(run))) for script, run in groupby(word, lambda c: _script(c, encoding))]
        scripts = {script for script, _ in runs}
        is_word = len(scripts - {_ASCII}) == 1 and (_CYRILLIC not in scripts or _is_cyrillic(word, scripts))
        # Where a small letter and a capital with an accent meet, it was another letter.
        is_word = is_word and not any(a.islower() and b.isupper() and not b.isascii() for a, b in pairwise(word))
        for script, count in runs:
            # Between ASCII letters stands one with an accent, but hardly ever one of Chinese or Japanese.
            is_likely = is_word and script and not (script == _EAST_ASIAN and count == 1 and _ASCII in scripts)
            size = 2 if encoding in _COMMON else 1
            score += 0 if script == _ASCII else count * size if is_likely else -count * size
    return score


def _is_cyrillic(word: str, scripts: set[str]) -> bool:
    """Tell whether a word has no other letters, and capitals where words have them."""
    return _ASCII not in scripts and (word.isupper() or word[1:].islower() or len(word) == 1)


def _script(character: str, encoding: str) -> str:
    """Return the script of a letter; empty for one that names hardly ever have."""
    if character.isascii():
        return _ASCII
    name = unicodedata.name(character, "").partition(" ")[0]
    if encoding in _COMMON:
        is_common = character.encode(encoding)[0] in _COMMON[encoding] and name not in {"FULLWIDTH", "HALFWIDTH"}
        return _EAST_ASIAN if is_common else ""
    return name if name in {"LATIN", _CYRILLIC} else ""


def _is_punctuation(character: str) -> bool:
    """Tell whether it is of East Asian typography, or one of the few signs that names have."""
    return "\u3000" <= character <= "\u303f" or "\uff01" <= character <= "\uff60" or character in "№«»·°"
