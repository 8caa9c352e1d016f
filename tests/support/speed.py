"""What hundreds of applications and directories in one process of the tests would otherwise compute again and again."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from werkzeug.routing import Rule

from psthreads.identity.passwords import Passwords

_compile_builder = Rule._compile_builder
_builders: dict[object, Callable[..., tuple[str, str]]] = {}


def _cached_builder(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:  # noqa: FBT001, FBT002 (werkzeug's signature)
    key = (rule.rule, rule.subdomain, rule.host, rule.merge_slashes, repr(rule.defaults), append_unknown)
    if key not in _builders:
        _builders[key] = _compile_builder(rule, append_unknown)
    return _builders[key]


def compile_routes_once() -> None:
    """Let werkzeug compile the functions that make the paths of our 300 routes once, and not for each application."""
    Rule._compile_builder = _cached_builder  # type: ignore[assignment,method-assign]


class _Templates(BytecodeCache):
    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._code:
            bucket.bytecode_from_string(self._code[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key] = bucket.bytecode_to_string()


_templates = _Templates()


def compile_templates_once(app: Flask) -> None:
    """Let this application take the templates that another one has compiled."""
    app.jinja_env.bytecode_cache = _templates


class SharedHashes(Passwords):
    """Stores one hash for all members with the same password. Each is verified as any other."""

    def hash(self, password: str) -> str:
        return _hash(password)


@cache
def _hash(password: str) -> str:
    return Passwords().hash(password)
