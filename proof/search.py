"""The search: visits every state that can be reached, the nearest first, and checks each step."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from redis.exceptions import ResponseError

from proof.adversary import Adversary
from proof.configuration import Configuration
from proof.faults import Fault
from proof.rules import GROUP, Rules, residue
from proof.state import State, canonical
from psthreads.domain.model import SERVER_WIDE, Status
from psthreads.proving.rules import Violation

_MOST_STATES: Final = 20_000_000


@dataclass(slots=True)
class Result:
    """The result of a search. `story` is the shortest way to what is wrong, a sentence for each step."""

    name: str
    states: int = 0
    steps: int = 0
    depth: int = 0
    ends: int = 0
    stuck: int = 0
    seconds: float = 0.0
    violation: str = ""
    story: list[str] = field(default_factory=list)

    @property
    def is_proved(self) -> bool:
        """True where every rule holds, and a clean end can be reached from everywhere."""
        return not self.violation and not self.stuck


def search(configuration: Configuration, fault: Fault | None = None) -> Result:
    """Search a configuration, with a fault planted or without."""
    return Search(configuration, fault).run()


class Search:
    """One search of one configuration."""

    def __init__(self, configuration: Configuration, fault: Fault | None = None) -> None:
        self._adversary = Adversary(configuration, fault.plant if fault else None)
        groups = tuple(SERVER_WIDE if kind.server_wide else GROUP for kind in configuration.threads)
        self._rules = Rules(self._adversary.ids, groups, configuration.share, configuration.restarts)
        self._numbers: dict[Any, int] = {}
        self._origins: list[tuple[int, str]] = []
        self._before: list[list[int]] = []
        self._goals: list[int] = []
        self._lists: set[Any] = set()
        self._result = Result(configuration.name)
        self._words = ""

    def run(self, progress: Callable[[Result], None] = lambda _: None) -> Result:
        """Visit every state, and return what was seen; end at the first broken rule."""
        begun = time.monotonic()
        result, first = self._result, self._adversary.first()
        states = deque([(self._number(first, -1, ""), first, 0)])
        while states:
            number, state, depth = states.popleft()
            result.depth = depth
            if number % 20_000 == 0:
                result.seconds = time.monotonic() - begun
                progress(result)
            if self._is_end(state):
                self._goals.append(number)
            self._words = ""
            try:
                states.extend((*new, depth + 1) for new in self._visit(number, state))
            except (Violation, ResponseError) as violation:  # A script that fails has changed half of a thread.
                result.violation = str(violation).partition("\n")[0]
                result.story = [*self._story(number), *([self._words] if self._words else [])]
                break
            if len(self._numbers) > _MOST_STATES:
                raise RuntimeError(f"More than {_MOST_STATES:,} states")
        result.states, result.ends = len(self._numbers), len(self._goals)
        if not result.violation:
            self._find_stuck()
        result.seconds = time.monotonic() - begun
        return result

    def _visit(self, number: int, state: State) -> Iterator[tuple[int, State]]:
        """Check a state and each step from it; return the new states that they lead to. Raises Violation."""
        stores = self._adversary.stores
        content = stores[state.redis]
        self._rules.check_state(state, content)
        self._check_lists(state)
        for move in self._adversary.moves(state):
            self._result.steps += 1
            self._words = move.words
            if move.state.redis != state.redis:
                self._rules.check_step(content, stores[move.state.redis], move.state)
            following = self._numbers.get(self._key(move.state))
            if following is None:
                following = self._number(move.state, number, move.words)
                yield following, move.state
            if move.is_benign:
                self._before[following].append(number)
            self._words = ""

    def _key(self, state: State) -> Any:
        return hash(canonical(state, self._adversary.stores[state.redis]))

    def _number(self, state: State, origin: int, words: str) -> int:
        number = self._numbers[self._key(state)] = len(self._numbers)
        self._origins.append((origin, words))
        self._before.append([])
        return number

    def _is_end(self, state: State) -> bool:
        """Return whether all threads have ended, and nothing of them is left."""
        content = self._adversary.stores[state.redis]
        for record, fate in zip(content.records, state.fates, strict=True):
            if fate.life == "new" or (record is not None and not Status(record.status).is_final):
                return False
        is_quiet = all(worker.phase == "idle" for worker in state.workers) and not state.late
        return is_quiet and not residue(content.values, self._adversary.queue, self._adversary.taken, GROUP)

    def _check_lists(self, state: State) -> None:
        """Read every list, unless that was done for what is alike."""
        content = self._adversary.stores[state.redis]
        key = (content.alike, state.fates)
        if key not in self._lists:
            self._lists.add(key)
            self._rules.check_lists(state, content, lambda kind, group_id: self._adversary.page(state, kind, group_id))

    def _find_stuck(self) -> None:
        """Count the states from which no benign way leads to a clean end."""
        reached = set(self._goals)
        todo = list(self._goals)
        while todo:
            for number in self._before[todo.pop()]:
                if number not in reached:
                    reached.add(number)
                    todo.append(number)
        stuck = [number for number in range(len(self._numbers)) if number not in reached]
        self._result.stuck = len(stuck)
        if stuck:
            self._result.violation = "no way leads from here to a clean end"
            self._result.story = self._story(stuck[0])

    def _story(self, number: int) -> list[str]:
        sentences = []
        while number:
            number, words = self._origins[number]
            sentences.append(words)
        return sentences[::-1]
