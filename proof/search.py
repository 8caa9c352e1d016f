"""The search: visits every state that can be reached, the nearest first, and checks each step."""

from __future__ import annotations

import resource
import sys
import time
from array import array
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final

from redis.exceptions import ResponseError

from proof.actor import Move
from proof.adversary import Adversary
from proof.budgets import Budgets, Price
from proof.configuration import Configuration
from proof.faults import Fault
from proof.rules import GROUP, Rules, residue
from proof.state import State, digest
from psthreads.domain.model import SERVER_WIDE
from psthreads.proving.rules import Violation

_MOST_SITUATIONS: Final = 5_000_000
_BENIGN: Final = 1
_COSTS: Final = 10  # bits of an edge: the number of its price, and whether it is benign
_KIB: Final = 1024


@dataclass(slots=True)
class Result:
    """The result of a search. `story` is the shortest way to what is wrong, a sentence for each step.

    A situation is a state without what may still go wrong, and `worked_out` counts the steps from situations: each was
    made, and checked, once for all the states and `steps` that it stands for. `calls` of the store were made for that.
    """

    name: str
    states: int = 0
    steps: int = 0
    situations: int = 0
    worked_out: int = 0
    calls: int = 0
    depth: int = 0
    ends: int = 0
    stuck: int = 0
    seconds: float = 0.0
    megabytes: int = 0
    violation: str = ""
    story: list[str] = field(default_factory=list)

    @property
    def is_proved(self) -> bool:
        """True where every rule holds, and a clean end can be reached from everywhere."""
        return not self.violation and not self.stuck


def search(
    configuration: Configuration, fault: Fault | None = None, progress: Callable[[Result], None] = lambda _: None
) -> Result:
    """Search a configuration, with a fault planted or without. `progress` is called now and then."""
    result = Search(configuration, fault, remembers=fault is not None).run(progress)
    if result.is_proved or fault is not None:
        return result
    return Search(configuration, fault, remembers=True).run(progress)  # Now for the story, which takes memory.


class Search:
    """One search of one configuration. One that `remembers` can tell how it came to a state."""

    def __init__(self, configuration: Configuration, fault: Fault | None = None, *, remembers: bool = True) -> None:
        self._adversary = Adversary(configuration, fault.plant if fault else None)
        self._stores = self._adversary.stores
        groups = tuple(SERVER_WIDE if kind.server_wide else GROUP for kind in configuration.threads)
        self._rules = Rules(self._stores.contents, self._adversary.ids, groups, configuration)
        self._budgets = Budgets(configuration)
        self._numbers: dict[bytes, int] = {}
        # Of each situation: a state in it, the budgets with which it was reached, what may go wrong in the steps that
        # were worked out, and these; then whether all has ended in it.
        self._states: list[State | None] = []
        self._reached: list[int] = []
        self._explored: list[int] = []
        self._steps: list[array[int]] = []
        self._is_end = bytearray()
        self._costs: list[int] = []
        self._prices: list[Price] = []
        self._once: dict[Hashable, Hashable] = {}
        self._checked: set[tuple[int, bool]] = set()
        self._remembers = remembers
        self._words: list[list[str]] = []
        self._last_words = ""
        self._arrivals: list[list[tuple[int, int, int]]] = []
        self._result = Result(configuration.name)
        self._progress: Callable[[Result], None] = lambda _: None
        self._begun = time.monotonic()

    def run(self, progress: Callable[[Result], None] = lambda _: None) -> Result:
        """Visit every state, and return what was seen; end at the first broken rule."""
        result, self._progress = self._result, progress
        first = self._number(self._adversary.first())
        layer = {first: self._budgets.first}
        self._reached[first] = self._budgets.first
        while layer:
            layer = self._visit(layer)
            result.depth += bool(layer)
            if result.violation:
                break
        result.ends = sum(self._is_end)
        if not result.violation:
            self._find_stuck()
        self._note()
        return result

    def _note(self) -> None:
        result = self._result
        result.calls, result.situations = self._stores.made, len(self._numbers)
        result.states = sum(reached.bit_count() for reached in self._reached)
        result.seconds = time.monotonic() - self._begun
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (_KIB if sys.platform == "linux" else 1)
        result.megabytes = used // 1_000_000

    def _visit(self, layer: dict[int, int]) -> dict[int, int]:
        """Make every step from the states of a layer, and return the next layer: new budgets by their situations."""
        following: dict[int, int] = {}
        reached, result = self._reached, self._result
        for number, budgets in layer.items():
            kinds = self._budgets.affordable(budgets)
            if kinds & ~self._explored[number] or self._explored[number] < 0:
                try:
                    self._explore(number, kinds)
                except (Violation, ResponseError) as violation:  # A script that fails has changed half of a thread.
                    result.violation = str(violation).partition("\n")[0]
                    result.story = self._story(number, budgets, self._last_words)
                    return {}
            for position, step in enumerate(self._steps[number]):
                payers, shift = self._prices[step >> 1 & (1 << _COSTS) - 1]
                new = budgets & payers
                if new:
                    result.steps += new.bit_count()
                    target = step >> _COSTS + 1
                    new = new >> shift & ~reached[target]
                    if new:
                        reached[target] |= new
                        following[target] = following.get(target, 0) | new
                        if self._remembers:
                            self._arrivals[target].append((new, number, position))
        return following

    def _explore(self, number: int, kinds: int) -> None:
        """Check a situation, and work out the steps from it that cost no more than these kinds. Raises Violation."""
        explored, state = self._explored[number], self._states[number]
        if state is None:
            raise RuntimeError("A situation has been left for good, and is needed")
        content, stores = self._stores[state.redis], self._stores
        self._last_words = ""
        if explored < 0:
            self._rules.check_state(state, content)
            self._is_end[number] = self._has_ended(state)
            explored = 0
            if not number % 20_000:
                self._note()
                self._progress(self._result)
        kinds |= explored
        state = state._replace(budget=kinds)
        for move in self._adversary.moves(state):
            cost = kinds & ~move.state.budget
            if explored and not cost & ~explored:
                continue  # It is there already.
            self._last_words = move.words
            self._result.worked_out += 1
            if move.state.redis != state.redis:
                after = stores[move.state.redis]
                self._rules.check_step(content, after, move.state)
                self._check_content(move.state)
            self._add(number, move, cost)
            self._last_words = ""
        self._explored[number] = kinds

    def _add(self, number: int, move: Move, cost: int) -> None:
        if cost and move.is_benign:
            raise RuntimeError(f"What nobody needs to do, costs: {move.words}")
        if cost not in self._costs:
            self._costs.append(cost)
            self._prices.append(self._budgets.price(cost))
        step = self._number(move.state) << _COSTS | self._costs.index(cost)
        self._steps[number].append(step << 1 | move.is_benign)
        if self._remembers:
            self._words[number].append(move.words)

    def _number(self, state: State) -> int:
        key = digest(state, self._stores[state.redis])
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._numbers)
            if number == _MOST_SITUATIONS:
                raise RuntimeError(f"More than {_MOST_SITUATIONS:,} situations")
            once = self._once
            redis, workers, fates, _, seen, late = state
            parts = (once.setdefault(each, each) for each in (workers, fates, seen, late))
            workers, fates, seen, late = parts  # type: ignore[assignment] # each is equal to what it was
            self._states.append(State(redis, workers, fates, 0, seen, late))
            self._reached.append(0)
            self._explored.append(-1)
            self._steps.append(array("Q"))
            self._is_end.append(0)
            if self._remembers:
                self._words.append([])
                self._arrivals.append([])
        return number

    def _has_ended(self, state: State) -> bool:
        """Return whether all threads have ended, and nothing of them is left."""
        content, adversary = self._stores[state.redis], self._adversary
        for record, is_over, fate in zip(content.records, content.is_over, state.fates, strict=True):
            if fate.life == "new" or (record is not None and not is_over):
                return False
        is_quiet = all(worker.phase == "idle" for worker in state.workers) and not state.late
        keys = residue(adversary.queue, adversary.taken)
        return is_quiet and all(self._stores.value(state.redis, key) is None for key in keys)

    def _check_content(self, state: State) -> None:
        """Check what Redis holds, and read every list, unless that was done."""
        key = (state.redis, any(fate.life == "expired" for fate in state.fates))
        if key not in self._checked:
            self._checked.add(key)
            content = self._stores[state.redis]
            self._rules.check_content(content)
            self._rules.check_lists(state, content, lambda kind, group_id: self._adversary.page(state, kind, group_id))

    def _find_stuck(self) -> None:
        """Count the situations from which no benign way leads to a clean end: such a way costs no budget."""
        is_safe = bytearray(self._is_end)
        unsafe = [number for number, is_end in enumerate(is_safe) if not is_end and self._reached[number]]
        before = len(unsafe) + 1
        while len(unsafe) < before:  # Ends are deep, so that few rounds are needed from the last on.
            before = len(unsafe)
            left = []
            for number in reversed(unsafe):
                if any(step & _BENIGN and is_safe[step >> _COSTS + 1] for step in self._steps[number]):
                    is_safe[number] = 1
                else:
                    left.append(number)
            unsafe = left[::-1]
        self._result.stuck = len(unsafe)
        if unsafe:
            # The story of one in which nobody does anything more by himself says more than that of the way there.
            number = next((each for each in unsafe if not any(step & _BENIGN for step in self._steps[each])), unsafe[0])
            self._result.violation = "no way leads from here to a clean end"
            self._result.story = self._story(number, self._reached[number], "")

    def _story(self, number: int, budgets: int, last: str) -> list[str]:
        """Return how the search came to a situation with one of these budgets; no sentences unless it remembers."""
        sentences = [last] if last else []
        while self._remembers and self._arrivals[number]:
            new, origin, position = next(each for each in self._arrivals[number] if each[0] & budgets)
            sentences.append(self._words[origin][position])
            step = self._steps[origin][position]
            _, shift = self._prices[step >> 1 & (1 << _COSTS) - 1]
            number, budgets = origin, (new & budgets) << shift
        return sentences[::-1]
