"""The words of the domain, the parameters that a signature declares, and the settings."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from psthreads.authoring.context import Context
from psthreads.authoring.parameter import Bounds
from psthreads.authoring.process import Process, Scope
from psthreads.authoring.registry import Registry, process
from psthreads.domain.access import Role
from psthreads.domain.config import Config
from psthreads.domain.errors import BadParameter, ConfigError, MissingParameter
from psthreads.domain.model import MAX_TEXT, Outcome, Status, clean, iso


@given(st.text(st.characters(exclude_categories=[])))
def test_clean_text_can_always_be_sent_as_xml_and_is_left_alone_otherwise(text: str) -> None:
    element = etree.Element("message", text=clean(text))
    element.text = clean(text)
    etree.fromstring(etree.tostring(element, encoding="utf-8"))
    if all(character.isprintable() or character in "\t\n\r" for character in text):
        assert clean(text) == text


def test_long_text_is_cut_and_says_so() -> None:
    assert clean("x" * MAX_TEXT) == "x" * MAX_TEXT
    cut = clean("x" * (MAX_TEXT + 1))
    assert cut == "x" * MAX_TEXT + "… [cut, 16,385 characters in all]"
    assert clean(cut) == cut, "its length is that of the whole text"


def test_an_outcome_is_final() -> None:
    with pytest.raises(ValueError, match="is not"):
        Outcome(Status.INPROGRESS, "no end")


def test_times_are_iso_8601_with_a_zone() -> None:
    assert iso(1_652_667_241_924) == "2022-05-16T02:14:01.924+00:00"


def test_roles_are_ordered() -> None:
    assert [role for role in Role if role.allows(Role.CONTRIBUTOR)] == list(Role)[2:]


def made(function: object, **declared: object) -> Process:
    defaults = {"title": "T", "route": "/members/{member}/groups/{group}/" + function.__name__}  # type: ignore[attr-defined]
    found: Process = process(**{**defaults, **declared})(function)  # type: ignore[arg-type]
    return found


def test_a_signature_declares_the_parameters_with_types_bounds_and_defaults() -> None:
    def declared(
        context: Context,
        path: str,
        many: Annotated[int, Bounds(1, 10)] = 3,
        how: Literal["fast", "slow"] = "fast",
        dry_run: bool = False,  # noqa: FBT001, FBT002 (given by keyword)
    ) -> None:
        """Declares."""

    one = made(declared)
    assert (one.name, one.summary, one.scope) == ("declared", "Declares.", Scope.GROUP)
    assert one.read({"path": "/", "dry-run": "yes", "many": "10"}) == {
        "path": "/",
        "many": 10,
        "how": "fast",
        "dry_run": True,
    }
    with pytest.raises(MissingParameter, match="'path' is missing"):
        one.read({})
    for name, text, words in (
        ("many", "0", "at least 1"),
        ("many", "11", "at most 10"),
        ("many", "x", "a whole number"),
        ("how", "odd", "one of fast, slow"),
        ("dry-run", "maybe", "true or false"),
        ("path", "a\x00b", "without control characters"),
        ("path", "x" * 5_000, "at most 4096 characters"),
    ):
        with pytest.raises(BadParameter, match=words) as caught:
            one.read({"path": "/", name: text})
        assert caught.value.name == name


def test_a_declaration_that_cannot_work_is_refused() -> None:
    def fine(context: Context) -> None:
        """Fine."""

    def odd(context: Context, what: list[str]) -> None:
        """Odd."""

    def either(context: Context, what: str | None = None) -> None:
        """Either."""

    with pytest.raises(ValueError, match=r"must contain {member}"):
        made(fine, route="/groups/{group}/fine")
    with pytest.raises(ValueError, match="must be an XML name"):
        made(fine, wrapper="not mine")
    with pytest.raises(ValueError, match="must be str, int"):
        made(odd)
    with pytest.raises(ValueError, match="not a union"):
        made(either)
    registry = Registry()
    registry.add(made(fine))
    with pytest.raises(ValueError, match="Two processes are named"):
        registry.add(made(fine, name="fine"))


def test_settings_come_from_the_environment_and_go_back_into_one() -> None:
    config = Config.from_env({"REDIS_URL": "redis://x", "WORKERS": "5", "PSTHREADS_PREFIXES": "/a, /b/c"})
    assert (config.workers, config.prefixes, config.grace) == (5, ("/a", "/b/c"), 10)
    assert Config.from_env(config.to_env()) == config
    assert Config.from_env({}) == Config()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("WORKERS", "none", "WORKERS is 'none', but it must be a number"),
        ("WORKERS", "0", "WORKERS must be at least 1"),
        ("REDIS_URL", "localhost", "must start with redis://"),
        ("PSTHREADS_OWN_PROGRESS", "perhaps", "it must be true or false"),
        ("PSTHREADS_PREFIXES", "no-slash", "is no path"),
        ("PSTHREADS_HEARTBEAT", "100", "at least three times PSTHREADS_HEARTBEAT"),
        ("PSTHREADS_RETENTION", "0", "must be at least 1"),
        ("PSTHREADS_RETENTION", "inf", "must be finite"),
        ("PSTHREADS_GRACE", "nan", "must be finite"),
    ],
)
def test_a_wrong_setting_is_named_with_what_it_must_be(name: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_env({name: value})
    assert words in str(caught.value)


def test_an_ipv6_host_stands_in_brackets_before_its_port() -> None:
    for host in ("::1", "[::1]"):
        config = Config.from_env({"HOST": host, "PORT": "8001"})
        assert (config.host, config.address) == ("::1", "[::1]:8001")
    assert Config().address == "127.0.0.1:8000"
