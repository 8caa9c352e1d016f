"""What each call of the store makes of a content of Redis.

A call reads some keys, and what it does depends on nothing else: a script is a pure function of what it reads, its
arguments and the time, which stands still. So a call is made once for each combination of the values that it reads, in
the order in which it reads them, and from then on what it wrote and answered is looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import ResponseError

from proof.contents import START_TIME, Content, Contents
from proof.lua import MemoryClient
from proof.memory_values import Value, Values
from psthreads.database.scripts import SafeScript
from psthreads.domain.config import Config
from psthreads.domain.errors import Conflict
from psthreads.threads.scripts import ThreadScripts
from psthreads.threads.store import ThreadStore


class PlantedScripts(ThreadScripts):
    """The scripts with a fault, which `plant` puts into the text of each. Raises ValueError where it fits none."""

    def __init__(self, redis: Any, config: Config, plant: Callable[[str, str], str]) -> None:
        super().__init__(redis, config)
        texts = {name: plant(name, script.script) for name, script in self._scripts.items()}
        if all(texts[name] == script.script for name, script in self._scripts.items()):
            raise ValueError("No script has this fault")
        self._scripts = {name: SafeScript(redis, text) for name, text in texts.items()}


@dataclass(slots=True)
class _Read:
    """The next key that a call reads, by its position, and how the call goes on with each of its values."""

    position: int
    following: dict[str, _Read | _Effect] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Effect:
    """The keys that a call has written, by positions, and its answer."""

    written: tuple[tuple[int, str], ...]
    answer: Any


class Stores:
    """The store on each content."""

    def __init__(self, config: Config, ids: tuple[str, ...], plant: Callable[[str, str], str] | None) -> None:
        self._client = MemoryClient(START_TIME)
        redis: Any = self._client  # what the store needs of a connection
        scripts = ThreadScripts(redis, config) if plant is None else PlantedScripts(redis, config, plant)
        self._store = ThreadStore(redis, config, scripts)
        self.contents = Contents(ids)
        self._calls: dict[Hashable, _Read | _Effect] = {}
        self.made = 0
        """The number of calls that were made, and not looked up."""

    def __getitem__(self, number: int) -> Content:
        return self.contents[number]

    def value(self, number: int, key: str) -> Value | None:
        """Return the value of a key in this content, None where there is none."""
        return self.contents.value(self.contents[number].text, key)

    def call(
        self, number: int, name: Hashable, call: Callable[[ThreadStore, MemoryClient], Any], later: int = 0
    ) -> tuple[int, Any]:
        """Return the content after this call, `later` milliseconds after the usual time, and the answer.

        The name tells one call from another. A Conflict is an answer.
        """
        text = self.contents[number].text
        step = self._calls.get((name, later))
        while step.__class__ is _Read:
            step = step.following.get(text[step.position])
        effect: _Effect = step or self._make(text, (name, later), call)  # type: ignore[assignment] # or an effect
        if not effect.written:
            return number, effect.answer
        characters = list(text)
        for position, character in effect.written:
            characters[position] = character
        return self.contents.number("".join(characters)), effect.answer

    def _make(self, text: str, name: tuple[Hashable, int], call: Callable[[ThreadStore, MemoryClient], Any]) -> _Effect:
        """Make a call, and note what it has read and written."""
        self.made += 1
        redis, contents = self._client.redis, self.contents
        items = list(contents.items(text))
        redis.values = Values((key, value) for key, value, _ in items)
        redis.expiring = frozenset(key for key, _, is_expiring in items if is_expiring)
        redis.now = START_TIME + name[1]
        answer: Any
        try:
            answer = call(self._store, self._client)
        except Conflict as error:
            answer = error
        except ResponseError as error:
            deed = name[0][0] if isinstance(name[0], tuple) else name[0]
            raise ResponseError(f"a script fails half-way ('{deed}'): {error}") from error
        touched = list(redis.values.touched)
        positions = [(key, position) for key in touched if (position := contents.position(key)) is not None]
        written = []
        for key, position in positions:
            character = contents.character(position, redis.values.get(key), is_expiring=key in redis.expiring)
            if character != text[position]:
                written.append((position, character))
        effect = _Effect(tuple(written), answer)
        self._note(text, name, [position for _, position in positions], effect)
        return effect

    def _note(self, text: str, name: Hashable, positions: list[int], effect: _Effect) -> None:
        if not positions:
            self._calls[name] = effect
            return
        step = self._calls.setdefault(name, _Read(positions[0]))
        for position, following in zip(positions, [*positions[1:], -1], strict=True):
            if not isinstance(step, _Read) or step.position != position:
                raise RuntimeError(f"{name} has read something else before than now, of the same values")
            step = step.following.setdefault(text[position], effect if following < 0 else _Read(following))
