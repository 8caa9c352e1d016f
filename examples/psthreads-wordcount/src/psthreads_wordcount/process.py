"""The process word-count, and its check before a start."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Literal

from psthreads import Bounds, Context, Start, process
from psthreads.domain.errors import BadParameter, DocumentNotFound

_MOST_BYTES = 16 * 1024 * 1024
_WORD = re.compile(r"\w+")
_log = logging.getLogger(__name__)


@process(
    title="Counting words below {path} of group {group}",
    route="/members/{member}/groups/{group}/word-count",
    time_limit=3600,
    restartable=True,
    wrapper="word-count",
)
def word_count(
    context: Context,
    path: Annotated[str, "the document or folder to count"] = "/",
    top: Annotated[int, Bounds(1, 10_000), "how many words the list has"] = 100,
    case: Annotated[Literal["fold", "keep"], "whether upper and lower case differ"] = "fold",
) -> str:
    """Count the words of the documents below a path, and list the most frequent ones."""
    counts: Counter[str] = Counter()
    context.message(f"Counting words below {path}")
    with context.bar("progress", total=context.folder.count(path)) as bar:
        for document in bar.iter(context.folder.walk(path)):
            if document.size > _MOST_BYTES:
                context.warning(f"{document.path} is larger than {_MOST_BYTES:,} bytes: it was left out.")
                continue
            try:
                counts.update(_words(context.folder.read(document.path, _MOST_BYTES).decode(), case))
            except UnicodeDecodeError:
                context.warning(f"{document.path} is not UTF-8 text: it was left out.")
            except DocumentNotFound:
                context.warning(f"{document.path} is gone: it was left out.")
            else:
                _log.info("%s has been counted", document.path)
    rows = counts.most_common(top)
    with context.result("words.csv") as file, context.bar("processing", total=len(rows)) as bar:
        file.write(b"word,count\r\n")
        for word, count in bar.iter(rows):
            file.write(f"{word},{count}\r\n".encode())
    context.element("csv", file.filename)
    context.element("words", attributes={"total": str(counts.total()), "different": str(len(counts))})
    return f"Counted {counts.total():,} words, {len(counts):,} of them different"


@word_count.check
def _check_path(start: Start) -> None:
    """Refuse a path with nothing below it, before a thread is started."""
    folder, path = start.folder, str(start.values["path"])
    if folder is None or not folder.count(path):
        raise BadParameter("path", f"There is no document below '{path}': give the path of a document or a folder.")


def _words(text: str, case: str) -> Iterator[str]:
    for word in _WORD.findall(text):
        yield word.casefold() if case == "fold" else word
