"""What hundreds of applications and directories in one process of the tests would otherwise compute again and again."""

from __future__ import annotations

from argon2 import PasswordHasher, Type
from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from werkzeug.routing import Rule

from psthreads.identity.passwords import Passwords

_compile = Rule.compile
_compiled: dict[object, Rule] = {}


def _compile_once(rule: Rule) -> None:
    key = (rule.rule, rule.subdomain, rule.host, rule.merge_slashes, repr(rule.defaults))
    if key not in _compiled:
        _compile(rule)
        _compiled[key] = rule
        return
    model = _compiled[key]
    rule.arguments |= model.arguments
    rule._parts, rule._trace, rule._converters = model._parts, model._trace, model._converters
    rule._build = model._build.__func__.__get__(rule, None)  # type: ignore[attr-defined] # bound by werkzeug itself
    rule._build_unknown = model._build_unknown.__func__.__get__(rule, None)  # type: ignore[attr-defined] # as above


def compile_routes_once() -> None:
    """Let werkzeug compile our 300 routes once, and not for each application."""
    Rule.compile = _compile_once  # type: ignore[assignment,method-assign]


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


class QuickHashes(Passwords):
    """Stores hashes of Argon2id that are verified as any other, but take a thousandth of the time and of the memory."""

    def __init__(self) -> None:
        super().__init__()
        self._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1, type=Type.ID)
