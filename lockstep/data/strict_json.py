"""JSON as the standard has it: what lenient parsers let pass in silence is named."""

import json
import re
from typing import Any

import orjson

from lockstep.data.rejection import UnfitError

DEEPEST = 100
"""Levels of lists and objects within each other."""

_SPACED_COLON = re.compile(r'"\s+:')


def parse(text: str) -> Any:
    """The value; UnfitError names NaN, a key given twice, a lone surrogate or what is no JSON.

    orjson takes the last of two equal keys. Where every colon behind a key stands close to its
    quote, there are at most as many keys as there are `":`; if the value holds as many, none was
    given twice. Otherwise the slower parser looks.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _examined(text)
    flat = isinstance(value, dict) and "[" not in text and text.count("{") == 1
    keys = len(value) if flat else _keys(value)
    spaced = '" ' in text or '"\t' in text or "\n" in text or "\r" in text
    if (spaced and _SPACED_COLON.search(text)) or text.count('":') != keys:
        return _examined(text)
    return value


def _keys(value: Any, depth: int = 0) -> int:
    """How many keys a value has, and those within it."""
    if depth > DEEPEST:
        raise UnfitError("nested_too_deeply")
    if isinstance(value, dict):
        inner = value.values()
        return len(value) + sum(_keys(v, depth + 1) for v in inner if isinstance(v, dict | list))
    if isinstance(value, list):
        return sum(_keys(v, depth + 1) for v in value if isinstance(v, dict | list))
    return 0


def _examined(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_distinct)
    except (ValueError, RecursionError):
        raise UnfitError("invalid_json") from None


def _no_constant(name: str) -> Any:
    raise UnfitError("nan_or_infinity")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        raise UnfitError("duplicate_keys")
    return row
