"""Judges every atomic step that the storm's Redis has made, by its append-only file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from chaos.counting import Breach
from psthreads.domain.config import Config
from psthreads.proving.append_only_file import parts
from psthreads.proving.judge import Judge


class Steps:
    """The steps of the Redis in this folder, which has ended."""

    def __init__(self, folder: Path, config: Config) -> None:
        self._files = parts(folder)
        limits = {"group_threads": config.group_threads, "group_changes": config.group_changes}
        self._judge = Judge(config.queue, 0, **limits)

    def breaches(self) -> Iterator[Breach]:
        """Return every step after which a rule is broken."""
        for step in self._judge.run(self._files):
            yield Breach("broken steps", step.thread_id, str(step))

    def figures(self) -> dict[str, float]:
        """Return how many steps were judged, and of how many bytes."""
        return {
            "atomic steps": self._judge.steps,
            "their MB": round(sum(file.stat().st_size for file in self._files.files) / 1e6, 1),
        }
