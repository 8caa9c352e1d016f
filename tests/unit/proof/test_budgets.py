"""Sets of budgets, kept as bits, are paid from as each budget would be by itself."""

from __future__ import annotations

from itertools import product

from proof.budgets import Budgets
from proof.configuration import BITS, Configuration, Kind


def test_a_step_is_paid_by_every_budget_that_can() -> None:
    budgets = Budgets(Configuration("some faults", (Kind(),), kills=2, lost=1, late=3))
    assert budgets.count == 3 * 2 * 4
    # The first field changes fastest: kills, lost, late.
    numbers: dict[tuple[int, ...], int] = {
        (kills, lost, late): kills + 3 * lost + 6 * late for kills, lost, late in product(*map(range, (3, 2, 4)))
    }
    for names in (("kills",), ("late",), ("kills", "late"), ("kills", "lost", "late"), ()):
        payers, shift = budgets.price(sum(BITS[name] for name in names))
        for budget, number in numbers.items():
            left = tuple(many - (name in names) for name, many in zip(("kills", "lost", "late"), budget, strict=True))
            assert bool(payers >> number & 1) == (min(left) >= 0), (names, budget)
            if min(left) >= 0:
                assert number - shift == numbers[left], (names, budget)


def test_what_may_still_go_wrong_is_what_some_budget_has_left() -> None:
    budgets = Budgets(Configuration("some faults", (Kind(),), kills=2, lost=1))
    assert budgets.affordable(budgets.first) == BITS["kills"] | BITS["lost"]
    assert budgets.affordable(1) == 0
    assert budgets.affordable(0b000110) == BITS["kills"]
    assert budgets.affordable(0b001010) == BITS["kills"] | BITS["lost"]
