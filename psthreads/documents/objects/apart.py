"""The store's marker for a worker, which forks horses: the client of the store does not survive a fork.

So a worker asks in a child that ends with the answer. It asks when it starts, and before it forks a horse.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import astuple
from typing import Concatenate, NoReturn, ParamSpec, TypeVar, cast

from psthreads.documents.marker import Marker, StoreRecord
from psthreads.documents.objects.client import ObjectStore
from psthreads.documents.objects.records import ObjectRecords

P = ParamSpec("P")
R = TypeVar("R")


def _apart(method: Callable[Concatenate[Marker, P], R]) -> Callable[Concatenate[Marker, P], R]:
    """Return a method that does the same in a child, and raises the OSError that it raises there."""

    def ask(marker: Marker, /, *args: P.args, **kwargs: P.kwargs) -> R:
        answers, child_answers = os.pipe()
        pid = os.fork()
        if pid == 0:
            # Of a marker that makes all of its requests here: what a method calls must not be asked apart again.
            _answer(child_answers, lambda: method(Marker(marker.records), *args, **kwargs))
        os.close(child_answers)
        with os.fdopen(answers, "rb") as file:
            data = file.read()
        os.waitpid(pid, 0)
        value, reason = json.loads(data) if data else (None, "its client crashed")
        if reason:
            raise OSError(5, reason)
        return cast("R", StoreRecord(*value) if isinstance(value, list) else value)

    return ask


def _answer(answers: int, work: Callable[[], object]) -> NoReturn:
    code = 1
    try:
        try:
            value = work()
            answer = (astuple(value) if isinstance(value, StoreRecord) else value, "")
        except OSError as error:
            answer = (None, error.strerror or str(error))
        os.write(answers, json.dumps(answer).encode())
        code = 0
    finally:
        os._exit(code)


class MarkerApart(Marker):
    """The marker in an object store, read and written by a child for each question."""

    def __init__(self, url: str, endpoint: str) -> None:
        super().__init__(ObjectRecords(ObjectStore(url, endpoint)))  # The client begins in the child.

    read = _apart(Marker.read)
    is_of = _apart(Marker.is_of)
    create = _apart(Marker.create)
    replace = _apart(Marker.replace)
    note_ticks = _apart(Marker.note_ticks)
    has_files = _apart(Marker.has_files)
    highest = _apart(Marker.highest)
    note_id = _apart(Marker.note_id)
    note_ids_of_folders = _apart(Marker.note_ids_of_folders)
