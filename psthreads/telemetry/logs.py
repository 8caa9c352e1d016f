"""How the programs' own log lines are written: readable text, or one JSON object in each line, with secrets masked.

The log of a thread is another thing: it is stored in Redis. What a process's libraries log goes there.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from types import MappingProxyType
from typing import Final, TextIO

from psthreads.domain.config import JSON_LINES, Config
from psthreads.domain.masking import Masker
from psthreads.domain.model import clean

OURS: Final = "psthreads"
"""The logger above all of psthreads."""

_QUEUE: Final = "rq"
_bound: Final[ContextVar[Mapping[str, object]]] = ContextVar("bound", default=MappingProxyType({}))
_PLAIN: Final = re.compile(r"[^\s\"'=]+\Z")
_SHORT: Final = 128
_MOST: Final = 65_536  # characters of a line, tracebacks included


def install(config: Config, *, libraries: bool, stream: TextIO | None = None) -> None:
    """Write the lines of psthreads to standard output; with `libraries`, also the warnings of all other loggers.

    A worker leaves other loggers alone: what a process logs belongs to its thread.
    """
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(formatter(config))
    for name, level in ((OURS, logging.INFO), (_QUEUE, logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
    if libraries:
        logging.getLogger().handlers = [handler]


def formatter(config: Config) -> logging.Formatter:
    """Return what formats a record as the settings say."""
    return (_JSONFormatter if config.log_format == JSON_LINES else _TextFormatter)(Masker(config.mask))


def bind(**fields: object) -> None:
    """Add these fields, and none of an earlier call, to each line of this Python thread or greenlet from now on."""
    _bound.set(fields)


@cache
def release() -> str:
    """Return the version of psthreads that is installed."""
    return version("psthreads")


def note(logger: logging.Logger, message: str, level: int = logging.INFO, **fields: object) -> None:
    """Log a line with fields: as text they follow the message, as JSON each is a member of the object."""
    if logger.isEnabledFor(level):  # Without the place in the code, which takes as long to find as a line to write.
        logger.handle(logger.makeRecord(logger.name, level, "", 0, message, (), None, extra={"fields": fields}))


def _fields(record: logging.LogRecord) -> dict[str, object]:
    own: Mapping[str, object] = getattr(record, "fields", {})
    return {**_bound.get(), **own}


class _TextFormatter(logging.Formatter):
    """Writes a record as text. The fields stand behind its first line."""

    def __init__(self, mask: Masker) -> None:
        super().__init__()
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        """Return all that is written of the record."""
        first, *more = record.getMessage().rstrip("\n").split("\n")
        if fields := _fields(record):
            first += " | " + " ".join([f"{name}={_shown(value)}" for name, value in fields.items()])
        trace = record.exc_text or (self.formatException(record.exc_info) if record.exc_info else "")
        more += filter(None, (trace, record.stack_info))
        lines = "\n".join((f"{self.formatTime(record)} {record.name}: {first}", *more))
        return self._mask(lines[:_MOST])


class _JSONFormatter(logging.Formatter):
    """Writes a record as one line of JSON."""

    def __init__(self, mask: Masker) -> None:
        super().__init__()
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a JSON object in one line."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps({name: self._masked(value) for name, value in entry.items()}, ensure_ascii=False)

    def _masked(self, value: object) -> object:
        return value if isinstance(value, int | float) else self._mask(clean(value, _MOST))


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, str) and len(value) <= _SHORT and value.isascii() and value.isalnum():
        return value  # as most are
    text = clean(value)
    return text if _PLAIN.match(text) else json.dumps(text, ensure_ascii=False)
