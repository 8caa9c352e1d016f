from __future__ import annotations

from psthreads.domain.errors import UnknownParameter
from psthreads.domain.suggestions import hint, nearest

NAMES = ("validate", "overwrite", "folder")


def test_the_nearest_name_is_suggested_whatever_its_case() -> None:
    assert nearest("over-write", NAMES) == "overwrite"
    assert nearest("FOLDERS", NAMES) == "folder"
    assert nearest("colour", NAMES) == ""
    assert nearest("folder", ()) == ""


def test_without_a_near_name_all_are_named() -> None:
    assert hint("colour", NAMES) == "there are validate, overwrite, folder."
    assert hint("colour", ()) == "there are none."


def test_a_name_of_any_length_costs_little() -> None:
    assert nearest("o" * 1_000_000, ["overwrite", "x" * 1_000_000]) == ""
    assert len(UnknownParameter("o" * 1_000_000, NAMES).message) < 200


def test_the_error_names_the_parameter() -> None:
    error = UnknownParameter("pth", ["path", "warn"])
    assert (error.name, error.status) == ("pth", 400)
    assert error.message == "There is no parameter 'pth' here: did you mean 'path'?"
