"""Calls with several right values: the results are those of the leaderboard's own checker."""

import json
from typing import Any

import pytest

from lockstep.data.rows import bfcl_rows
from lockstep.metrics import accepted_calls, tool_calls
from lockstep.metrics.registry import METRICS
from lockstep.predictions import Prediction

PROPERTIES: dict[str, Any] = {
    "city": {"type": "string"},
    "days": {"type": "integer"},
    "limit": {"type": "float"},
    "wet": {"type": "boolean"},
    "hours": {"type": "array", "items": {"type": "integer"}},
    "names": {"type": "tuple", "items": {"type": "string"}},
    "place": {"type": "dict", "properties": {"x": {"type": "integer"}, "note": {"type": "string"}}},
    "stops": {"type": "array", "items": {"type": "dict"}},
    "unit": {"type": "string"},
}
FUNCTIONS: list[dict[str, Any]] = [
    {
        "name": name,
        "parameters": {"type": "dict", "properties": PROPERTIES, "required": ["city"]},
    }
    for name in ("weather.get", "forecast")
]
CITY = {"city": ["Bern"]}


def weather(**arguments: Any) -> tuple[str, dict[str, Any]]:
    """Return a call, or the right answers to one; every call names the city."""
    return ("weather.get", arguments)


def answers(**arguments: list[Any]) -> list[tuple[str, dict[str, Any]]]:
    return [weather(city=["Bern"], **arguments)]


def calls(**arguments: Any) -> list[tuple[str, dict[str, Any]]]:
    return [weather(city="Bern", **arguments)]


PLACE = [{"x": [1, 2], "note": ["by the sea", ""]}]
TWO = [weather(city=["Bern", "Basel"]), weather(city=["Bern"])]

CASES: list[tuple[list[tuple[str, Any]], list[tuple[str, Any]], bool]] = [
    (answers(), calls(), True),
    ([weather(city=["New York, NY"])], [weather(city="new york ny")], True),
    ([weather(city=["St. John's"])], [weather(city='st-john"s')], True),
    ([weather(city=["Bern", "Berne"])], [weather(city="Berne")], True),
    (answers(), [weather(city="Basel")], False),
    (answers(), [weather()], False),
    (answers(), [("forecast", {"city": "Bern"})], False),
    (answers(), [("weather_get", {"city": "Bern"})], False),
    (answers(), calls(days=3), False),
    (answers(days=[3]), calls(days=3), True),
    (answers(days=[3]), calls(days=3.0), False),
    (answers(days=[3]), calls(days="3"), False),
    (answers(days=[1]), calls(days=True), False),
    (answers(days=[3]), calls(), False),
    (answers(days=[3, ""]), calls(), True),
    (answers(days=[3, ""]), calls(days=4), False),
    (answers(limit=[3]), calls(limit=3), True),
    (answers(limit=[3.5, 3.0]), calls(limit=3), True),
    (answers(limit=[3.5]), calls(limit=3.4), False),
    (answers(wet=[True]), calls(wet=True), True),
    (answers(wet=[True]), calls(wet="true"), False),
    (answers(hours=[[6, 7], [7, 6]]), calls(hours=[7, 6]), True),
    (answers(hours=[[6, 7]]), calls(hours=[7, 6]), False),
    (answers(hours=[[6, 7]]), calls(hours=[6]), False),
    (answers(hours=[[6, 7]]), calls(hours=["6", "7"]), False),
    (answers(names=[["An na", "Bo"]]), calls(names=["anna", "BO"]), True),
    (answers(place=PLACE), calls(place={"x": 2}), True),
    (answers(place=PLACE), calls(place={"x": 1, "note": "By the sea."}), True),
    (answers(place=PLACE), calls(place={"note": "by the sea"}), False),
    (answers(place=PLACE), calls(place={"x": 1, "y": 1}), False),
    (answers(place=[*PLACE, ""]), calls(), True),
    (answers(stops=[[{"x": [1]}, {"x": [2]}]]), calls(stops=[{"x": 1}, {"x": 2}]), True),
    (answers(stops=[[{"x": [1]}, {"x": [2]}]]), calls(stops=[{"x": 2}, {"x": 1}]), False),
    (answers(unit=["C", ""]), calls(unit=""), True),
    ([weather(city=["Bern", ""])], [weather()], False),
    ([weather(city=["Bern", ""])], [weather(city="")], True),
    ([*answers(), weather(city=["Basel"])], [weather(city="Basel"), *calls()], True),
    ([*answers(), weather(city=["Basel"])], calls(), False),
    (answers(), [*calls(), *calls()], False),
    (answers(), [], False),
    (TWO, [weather(city="Basel"), weather(city="Bern")], True),
    (TWO, [weather(city="Bern"), weather(city="Bern")], True),
    (TWO, [weather(city="Basel"), weather(city="Basel")], False),
]
"""Right answers, calls, and whether the leaderboard's ast_checker (bfcl-eval 2026.3.23, category
parallel) accepts the calls."""


def read_reference(truth: list[tuple[str, Any]]) -> str:
    """Return the reference of a record with these right answers."""
    tools = [{"type": "function", "function": function} for function in FUNCTIONS]
    accepted = bfcl_rows.read_accepted_calls([{name: values} for name, values in truth], tools)
    return json.dumps(accepted)


def write_calls(values: list[tuple[str, Any]]) -> str:
    return json.dumps([{"name": name, "arguments": arguments} for name, arguments in values])


@pytest.mark.parametrize(("truth", "answer", "is_right"), CASES)
def test_calls_are_right_where_the_leaderboard_says_so(
    truth: list[tuple[str, Any]], answer: list[tuple[str, Any]], is_right: bool
) -> None:
    assert tool_calls.call_match(read_reference(truth), write_calls(answer)) == is_right


def test_each_call_finds_its_partner_whatever_the_order() -> None:
    """The leaderboard takes the first call that fits, and so refuses this answer."""
    answer = [weather(city="Bern"), weather(city="Basel")]
    assert tool_calls.call_match(read_reference(TWO), write_calls(answer)) == 1


def test_no_call_is_right_where_none_is_accepted() -> None:
    assert tool_calls.call_match("[]", "It is late.") == 1
    assert tool_calls.call_match("[]", write_calls(calls())) == 0
    assert tool_calls.call_match("[]", '{"name": "weather.get", "argum') == 0


def test_an_answer_that_is_no_call_is_wrong() -> None:
    assert tool_calls.call_match(read_reference(answers()), "It rains.") == 0
    assert tool_calls.call_match(read_reference(answers()), '{"name": "weather.get", "arg') == 0


def test_metrics_equal_a_calculation_by_hand() -> None:
    truth = [weather(city=["Bern", "Berne"], days=[3], unit=["C", ""])]
    given = [
        (read_reference(truth), [weather(city="Berne", days=3)]),
        (read_reference(truth), [weather(city="Basel", days=3, unit="C")]),
        (read_reference(truth), [("forecast", {"city": "Bern"})]),
        (read_reference(truth), []),
        ("[]", []),
        ("[]", [weather(city="Bern")]),
    ]
    tools = [{"type": "function", "function": function} for function in FUNCTIONS]
    rows = [
        Prediction(id="", task="t", slices={}, question="", prompt="", reference=reference,
                   prediction=write_calls(answer) if answer else "No.", tools=tools)
        for reference, answer in given
    ]  # fmt: skip
    metrics = {name: metric.compute(rows) for name, metric in METRICS["calls"].items()}
    # correct, reference and predicted arguments: 2 2 2, 2 3 3, 0 2 1, 0 2 0, 0 0 1
    assert metrics == {
        "exact_match": 2 / 6,
        "call_decision_accuracy": 4 / 6,
        "valid": 3 / 4,
        "schema_valid": 3 / 4,
        "name_accuracy": 2 / 4,
        "argument_f1": pytest.approx(2 * 4 / (9 + 7)),
    }


def test_a_reference_of_calls_alone_is_another_one() -> None:
    assert accepted_calls.parse_reference(write_calls(calls())) is None
    assert accepted_calls.parse_reference('say "accepted_arguments"') is None
