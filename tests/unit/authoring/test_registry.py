"""The declaration of a process: what it gives, and every mistake in it that is told when it is imported."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Literal

import pytest

from psthreads.authoring.context import Context
from psthreads.authoring.parameter import Bounds, Parameter
from psthreads.authoring.process import Process, Scope
from psthreads.authoring.registry import Registry, process
from psthreads.domain.access import Group, Member, Role
from psthreads.domain.errors import BadParameter, MissingParameter

ROUTE = "/members/{member}/groups/{group}/work"


def declare(function: Any, **options: Any) -> Process:
    return process(**{"title": "Working", "route": ROUTE, **options})(function)


def nothing(context: Context) -> None:
    """Does nothing. Never."""


def test_one_object_holds_all_that_was_declared() -> None:
    def count_words(
        context: Context,
        path: Annotated[str, "where to count"],
        up_to: Annotated[int, Bounds(1, 10), "the most"] = 5,
        unit: Literal["word", "line"] = "word",
        *,
        from_: float = 0,
        quick: bool = False,
    ) -> None:
        """Counts words.

        And more.
        """

    made = declare(
        count_words,
        title="Counting {up_to} in {group} for {member}, {from_:.1f}",
        role=Role.MANAGER,
        time_limit=60,
        restartable=True,
        exclusive=True,
        killable=False,
        wrapper="word-count",
    )
    assert (made.name, made.summary, made.scope) == ("count-words", "Counts words.", Scope.GROUP)
    assert (made.role, made.time_limit, made.restartable, made.exclusive) == (Role.MANAGER, 60, True, True)
    assert (made.killable, made.wrapper, made.function) == (False, "word-count", count_words)
    assert made.parameters == (
        Parameter("path", str, None, description="where to count"),
        Parameter("up_to", int, 5, Bounds(1, 10), description="the most"),
        Parameter("unit", str, "word", choices=("word", "line")),
        Parameter("from_", float, 0.0),
        Parameter("quick", bool, default=False),
    )
    assert [one.wire for one in made.parameters] == ["path", "up-to", "unit", "from", "quick"]
    assert [one.type for one in made.parameters] == ["string", "integer", "string", "number", "boolean"]
    assert isinstance(made.parameters[3].default, float)


def test_a_route_without_a_group_is_for_the_whole_server() -> None:
    made = declare(nothing, route="/members/{member}/work")
    assert made.scope is Scope.SERVER
    assert made.path(Member(1, "j.jones@x")) == "/members/j.jones@x/work"


def test_a_route_may_be_left_out_and_is_made_from_the_name() -> None:
    @process(title="Counting in {group}")
    def count_words(context: Context) -> None:
        """Counts."""

    assert count_words.route == "/members/{member}/groups/{group}/count-words"
    assert count_words.scope is Scope.GROUP
    named = process(title="Counting", name="count_all")(count_words.function)
    assert named.route == "/members/{member}/groups/{group}/count_all"


def test_a_route_is_filled_in_with_the_member_and_the_group_if_there_is_one() -> None:
    made = declare(nothing)
    assert made.path(Member(1, "jjones"), Group(7, "acme")) == "/members/jjones/groups/acme/work"
    assert made.path(Member(1, "jjones")) == "/members/jjones/groups/{group}/work"


@pytest.mark.parametrize("wrapper", ["load-unzip", "load-start", "word-count", "_x.y", "wörter"])
def test_any_xml_name_can_be_a_wrapper(wrapper: str) -> None:
    assert declare(nothing, wrapper=wrapper).wrapper == wrapper


MISTAKES: dict[str, dict[str, Any]] = {
    "must be a path such as": {"route": "members/{member}"},
    "'/members/{member}/{thing}' must be a path": {"route": "/members/{member}/{thing}"},
    "'/members/{member}//work' must be a path": {"route": "/members/{member}//work"},
    "'/members/{member}/count/' must be a path": {"route": "/members/{member}/count/"},
    "'/members/{member}/<x>' must be a path": {"route": "/members/{member}/<x>"},
    "must contain {member}": {"route": "/groups/{group}/work"},
    "contains {group} more than once": {"route": "/members/{member}/groups/{group}/{group}"},
    "must not end in .xml or .json": {"route": "/members/{member}/work.json"},
    "belongs to psthreads itself": {"route": "/groups/{group}/threads/{member}/progress"},
    "{path} is not one of its placeholders {member}, {group}": {"title": "At {path}"},
    "'{group}' cannot be filled in": {"title": "{group}", "route": "/members/{member}/work"},
    "'{' cannot be filled in": {"title": "{"},
    "{} is not one of": {"title": "At {}"},
    "{member.id} is not one of": {"title": "{member.id}"},
    "'{member:d}' cannot be filled in": {"title": "{member:d}"},
    "its title is empty": {"title": " "},
    "its name must consist of": {"name": "two words"},
    "and start with a letter or a digit": {"name": "-x"},
    "at most 64": {"name": "x" * 65},
    "its methods must be a tuple": {"methods": "POST"},
    "some of GET, POST": {"methods": ("FETCH",)},
    "methods must be": {"methods": ()},
    "its role must be one of": {"role": "manager"},
    "its time limit must be": {"time_limit": -1},
    "a number of seconds": {"time_limit": "60"},
    "or 0 for the setting's default": {"time_limit": float("nan")},
    "'two words' must be an XML name": {"wrapper": "two words"},
    "'a:b' must be an XML name": {"wrapper": "a:b"},
    "'{ns}a' must be an XML name": {"wrapper": "{ns}a"},
    "'1st' must be an XML name": {"wrapper": "1st"},
    "'threads' is the root element of another response": {"wrapper": "threads"},
}


@pytest.mark.parametrize("said", MISTAKES)
def test_a_declaration_that_cannot_work_is_refused_with_its_name_and_what_is_wrong(said: str) -> None:
    with pytest.raises(ValueError, match=r"^The process '.*' cannot be registered: ") as refused:
        declare(nothing, **MISTAKES[said])
    assert said in str(refused.value)


def without_context() -> None: ...
def only_keywords(*, context: Context) -> None: ...
def list_of_paths(context: Context, *paths: str) -> None: ...
def anything(context: Context, **more: str) -> None: ...
def positional(context: Context, path: str, /) -> None: ...
def takes_group(context: Context, group: str) -> None: ...
def takes_member(context: Context, member_: str) -> None: ...
def same_in_a_request(context: Context, to: int, to_: int) -> None: ...
def a_list(context: Context, paths: list[str]) -> None: ...
def a_union(context: Context, path: str | None) -> None: ...
def numbers_to_choose(context: Context, to: Literal[1, 2]) -> None: ...
def none_by_default(context: Context, path: str = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013
def out_of_bounds(context: Context, to: Annotated[int, Bounds(1, 1_000_000)] = 2_000_000) -> None: ...
def too_long(context: Context, path: Annotated[str, Bounds(0, 2)] = "abc") -> None: ...
def no_choice(context: Context, how: Literal["a", "b"] = "c") -> None: ...  # type: ignore[assignment]
def another_type(context: Context, to: int = "5") -> None: ...  # type: ignore[assignment]
def no_number(context: Context, to: int = True) -> None: ...  # noqa: FBT002
def upside_down(context: Context, to: Annotated[int, Bounds(10, 1)]) -> None: ...
def bounds_of_a_flag(context: Context, quick: Annotated[bool, Bounds(0, 1)] = False) -> None: ...  # noqa: FBT002
def a_tuple_for_bounds(context: Context, to: Annotated[int, (1, 10)]) -> None: ...
def described_twice(context: Context, to: Annotated[int, "a", "b"]) -> None: ...
def unknown_type(context: Context, to: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821
async def later(context: Context) -> None: ...


def piecemeal(context: Context) -> Iterator[int]:
    yield 1


async def both(context: Context) -> AsyncIterator[int]:
    yield 1


FUNCTIONS: list[tuple[Any, str]] = [
    (without_context, "must take the context as its first parameter"),
    (only_keywords, "must take the context as its first parameter"),
    (list_of_paths, "'paths' must be one that can be passed by name"),
    (anything, "'more' must be one that can be passed by name"),
    (positional, "'path' must be one that can be passed by name"),
    (takes_group, "'group' has the name of a part of the route"),
    (takes_member, "'member_' has the name of a part of the route"),
    (same_in_a_request, "two of its parameters are 'to' in a request"),
    (a_list, "'paths' must be str, int, float, bool or Literal"),
    (a_union, "'path' must be of one type, not a union"),
    (numbers_to_choose, "'to' can only choose between texts"),
    (none_by_default, "'path' has the default None"),
    (out_of_bounds, "'to' has the default 2000000, but must be at most 1000000"),
    (too_long, "'path' has the default 'abc', but must be at most 2 characters"),
    (no_choice, "'how' has the default 'c', but must be one of a, b"),
    (another_type, "'to' has the default '5', but must be of the type int"),
    (no_number, "'to' has the default True, but must be of the type int"),
    (upside_down, "'to' has bounds that no value meets: 10 to 1"),
    (bounds_of_a_flag, "'quick' cannot have bounds"),
    (a_tuple_for_bounds, "'to' can be annotated with one Bounds and one description"),
    (described_twice, "'to' can be annotated with one Bounds and one description"),
    (unknown_type, "its annotations cannot be read (name 'Nowhere' is not defined)"),
    (later, "without async"),
    (piecemeal, "without yield"),
    (both, "without async"),
    (print, "must be a plain function"),
]


@pytest.mark.parametrize(("function", "said"), FUNCTIONS)
def test_a_function_that_can_be_no_process_is_refused(function: Any, said: str) -> None:
    with pytest.raises(ValueError, match=r"^The process '.*' cannot be registered: ") as refused:
        declare(function, name="one")
    assert said in str(refused.value)


def test_two_processes_cannot_have_one_name_and_the_message_names_both() -> None:
    registry = Registry()
    registry.add(declare(nothing, name="same"))
    names = re.escape(f"{__name__}.nothing and {__name__}.takes_path (from there). Give")
    with pytest.raises(ValueError, match=names):
        registry.add(declare(takes_path, name="same", route="/members/{member}/other"), " (from there)")


def test_two_processes_cannot_have_one_route_but_for_different_methods() -> None:
    registry = Registry()
    registry.add(declare(nothing, name="one"))
    registry.add(declare(nothing, name="two", methods=("GET",)))
    with pytest.raises(ValueError, match="have the route '/members/"):
        registry.add(declare(nothing, name="three", methods=("GET", "PUT")))
    assert [one.name for one in registry] == ["one", "two"]


def takes_path(
    context: Context,
    path: Annotated[str, Bounds(1)],
    up_to: Annotated[int, Bounds(1, 10)] = 5,
    share: Annotated[float, Bounds(0, 1)] = 0.5,
) -> None: ...


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "'path' is missing"),
        ({"path": "x", "up-to": "0"}, "'up-to' is '0', but must be at least 1."),
        ({"path": "x", "up-to": "11"}, "at most 10"),
        ({"path": "x", "up-to": "ten"}, "a whole number"),
        ({"path": "x", "share": "nan"}, "must be a number"),
        ({"path": "x", "share": "inf"}, "must be a number"),
        ({"path": "a\x00b"}, "text without control characters"),
        ({"path": "x" * 4097}, "at most 4096 characters"),
        ({"path": ""}, "at least 1 character."),
    ],
)
def test_a_bad_parameter_is_named(values: dict[str, str], said: str) -> None:
    with pytest.raises((BadParameter, MissingParameter)) as refused:
        declare(takes_path).read(values)
    assert said in refused.value.message


def test_good_parameters_become_values_and_those_not_declared_are_ignored() -> None:
    read = declare(takes_path).read({"path": "/a", "up-to": "7", "share": "1", "other": "x"})
    assert read == {"path": "/a", "up_to": 7, "share": 1.0}
