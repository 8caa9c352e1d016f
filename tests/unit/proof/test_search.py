"""The search finds what is wrong, and says how it comes about."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from proof.configuration import Configuration, Kind
from proof.configurations import LARGE, SMALL
from proof.faults import FAULTS, Fault
from proof.search import search

SMALLEST = Configuration("a thread", (Kind(),), workers=1)


def planted(words: str) -> Fault:
    return next(fault for fault in FAULTS if fault.words == words)


def test_a_thread_in_a_system_where_nothing_goes_wrong_ends() -> None:
    result = search(SMALLEST)
    assert result.is_proved
    assert result.ends
    assert result.steps > result.states > result.depth > 5


def test_a_situation_is_looked_into_once_for_all_budgets_and_a_call_made_once_for_what_it_reads() -> None:
    once, often = (search(replace(SMALLEST, kills=kills, lost=1)) for kills in (1, 3))
    assert once.is_proved
    assert often.is_proved
    assert often.states > 1.5 * once.states
    assert (often.situations, often.calls) == (once.situations, once.calls)
    assert often.calls < often.worked_out < often.steps


def test_the_story_of_a_fault_is_the_shortest_one_in_words() -> None:
    fault = planted("a claim has no lease")
    result = search(SMALLEST, replace(fault, configuration=SMALLEST))
    assert result.violation == "thread 0 is inprogress: it has a lease, says its record alone"
    assert result.story == [
        "thread 0 is accepted",
        "worker 0 takes thread 0",
        "worker 0 claims thread 0: it may",
    ]


def test_a_state_from_which_nothing_ends_any_more_is_found() -> None:
    result = search(SMALLEST, planted("a thread is put into no queue"))
    assert result.stuck
    assert result.violation == "no way leads from here to a clean end"


def test_a_fault_that_fits_no_script_any_more_is_an_error() -> None:
    with pytest.raises(ValueError, match="cannot be planted any more"):
        search(SMALLEST, Fault("nothing", "claim", "no such text", "", SMALLEST))


def test_every_fault_and_every_configuration_has_a_name_of_its_own() -> None:
    names = Counter([*(each.words for each in FAULTS), *(each.name for each in (*SMALL, *LARGE))])
    assert max(names.values()) == 1
    assert len(FAULTS) >= 30
    assert {fault.configuration for fault in FAULTS} <= set(SMALL)
