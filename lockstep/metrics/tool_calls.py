"""Compare the function calls that a model generates with the reference calls.

Calls are compared by name and arguments, in any order. A record may also expect no call at all.
Calls of a record are compared exactly; a reference that accepts several values of an argument is
compared as the Berkeley Function Calling Leaderboard does (`accepted_calls`).
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from lockstep.data import json_schemas, tool_schemas
from lockstep.metrics import accepted_calls, json_answers
from lockstep.metrics.accepted_calls import AcceptedCall, Call
from lockstep.metrics.aggregation import Numbers, divide_sums
from lockstep.predictions import Prediction

MARKS = ("<tool_call>", "[TOOL_CALLS]", "<|python_tag|>")
"""Marks before calls in the chat templates of Hermes and Qwen, of Mistral, and of Llama."""
_MARK = re.compile("|".join(map(re.escape, MARKS)))
_SEPARATORS = re.compile(r"[\s,;]*")
_KEYS = {"name", "arguments", "parameters", "id", "type"}
"""Keys that a call may have."""


def parse_calls(answer: str) -> list[Call] | None:
    """Return the calls in an answer, [] if it is plain text, None if a call cannot be read.

    A call is a JSON object with `name` and `arguments` (Llama: `parameters`). Several calls follow
    each other or are items of a list. They are the whole answer, possibly in a code fence, or
    follow a mark of a chat template, with text around them. An answer that begins like JSON but is
    not JSON, such as a truncated call, counts as a call that cannot be read: not every template
    has a mark.
    """
    if json_answers.is_too_deep(answer):
        return None
    text = json_answers.strip_code_fence(answer).strip()
    mark = _MARK.search(text)
    if text[:1] in ("{", "[") and not (mark and mark.start() == 0):
        values, end = _read_values(text, 0)
        return (_convert_calls(values) or []) if end == len(text) else None
    calls: list[Call] = []
    while mark:
        values, end = _read_values(text, mark.end())
        marked_calls = _convert_calls(values)
        if not marked_calls:
            return None
        calls += marked_calls
        mark = _MARK.search(text, end)
    return calls


def find_calls(answer: str) -> int:
    """Return the place in an answer from which its calls stand, if it has any.

    It is the length of an answer that has no mark and does not begin like JSON or a code fence.
    """
    if answer.lstrip()[:1] in {"{", "[", "`"}:
        return 0
    mark = _MARK.search(answer)
    return mark.start() if mark else len(answer)


def parse_reference(reference: str) -> list[Call] | list[AcceptedCall] | None:
    """Return the expected calls, [] if none is expected, None if they cannot be read."""
    accepted = accepted_calls.parse_reference(reference)
    return parse_calls(reference) if accepted is None else accepted


def call_match(reference: str, prediction: str) -> float:
    """Return 1 if the calls are the expected ones, in any order, or if neither text has a call."""
    calls = parse_calls(prediction)
    if calls is None:
        return 0.0
    accepted = accepted_calls.parse_reference(reference)
    if accepted is not None:
        return float(accepted_calls.match_calls(accepted, calls))
    return float(_count_calls(parse_calls(reference) or []) == _count_calls(calls))


def call_decision_match(reference: str, prediction: str) -> float:
    """Return 1 if the prediction calls a function exactly when the reference does.

    The leaderboard names the two cases relevance and irrelevance detection.
    """
    return float(bool(parse_reference(reference)) == (parse_calls(prediction) != []))


def count_readable_calls(predictions: Sequence[Prediction]) -> Numbers:
    """Return (the calls can be read, a call is expected) of each record, (records, 2)."""
    return _count_where_called(
        predictions, [bool(parse_calls(row.prediction)) for row in predictions]
    )


def count_schema_matches(predictions: Sequence[Prediction]) -> Numbers:
    """Return (all calls match the record's tools, a call is expected), (records, 2).

    A call matches if the record offers the function and the arguments match its JSON Schema.
    """
    return _count_where_called(predictions, [_matches_tools(row) for row in predictions])


def count_name_matches(predictions: Sequence[Prediction]) -> Numbers:
    """Return (the expected functions are called, a call is expected), (records, 2)."""

    def has_expected_names(row: Prediction) -> bool:
        expected, calls = parse_reference(row.reference) or [], parse_calls(row.prediction) or []
        return sorted(call[0] for call in expected) == sorted(call[0] for call in calls)

    return _count_where_called(predictions, [has_expected_names(row) for row in predictions])


def count_arguments(predictions: Sequence[Prediction]) -> Numbers:
    """Count (correct, reference, predicted) arguments of all calls, (records, 3).

    An argument is correct if function, name and value are equal, or if the value is accepted.
    """

    def count(row: Prediction) -> tuple[int, int, int]:
        accepted = accepted_calls.parse_reference(row.reference)
        if accepted is not None:
            return accepted_calls.count_arguments(accepted, parse_calls(row.prediction) or [])
        expected = _count_call_arguments(parse_calls(row.reference) or [])
        predicted = _count_call_arguments(parse_calls(row.prediction) or [])
        return (expected & predicted).total(), expected.total(), predicted.total()

    return np.array([count(row) for row in predictions], dtype=float)


def argument_f1(sums: Numbers) -> Numbers:
    """Return the F1 of arguments over all records; NaN if there are no arguments."""
    correct, expected, predicted = np.moveaxis(sums, -1, 0)
    return divide_sums(np.stack([2 * correct, expected + predicted], axis=-1))


def _count_where_called(predictions: Sequence[Prediction], is_correct: Sequence[bool]) -> Numbers:
    """Return (correct and a call is expected, a call is expected), (records, 2)."""
    is_expected = [bool(parse_reference(row.reference)) for row in predictions]
    pairs = zip(is_correct, is_expected, strict=True)
    return np.array([(correct and expected, expected) for correct, expected in pairs], dtype=float)


def _matches_tools(row: Prediction) -> bool:
    functions = {tool["function"]["name"]: tool["function"] for tool in row.tools}
    calls = parse_calls(row.prediction) or []
    return bool(calls) and all(
        name in functions
        and json_schemas.matches_schema(
            arguments, tool_schemas.normalize_parameters(functions[name].get("parameters"))
        )
        for name, arguments in calls
    )


def _read_values(text: str, start: int) -> tuple[list[Any], int]:
    """Return the JSON values that follow each other from `start`, and where they end.

    The items of a list count as values of their own.
    """
    values: list[Any] = []
    while (start := _skip_separators(text, start)) < len(text):
        try:
            value, start = json_answers.DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            break
        values += value if isinstance(value, list) else [value]
    return values, start


def _skip_separators(text: str, start: int) -> int:
    separators = _SEPARATORS.match(text, start)
    return separators.end() if separators else start


def _convert_calls(values: Sequence[Any]) -> list[Call] | None:
    """Convert JSON values to calls; None if one of them is not a call."""
    calls = [_convert_call(value) for value in values]
    return None if None in calls else [call for call in calls if call]


def _convert_call(value: Any) -> Call | None:
    """Convert a JSON value to a call; None if it is not a call.

    The arguments may be a JSON text, and the call may be wrapped in `function`, as in OpenAI's API.
    """
    if isinstance(value, dict) and "function" in value:
        value = value["function"]
    if not isinstance(value, dict) or not value.keys() <= _KEYS:
        return None
    name, arguments = value.get("name"), value.get("arguments", value.get("parameters", {}))
    if isinstance(arguments, str):
        arguments = json_answers.parse_json(arguments)
    return (name, arguments) if isinstance(name, str) and isinstance(arguments, dict) else None


def _count_calls(calls: Sequence[Call]) -> Counter[str]:
    return Counter(
        json.dumps([name, json_answers.normalize(arguments)], sort_keys=True, default=str)
        for name, arguments in calls
    )


def _count_call_arguments(calls: Sequence[Call]) -> Counter[tuple[str, str]]:
    return Counter(
        leaf
        for name, arguments in calls
        for leaf in json_answers.iterate_leaves(json_answers.normalize(arguments), name)
    )
