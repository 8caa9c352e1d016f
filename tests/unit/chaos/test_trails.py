"""What the storm reads from the trails of executions."""

from __future__ import annotations

from pathlib import Path

from chaos.trails import Execution, executions

A, B = "a" * 32, "b" * 32


def execution(*times: float) -> Execution:
    return Execution(A, "machine0", 1, times, None)


def test_executions_that_tick_in_turns_overlap() -> None:
    assert execution(1.0, 1.1, 1.2).overlap(execution(1.05, 1.15)) > 0


def test_one_after_the_other_is_no_overlap() -> None:
    first, second = execution(1.0, 1.1), execution(1.2, 1.3)
    assert first.overlap(second) == second.overlap(first) == 0


def test_a_process_that_stood_still_meanwhile_is_no_overlap() -> None:
    assert execution(1.0, 1.1, 9.0).overlap(execution(5.0, 5.1)) == 0


def test_a_single_line_of_one_that_woke_up_is_an_overlap() -> None:
    assert execution(1.0, 1.1, 9.0).overlap(execution(5.0, 8.9, 9.1)) > 0


def test_executions_are_read_from_their_trails(tmp_path: Path) -> None:
    (tmp_path / f"{A}-machine1-17-1").write_text("3.0 17 begin\n3.2 17 end\n3.1 18 tick\n")
    (tmp_path / f"{B}-machine0-5-2").write_text("1.0 5 begin\n")
    (tmp_path / f"{A}-machine0-6-3").write_text("")
    assert executions(tmp_path) == [
        Execution(B, "machine0", 5, (1.0,), None),
        Execution(A, "machine1", 17, (3.0, 3.1, 3.2), 3.2),
    ]
