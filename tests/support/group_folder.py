"""What the tests of a group's folder look at it with."""

from __future__ import annotations

from pathlib import Path

from psthreads.documents.layout import GroupFolder

SECRET = b"outside the group's folder"


def read(folder: GroupFolder, path: str) -> bytes:
    with folder.open(path) as file:
        return file.read()


def names(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


def paths(folder: GroupFolder, path: str = "") -> list[str]:
    return [document.path for document in folder.walk(path)]
