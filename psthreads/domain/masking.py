"""Masks secrets in messages and log lines before they are stored.

No program can recognise every secret. Masked is what has the form of one: a value that is named as a password,
secret, token or key, credentials in a URL or an Authorization header, private keys, and the tokens of psthreads and
of well-known services.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from psthreads.domain.model import Line

MASK: Final = "[masked]"
"""The text that replaces a secret."""

# The secret is the first group that took part in the match, or the whole match of a pattern without groups.
#
# Each pattern takes time in proportion to the text, whatever the text is: a run of characters is looked at from its
# beginning only (the look-behinds), and is not given back (`++`).
_PATTERNS: Final = (
    (
        # A name with a word for a secret. After a path a colon begins a sentence ("/etc/passwd: no such file"),
        # an equals sign a value.
        r"""(?<![\w./\\-])(?=[\w./\\-]*?(?i:pass(?:word|wd|phrase)|pwd|secret|token|credential|"""
        r"""(?:api|access|private|secret)[ _-]?key)(?:(?<!token)s)?(?![a-z]))"""
        r"""(?:[\w.-]++(?:[ ](?i:key))?["']?\s*+(?:=>?|:)|[\w./\\-]++["']?\s*+=>?)\s*+"""
        r"""(?:"([^"]+)"|'([^']+)'|"([^"\n]+)|'([^'\n]+)|([^\s"',;&<>]+))"""
    ),
    r"""(?i:\bauthorization["']?\s*+[:=]\s*+["']?(?:basic|digest|negotiate)\s++)([^\s"']+)""",
    r"(?i:\bbearer\s++)([A-Za-z0-9._~+/=-]{12,})",
    r"://[^\s/:@]*+:([^\s/@]++)@",
    r"\bpst_[A-Za-z0-9_-]{16,}",
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    r"\bgh[pousr]_[A-Za-z0-9]{20,}",
    r"(?<![\w-])eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]*+",
    r"(?s:-----BEGIN [A-Z ]*+(?<=PRIVATE KEY)-----.*?(?:-----END [A-Z ]*+(?<=PRIVATE KEY)-----|\Z))",
)
# Every match of the patterns contains one of these, and they are much cheaper to search for.
_HINTS: Final = (
    *("pass", "pwd", "secret", "token", "credential", "key", "bearer", "authorization"),
    *("@", "pst_", "akia", "asia", "eyj", "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
)


class Masker:
    """Masks whatever looks like a secret. `more` are regular expressions besides the built-in ones.

    Of a match, the first group that took part is masked; without groups, the whole match is. Raises re.error for an
    invalid regular expression.
    """

    def __init__(self, more: Sequence[str] = ()) -> None:
        self._patterns = [re.compile(pattern) for pattern in (*_PATTERNS, *more)]
        self._more = self._patterns[len(_PATTERNS) :]

    def may_hold_secret(self, text: str) -> bool:
        """Return False only if there is nothing to mask; fast, also for many lines in one text."""
        lower = text.lower()
        for hint in _HINTS:  # A generator would take twice as long, and much is asked for.
            if hint in lower:
                return True
        return any(pattern.search(text) for pattern in self._more)

    def lines(self, lines: tuple[Line, ...]) -> tuple[Line, ...]:
        """Return the log's lines with their secrets masked."""
        # Most lines contain no secret, and searching all of them at once is faster.
        text = "\n".join([line.message for line in lines]) + "".join([line.detail for line in lines])
        if not self.may_hold_secret(text):
            return lines
        return tuple(line._replace(message=self(line.message), detail=self(line.detail)) for line in lines)

    def __call__(self, text: str) -> str:
        """Return the text with its secrets masked."""
        if not self.may_hold_secret(text):
            return text
        for pattern in self._patterns:
            text = pattern.sub(_mask, text)
        return text


def _mask(match: re.Match[str]) -> str:
    if match.lastindex is None:
        return MASK
    start, end = next(match.span(number) for number in range(1, match.re.groups + 1) if match[number] is not None)
    return match.string[match.start() : start] + MASK + match.string[end : match.end()]


mask: Final = Masker()
"""Masks by the built-in patterns alone."""
