"""Marks at all tokens of a CoNLL file: WikiANN's have a language (`en:Ada`), Weibo's a digit."""

import re
from collections.abc import Iterable, Sequence

from lockstep.data.language import HAN

_PREFIX = re.compile(r"[a-z]{2,3}(?:-[a-z]+)*:(?=.)")
"""A language and a colon, before a token."""
_NUMBERED = re.compile(r"\S[0-9]")
"""A character and the position at which it stands in its word."""
_HAN = re.compile(f"[{HAN}]")
_MINIMUM = 3
"""Minimum number of tokens that show a mark; fewer may have it by chance."""


def find_mark(tokens: Sequence[str]) -> tuple[re.Pattern[str], str]:
    """Return the pattern of what all tokens of a file have beside their text, and its name.

    The pattern matches nothing, and the name is empty, if there is no such mark.
    """
    if len(tokens) >= _MINIMUM:
        prefix = _PREFIX.match(tokens[0])
        if prefix and all(token.startswith(prefix[0]) for token in tokens):
            return re.compile(f"^{re.escape(prefix[0])}(?=.)"), f"{prefix[0]} before"
        if all(map(_NUMBERED.fullmatch, tokens)) and _count_han(tokens) > len(tokens) / 2:
            return re.compile(r"(?<=^\S)[0-9]$"), "the digit after"
    return re.compile(r"(?!)"), ""


def _count_han(tokens: Iterable[str]) -> int:
    return sum(1 for token in tokens if _HAN.match(token))
