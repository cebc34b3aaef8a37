"""Calls of functions that a model writes, held against those that were expected.

As on the Berkeley Function Calling Leaderboard (Patil et al., 2025): calls are compared by name and
arguments, in any order, and where none is expected, none is right.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from stages.scoring import schemas, scores
from stages.scoring.aggregates import Numbers
from stages.scoring.predictions import Prediction

Call = tuple[str, dict[str, Any]]
"""Name and arguments."""

_MARK = r"</?tool_call>|\[/?TOOL_CALLS\]|<\|python_tag\|>|```(?:json)?"
"""What templates put around calls: those of Hermes and Qwen, Mistral, Llama; and a code fence."""
_MARKED = re.compile(_MARK)
_BETWEEN = re.compile(rf"(?:[\s,;]|{_MARK})*")


def parsed(answer: str) -> list[Call] | None:
    """The calls of an answer as written, [] where it is text, None where none could be read.

    They are JSON objects or lists of them: the whole answer, or all behind the first mark of a
    template.
    """
    mark = _MARKED.search(answer)
    for start in (0, mark.end() if mark else 0):
        calls = _calls(_values(answer, start))
        if calls:
            return calls
    return None if mark else []


def same(expected: str, got: str) -> float:
    """1 where the calls are those expected, in any order, or none is and none was expected."""
    have = parsed(got)
    return float(have is not None and _counted(parsed(expected) or []) == _counted(have))


def decided(expected: str, got: str) -> float:
    """1 where something is called as expected, whatever it is, or nothing."""
    return float(bool(parsed(expected)) == (parsed(got) != []))


def readable(rows: Sequence[Prediction]) -> Numbers:
    """(records, 2): a call could be read, and one was expected."""
    return _where_called(rows, [bool(parsed(row.got)) for row in rows])


def fitting(rows: Sequence[Prediction]) -> Numbers:
    """(records, 2): each call is of a function that the record offers, with arguments that keep its
    schema, and one was expected."""
    return _where_called(rows, [_fits(row) for row in rows])


def named(rows: Sequence[Prediction]) -> Numbers:
    """(records, 2): the functions called are those expected, and one was expected."""

    def names(answer: str) -> list[str]:
        return sorted(name for name, _ in parsed(answer) or [])

    return _where_called(rows, [names(row.expected) == names(row.got) for row in rows])


def arguments(rows: Sequence[Prediction]) -> Numbers:
    """(records, 3): arguments, with the function's name, that are right, expected and given."""

    def counted(row: Prediction) -> tuple[int, int, int]:
        want, have = (_arguments(parsed(text) or []) for text in (row.expected, row.got))
        return (want & have).total(), want.total(), have.total()

    return np.array([counted(row) for row in rows], dtype=float)


def _where_called(rows: Sequence[Prediction], right: Sequence[bool]) -> Numbers:
    expected = [bool(parsed(row.expected)) for row in rows]
    return np.array([(a and b, b) for a, b in zip(right, expected, strict=True)], dtype=float)


def _fits(row: Prediction) -> bool:
    known = {tool["function"]["name"]: tool["function"] for tool in row.tools}
    calls = parsed(row.got) or []
    return bool(calls) and all(
        name in known and schemas.fits(values, known[name].get("parameters") or {})
        for name, values in calls
    )


def _values(text: str, place: int) -> list[Any]:
    """JSON values one behind the other; [] where anything else stands between or behind them."""
    found: list[Any] = []
    while (place := _behind(text, place)) < len(text):
        try:
            value, place = scores.DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            return []
        found += value if isinstance(value, list) else [value]
    return found


def _behind(text: str, place: int) -> int:
    """Where the next value begins."""
    between = _BETWEEN.match(text, place)
    return between.end() if between else place


def _calls(values: Sequence[Any]) -> list[Call]:
    """Of JSON values; [] where one of them is no call."""
    found = [_call(value) for value in values]
    return [] if None in found else [call for call in found if call]


def _call(value: Any) -> Call | None:
    """Name and arguments, these also as a JSON text or, as Llama writes them, `parameters`."""
    function = value.get("function", value) if isinstance(value, dict) else {}
    if not isinstance(function, dict):
        return None
    name, given = function.get("name"), function.get("arguments", function.get("parameters", {}))
    given = scores.parsed(given) if isinstance(given, str) else given
    return (name, given) if isinstance(name, str) and isinstance(given, dict) else None


def _counted(calls: Sequence[Call]) -> Counter[str]:
    return Counter(
        json.dumps([name, scores.canonical(values)], sort_keys=True, default=str)
        for name, values in calls
    )


def _arguments(calls: Sequence[Call]) -> Counter[tuple[str, str]]:
    return Counter(
        leaf for name, values in calls for leaf in scores.leaves(scores.canonical(values), name)
    )
