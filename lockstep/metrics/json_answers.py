"""Parse answers that are JSON, compare their values, and find a value in a text."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

INVALID = object()
"""Value of a text that is not JSON."""
MAX_DEPTH = 200
"""Maximum depth of nested objects and lists; deeper values would overflow Python's stack."""
_CODE_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL | re.IGNORECASE)
_DEPTH_CHANGES = {"[": 1, "{": 1, "]": -1, "}": -1}


def parse_json(text: str) -> Any:
    """Return the value of a JSON text; INVALID if it is not JSON or is nested too deeply."""
    if is_too_deep(text):
        return INVALID
    try:
        return DECODER.decode(text)
    except (ValueError, RecursionError):
        return INVALID


def is_too_deep(text: str) -> bool:
    """Whether brackets are nested deeper than MAX_DEPTH."""
    depths = accumulate((_DEPTH_CHANGES.get(character, 0) for character in text), initial=0)
    return max(depths) > MAX_DEPTH


def strip_code_fence(text: str) -> str:
    """Return the content of a Markdown code fence that is the whole text, else the text."""
    fence = _CODE_FENCE.fullmatch(text.strip())
    return fence[1] if fence else text


def count_leaves(text: str) -> Counter[tuple[str, str]]:
    """Count the (path, value) pairs of a JSON text's leaves; a text that is not JSON has none."""
    value = parse_json(text)
    return Counter() if value is INVALID else Counter(iterate_leaves(normalize(value), ""))


def iterate_leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield (path, value) of every value without children, empty lists and objects included."""
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from iterate_leaves(child, f"{path}/{key}")
    elif isinstance(value, list) and value:
        for index, child in enumerate(value):
            yield from iterate_leaves(child, f"{path}/{index}")
    else:
        yield path, str(value)


def normalize(value: Any) -> Any:
    """Return a value that compares as JSON does: 1 equals 1.0, and neither equals true."""
    if isinstance(value, dict):
        return {key: normalize(child) for key, child in value.items()}
    if isinstance(value, list):
        return [normalize(child) for child in value]
    if isinstance(value, bool):
        return type(value), value
    return float(value) if isinstance(value, int) and abs(value) < 2**53 else value


def compile_whole_text(text: str) -> re.Pattern[str]:
    """Compile a pattern that finds a text, ignoring case, but not as a part of a longer word.

    Only ASCII letters and digits extend a word: 42 is found in 订单42号, not in 1420.
    """
    begin = r"(?<![A-Za-z0-9])" if _is_ascii_word(text[0]) else ""
    end = r"(?![A-Za-z0-9])" if _is_ascii_word(text[-1]) else ""
    return re.compile(begin + re.escape(text) + end, re.IGNORECASE)


def _is_ascii_word(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
"""Decoder of standard JSON, which has no NaN and no infinities."""
