"""The store's record for a worker, which forks horses: the client of the store does not survive a fork.

So a worker asks in a child that ends with the answer. It asks when it starts, and before it forks a horse.
"""

from __future__ import annotations

import json
import os
from dataclasses import astuple
from typing import Any, NoReturn

from psthreads.documents.objects.client import ObjectStore
from psthreads.documents.objects.object_marker import ObjectMarker
from psthreads.documents.storage import StoreRecord


class MarkerApart:
    """The store's record, read and written by a child for each question; see `StorageMarker`."""

    def __init__(self, url: str, endpoint: str) -> None:
        self.place = f"object store {url}"
        self._url = url
        self._endpoint = endpoint

    def read(self) -> StoreRecord | None:
        """Do as StorageMarker."""
        fields = self._ask("read")
        return None if fields is None else StoreRecord(*fields)

    def is_of(self, installation: str) -> bool:
        """Do as StorageMarker."""
        return bool(self._ask("is_of", installation))

    def create(self) -> None:
        """Do as StorageMarker."""
        self._ask("create")

    def replace(self, installation: str) -> None:
        """Do as StorageMarker."""
        self._ask("replace", installation)

    def note_ticks(self, ticks: int, claims: int = 0) -> None:
        """Do as StorageMarker."""
        self._ask("note_ticks", ticks, claims)

    def has_files(self) -> bool:
        """Do as StorageMarker."""
        return bool(self._ask("has_files"))

    def highest(self, kind: str) -> int:
        """Do as StorageMarker."""
        return int(self._ask("highest", kind))

    def note_id(self, kind: str, number: int) -> None:
        """Do as StorageMarker."""
        self._ask("note_id", kind, number)

    def note_ids_of_folders(self) -> None:
        """Do as StorageMarker."""
        self._ask("note_ids_of_folders")

    def _ask(self, method: str, *arguments: str | int) -> Any:
        """Return what the method of an ObjectMarker returns in a child. Raises OSError."""
        answers, child_answers = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._answer(child_answers, method, arguments)
        os.close(child_answers)
        with os.fdopen(answers, "rb") as file:
            data = file.read()
        os.waitpid(pid, 0)
        value, reason = json.loads(data) if data else (None, "its client crashed")
        if reason:
            raise OSError(5, reason)
        return value

    def _answer(self, answers: int, method: str, arguments: tuple[str | int, ...]) -> NoReturn:
        code = 1
        try:
            try:
                value = getattr(ObjectMarker(ObjectStore(self._url, self._endpoint)), method)(*arguments)
                answer = (astuple(value) if isinstance(value, StoreRecord) else value, "")
            except OSError as error:
                answer = (None, error.strerror or str(error))
            os.write(answers, json.dumps(answer).encode())
            code = 0
        finally:
            os._exit(code)
