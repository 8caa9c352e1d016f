"""Claims about `make bench-check`: it measures what it compares, and names whatever got worse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.check import DETERMINISTIC, EXPECTED, accept, compare, worse
from bench.threads.cost import measure_cheap


def test_the_check_passes_on_the_same_costs_and_names_whichever_got_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "expected.json"
    path.write_text('{"throughput_by_celery": 1.5}')
    accept(measure_cheap(count=150, watched=20), path)
    costs: dict[str, float] = json.loads(path.read_text())
    assert costs.pop("throughput_by_celery") == 1.5
    assert set(costs) == set(DETERMINISTIC)
    assert all(cost > 0 for cost in costs.values())
    assert compare(costs, costs) == 0
    for name in DETERMINISTIC:
        assert not worse(costs | {name: costs[name] * 0.9}, costs)
        (sentence,) = worse(costs | {name: costs[name] * 1.1}, costs)
        assert sentence.startswith(f"{name} got worse: ")
        (sentence,) = worse(costs, {other: cost for other, cost in costs.items() if other != name})
        assert sentence == f"{name} is not in expected.json."
    capsys.readouterr()
    assert compare(costs | {"thread_trips": costs["thread_trips"] + 1}, costs) == 1
    assert capsys.readouterr().err.startswith("thread_trips got worse: ")


def test_every_compared_cost_has_been_accepted() -> None:
    assert set(json.loads(EXPECTED.read_text())) >= set(DETERMINISTIC)
