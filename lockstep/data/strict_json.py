"""A strict JSON parser: it refuses repeated keys and other errors that most parsers accept.

It never rounds a number: integers of any length stay exact, and a number that a float would round
is refused.
"""

import json
import re
from decimal import Decimal, localcontext
from typing import Any

import orjson

from lockstep.data.rejected_rows import InvalidRowError

MAX_DEPTH = 100
"""Maximum nesting depth of lists and objects."""

_SPACE_BEFORE_COLON = re.compile(r'"\s+:')
_LONG_NUMBER = re.compile(r"[0-9][0-9.]{16}|[0-9][eE]-?[0-9]{3}")
"""Digits of which a float or an integer of 64 bits may lose some."""
_MAX_DIGITS = 4300
"""Maximum number of digits of an integer, which is Python's own limit."""
_INFINITY = float("inf")


def parse(text: str) -> Any:
    """Parse JSON; raise InvalidRowError for NaN, repeated keys, lone surrogates and invalid JSON.

    Raise it as well for a number that cannot be kept exactly.

    orjson is fast but silently keeps the last of two equal keys. If every colon directly follows
    the quote of its key, `":` occurs at least once per key. So if it occurs exactly as often as
    the parsed value has keys, no key is repeated. Otherwise a slower parser checks the keys.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _parse_slowly(text)
    is_flat = isinstance(value, dict) and "[" not in text and text.count("{") == 1
    keys = len(value) if is_flat else _count_keys(value)
    may_be_rounded = not is_flat or float in map(type, value.values())
    if may_be_rounded and _LONG_NUMBER.search(text):  # orjson makes floats of long integers
        return _parse_slowly(text)
    if text.count('":') != keys or _SPACE_BEFORE_COLON.search(text):
        return _parse_slowly(text)
    return value


def _count_keys(value: Any, depth: int = 0) -> int:
    """Return the number of keys of a value and of everything nested in it."""
    if depth > MAX_DEPTH:
        raise InvalidRowError("nested_too_deeply")
    if isinstance(value, dict):
        children = value.values()
        return len(value) + sum(
            _count_keys(child, depth + 1) for child in children if isinstance(child, dict | list)
        )
    if isinstance(value, list):
        return sum(
            _count_keys(child, depth + 1) for child in value if isinstance(child, dict | list)
        )
    return 0


def _parse_slowly(text: str) -> Any:
    try:
        return json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_parse_exact_float,
            parse_int=_parse_exact_int,
            object_pairs_hook=_refuse_repeated_keys,
        )
    except json.JSONDecodeError as error:
        detail = f"{error.msg} at character {error.pos + 1}"
        raise InvalidRowError("invalid_json", detail=detail) from None
    except (ValueError, RecursionError):
        raise InvalidRowError("invalid_json") from None


def _refuse_constant(name: str) -> Any:
    raise InvalidRowError("nan_or_infinity")


def _parse_exact_int(literal: str) -> int:
    if len(literal) > _MAX_DIGITS:
        raise InvalidRowError("number_not_exact")
    return int(literal)


def _parse_exact_float(literal: str) -> float:
    """Return the float of a literal; raise InvalidRowError if it has digits that a float lacks.

    `0.1000` and the long form of a float, 0.1000000000000000056, are exact;
    9007199254740993.0 is not, and neither are 1e400 and 1e-400.
    """
    value, exact = float(literal), Decimal(literal)
    if value in (_INFINITY, -_INFINITY) or (not value and exact):
        raise InvalidRowError("number_not_exact")
    if Decimal(repr(value)) != exact:
        with localcontext(prec=len(literal) + 800):
            if Decimal(value).quantize(exact) != exact:
                raise InvalidRowError("number_not_exact")
    return value


def _refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise InvalidRowError("duplicate_keys")
    return result
