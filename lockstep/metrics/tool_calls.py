"""Calls of functions that a model writes, held against those that were expected.

Calls are compared by name and arguments, in any order; where none is expected, none is right, as on
the Berkeley Function Calling Leaderboard (Patil et al., 2025), which allows more than one value of
an argument where we compare exactly.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from lockstep.metrics import json_answers, json_schemas
from lockstep.metrics.aggregation import Numbers, ratio
from lockstep.predictions import Prediction

Call = tuple[str, dict[str, Any]]
"""Name and arguments."""

_MARK = re.compile(r"<tool_call>|\[TOOL_CALLS\]|<\|python_tag\|>")
"""What stands before calls in the templates of Hermes and Qwen, of Mistral, of Llama."""
_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL | re.IGNORECASE)
_BETWEEN = re.compile(r"[\s,;]*")
_KEYS = {"name", "arguments", "parameters", "id", "type"}


def parsed(answer: str) -> list[Call] | None:
    """The calls of an answer as written, [] where it is text, None where one could not be read.

    A call is a JSON object with `name` and `arguments`, or Llama's `parameters`; several stand
    one behind the other or in a list. They are the whole answer, which a code fence may enclose,
    or stand behind marks of a template, with text around them. What begins like JSON and is not,
    as a call that was cut, is taken for an unreadable one: not all templates leave a mark.
    """
    if json_answers.is_too_deep(answer):
        return None
    text = answer.strip()
    fenced = _FENCE.fullmatch(text)
    text = fenced[1] if fenced else text
    mark = _MARK.search(text)
    if text[:1] in ("{", "[") and not (mark and mark.start() == 0):
        values, end = _values(text, 0)
        return (_calls(values) or []) if end == len(text) else None
    found: list[Call] = []
    while mark:
        values, end = _values(text, mark.end())
        calls = _calls(values)
        if not calls:
            return None
        found += calls
        mark = _MARK.search(text, end)
    return found


def same(reference: str, prediction: str) -> float:
    """1 where the calls are those expected, in any order, or none is and none was expected."""
    have = parsed(prediction)
    return float(have is not None and _counted(parsed(reference) or []) == _counted(have))


def decided(reference: str, prediction: str) -> float:
    """1 where something is called as expected, whatever it is, or nothing."""
    return float(bool(parsed(reference)) == (parsed(prediction) != []))


def readable(rows: Sequence[Prediction]) -> Numbers:
    """(records, 2): a call could be read, and one was expected."""
    return _where_called(rows, [bool(parsed(row.prediction)) for row in rows])


def fitting(rows: Sequence[Prediction]) -> Numbers:
    """(records, 2): each call is of a function that the record offers, with arguments that keep its
    schema, and one was expected."""
    return _where_called(rows, [_fits(row) for row in rows])


def named(rows: Sequence[Prediction]) -> Numbers:
    """(records, 2): the functions called are those expected, and one was expected."""

    def names(answer: str) -> list[str]:
        return sorted(name for name, _ in parsed(answer) or [])

    return _where_called(rows, [names(row.reference) == names(row.prediction) for row in rows])


def arguments(rows: Sequence[Prediction]) -> Numbers:
    """(records, 3): arguments, with the function's name, that are right, expected and given."""

    def counted(row: Prediction) -> tuple[int, int, int]:
        want, have = (_arguments(parsed(text) or []) for text in (row.reference, row.prediction))
        return (want & have).total(), want.total(), have.total()

    return np.array([counted(row) for row in rows], dtype=float)


def argument_f1(sums: Numbers) -> Numbers:
    """F1 of `arguments`; NaN where there are none."""
    right, want, have = np.moveaxis(sums, -1, 0)
    return ratio(np.stack([2 * right, want + have], axis=-1))


def _where_called(rows: Sequence[Prediction], right: Sequence[bool]) -> Numbers:
    reference = [bool(parsed(row.reference)) for row in rows]
    return np.array([(a and b, b) for a, b in zip(right, reference, strict=True)], dtype=float)


def _fits(row: Prediction) -> bool:
    known = {tool["function"]["name"]: tool["function"] for tool in row.tools}
    calls = parsed(row.prediction) or []
    return bool(calls) and all(
        name in known and json_schemas.fits(values, known[name].get("parameters") or {})
        for name, values in calls
    )


def _values(text: str, place: int) -> tuple[list[Any], int]:
    """JSON values one behind the other, those of lists one by one, and where they end."""
    found: list[Any] = []
    while (place := _behind(text, place)) < len(text):
        try:
            value, place = json_answers.DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            break
        found += value if isinstance(value, list) else [value]
    return found, place


def _behind(text: str, place: int) -> int:
    """Where the next value begins."""
    between = _BETWEEN.match(text, place)
    return between.end() if between else place


def _calls(values: Sequence[Any]) -> list[Call] | None:
    """Of JSON values; None where one of them is no call."""
    found = [_call(value) for value in values]
    return None if None in found else [call for call in found if call]


def _call(value: Any) -> Call | None:
    """Name and arguments, these also as a JSON text, and in OpenAI's `function`."""
    if isinstance(value, dict) and "function" in value:
        value = value["function"]
    if not isinstance(value, dict) or not value.keys() <= _KEYS:
        return None
    name, given = value.get("name"), value.get("arguments", value.get("parameters", {}))
    given = json_answers.parse_json(given) if isinstance(given, str) else given
    return (name, given) if isinstance(name, str) and isinstance(given, dict) else None


def _counted(calls: Sequence[Call]) -> Counter[str]:
    return Counter(
        json.dumps([name, json_answers.canonical(values)], sort_keys=True, default=str)
        for name, values in calls
    )


def _arguments(calls: Sequence[Call]) -> Counter[tuple[str, str]]:
    return Counter(
        leaf
        for name, values in calls
        for leaf in json_answers.leaves(json_answers.canonical(values), name)
    )
