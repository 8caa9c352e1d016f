"""How often what may go wrong still may: sets of such budgets, kept as bits of a number.

What may happen next depends on which things may still go wrong, and not on how often. So a state is looked into once
for all budgets with which it is reached, and these are passed on along its steps together.
"""

from __future__ import annotations

from functools import cached_property
from math import prod
from typing import NamedTuple

from proof.configuration import BITS, BUDGET, Configuration


class Price(NamedTuple):
    """The cost of a step: the budgets that can pay it, and how far down each is moved by that."""

    payers: int
    shift: int


class Budgets:
    """The budgets of a configuration, each with a number below `count`; the set of them is a number with bits."""

    def __init__(self, configuration: Configuration) -> None:
        self._most = {name: most for name in BUDGET if (most := getattr(configuration, name))}
        self.count = prod(most + 1 for most in self._most.values())
        self.first: int = 1 << (self.count - 1)
        """The set of the budget with which a search begins."""
        self._prices: dict[int, Price] = {}

    @cached_property
    def kinds(self) -> dict[int, int]:
        """The budgets in which this thing, a bit, may still go wrong."""
        return {BITS[name]: self.price(BITS[name]).payers for name in self._most}

    def affordable(self, budgets: int) -> int:
        """Return the bits of the things that may still go wrong with one of these budgets or another."""
        return sum(bit for bit, payers in self.kinds.items() if budgets & payers)

    def price(self, cost: int) -> Price:
        """Return what these things cost."""
        if cost not in self._prices:
            payers, shift, step = (1 << self.count) - 1, 0, 1
            for name, most in self._most.items():
                if cost & BITS[name]:
                    poor = sum(1 << number for number in range(self.count) if number // step % (most + 1) == 0)
                    payers, shift = payers & ~poor, shift + step
                step *= most + 1
            self._prices[cost] = Price(payers, shift)
        return self._prices[cost]
