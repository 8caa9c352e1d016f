"""Requests that record which of their parameters are read."""

from __future__ import annotations

from typing import Any

from flask import Request
from werkzeug.datastructures import ImmutableMultiDict


class Recording(ImmutableMultiDict[str, str]):
    """Parameters that record the names under which they are read."""

    names: set[str] = set()  # noqa: RUF012 (shared on purpose: requests come and go)

    def __contains__(self, key: object) -> bool:
        self.names.add(str(key))
        return super().__contains__(key)

    def __getitem__(self, key: str) -> str:
        self.names.add(key)
        return super().__getitem__(key)

    def getlist(self, key: str, *arguments: Any, **options: Any) -> Any:
        """The values of a parameter."""
        self.names.add(key)
        return super().getlist(key, *arguments, **options)


class RecordingRequest(Request):
    parameter_storage_class = Recording
