"""Function calls: how chat templates write them, and their metrics."""

import json
import math
from typing import Any

import pytest

from lockstep.metrics import tool_calls
from lockstep.metrics.registry import METRICS
from lockstep.predictions import Prediction

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "clock"}}


def make_call(name: str, **arguments: Any) -> str:
    """Return the JSON of a call."""
    return json.dumps({"name": name, "arguments": arguments})


def compute_metrics(*pairs: tuple[str, str]) -> dict[str, float]:
    """Return the metrics of (reference, prediction) pairs of records that offer two functions."""
    rows = [
        Prediction(
            id=str(number), task="t", slices={}, question="", prompt="", reference=reference,
            prediction=prediction, tools=[WEATHER, CLOCK],
        )
        for number, (reference, prediction) in enumerate(pairs)
    ]  # fmt: skip
    return {name: metric.compute(rows) for name, metric in METRICS["calls"].items()}


@pytest.mark.parametrize(
    "answer",
    [
        '{"name": "weather", "arguments": {"city": "Bern"}}',
        '[{"name": "weather", "arguments": {"city": "Bern"}}]',
        '<tool_call>\n{"name": "weather", "arguments": {"city": "Bern"}}\n</tool_call>',
        'I look.\n<tool_call>{"name": "weather", "arguments": {"city": "Bern"}}</tool_call>\n',
        '[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Bern"}}]',
        '<|python_tag|>{"name": "weather", "parameters": {"city": "Bern"}}',
        '```json\n{"name": "weather", "arguments": {"city": "Bern"}}\n```',
        '{"function": {"name": "weather", "arguments": "{\\"city\\": \\"Bern\\"}"}}',
    ],
    ids=["bare", "list", "hermes", "after text", "mistral", "llama", "fence", "openai"],
)
def test_a_call_is_parsed_in_the_form_of_common_templates(answer: str) -> None:
    assert tool_calls.parse_calls(answer) == [("weather", {"city": "Bern"})]


def test_several_calls_are_parsed_in_order() -> None:
    marked = "".join(
        f"<tool_call>\n{make_call(name)}\n</tool_call>\n" for name in ("clock", "weather")
    )
    assert tool_calls.parse_calls(marked) == [("clock", {}), ("weather", {})]
    assert tool_calls.parse_calls(f"{make_call('clock')}; {make_call('weather')}") == [
        ("clock", {}),
        ("weather", {}),
    ]
    with_text = marked.replace("</tool_call>", "</tool_call> and then")
    assert tool_calls.parse_calls(f"First {with_text}.") == [("clock", {}), ("weather", {})]


def test_a_marker_within_an_argument_is_text() -> None:
    assert tool_calls.parse_calls(make_call("clock", note="<tool_call>")) == [
        ("clock", {"note": "<tool_call>"})
    ]


@pytest.mark.parametrize(
    "text",
    [
        "", "It is late.", '{"city": "Bern"}', "[1, 2]", '{"name": 3}', '{"name": "Bo", "age": 3}',
        "Take this:\n```python\nprint()\n```\nIt prints.",
    ],
)  # fmt: skip
def test_text_has_no_call(text: str) -> None:
    assert tool_calls.parse_calls(text) == []


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "cl', "<tool_call>now", '[TOOL_CALLS]{"arguments": {}}',
        '{"name": "clock", "argum', '[{"name": "clock", "arguments": {}}, {"na', "[" * 5000,
    ],
)  # fmt: skip
def test_a_broken_call_is_neither_a_call_nor_text(text: str) -> None:
    assert tool_calls.parse_calls(text) is None
    assert compute_metrics(("It is late.", text))["exact_match"] == 0
    assert compute_metrics(("It is late.", text))["call_decision_accuracy"] == 0


def test_calls_are_compared_in_any_order_and_arguments_by_value() -> None:
    both = f"[{make_call('clock')}, {make_call('weather', city='Bern', days=2)}]"
    reordered = f"[{make_call('weather', days=2.0, city='Bern')}, {make_call('clock')}]"
    assert compute_metrics((both, reordered))["exact_match"] == 1
    assert (
        compute_metrics((make_call("clock", on=True), make_call("clock", on=1)))["exact_match"] == 0
    )
    assert (
        compute_metrics((make_call("clock"), f"[{make_call('clock')}, {make_call('clock')}]"))[
            "exact_match"
        ]
        == 0
    )


def test_metrics_equal_a_calculation_by_hand() -> None:
    metrics = compute_metrics(
        (make_call("weather", city="Bern", days=2), make_call("weather", city="Bern", days=2)),
        (make_call("weather", city="Bern", days=2), make_call("weather", city="Bern", days=0)),
        (make_call("weather", city="Bern"), make_call("forecast", city="Bern")),
        (make_call("clock"), "It is noon."),
        ("Good morning.", "Hello."),
        ("Good morning.", make_call("clock")),
    )
    assert metrics == {
        "exact_match": 2 / 6,
        "call_decision_accuracy": 4 / 6,
        "valid": 3 / 4,
        "schema_valid": 1 / 4,  # wrong: days below 1, a function that is not offered, no call
        "name_accuracy": 2 / 4,
        "argument_f1": pytest.approx(2 * 3 / (6 + 6)),
    }


def test_argument_f1_is_not_defined_without_arguments() -> None:
    assert math.isnan(compute_metrics(("Good morning.", "Hello."))["argument_f1"])
