"""Masks secrets in messages and log lines before they are stored.

No program can recognise every secret. Masked is what has the form of one: a value that is named as a password,
secret, token or key, credentials in a URL or an Authorization header, private keys, and the tokens of psthreads and
of well-known services.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

MASK: Final = "[masked]"
"""The text that replaces a secret."""

# The secret is the first group that took part in the match, or the whole match of a pattern without groups.
_PATTERNS: Final = (
    (
        r"""(?i:pass(?:word|wd|phrase)|pwd|secret|token|credential|(?:api|access|private|secret)[ _-]?key)"""
        r"""(?:[\w-]*["']?\s*(?:[:=]|=>)\s*)(?:"([^"]+)"|'([^']+)'|([^\s"',;&<>]+))"""
    ),
    r"""(?i:\bauthorization["']?\s*[:=]\s*["']?(?:basic|digest|negotiate)\s+)([^\s"']+)""",
    r"(?i:\bbearer\s+)([A-Za-z0-9._~+/=-]{12,})",
    r"://[^\s/:@]*:([^\s/@]+)@",
    r"\bpst_[A-Za-z0-9_-]{16,}",
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    r"\bgh[pousr]_[A-Za-z0-9]{20,}",
    r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    r"(?s:-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z))",
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
        return any(hint in lower for hint in _HINTS) or any(pattern.search(text) for pattern in self._more)

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
