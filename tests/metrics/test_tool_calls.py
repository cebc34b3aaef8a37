"""Calls of functions, as chat templates of the field write them, and their figures."""

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


def call(name: str, **arguments: Any) -> str:
    return json.dumps({"name": name, "arguments": arguments})


def figures(*pairs: tuple[str, str]) -> dict[str, float]:
    rows = [
        Prediction(
            id=str(n), task="t", slices={}, question="", prompt="", reference=want,
            prediction=prediction,
            tools=[WEATHER, CLOCK],
        )
        for n, (want, prediction) in enumerate(pairs)
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
    ids=["bare", "list", "hermes", "behind text", "mistral", "llama", "fence", "openai"],
)
def test_a_call_is_read_as_the_templates_of_the_field_write_it(answer: str):
    assert tool_calls.parse_calls(answer) == [("weather", {"city": "Bern"})]


def test_several_calls_are_read_in_their_order():
    marked = "".join(f"<tool_call>\n{call(name)}\n</tool_call>\n" for name in ("clock", "weather"))
    assert tool_calls.parse_calls(marked) == [("clock", {}), ("weather", {})]
    assert tool_calls.parse_calls(f"{call('clock')}; {call('weather')}") == [
        ("clock", {}),
        ("weather", {}),
    ]
    said = marked.replace("</tool_call>", "</tool_call> and then")
    assert tool_calls.parse_calls(f"First {said}.") == [("clock", {}), ("weather", {})]


def test_a_mark_within_an_argument_is_text():
    assert tool_calls.parse_calls(call("clock", note="<tool_call>")) == [
        ("clock", {"note": "<tool_call>"})
    ]


@pytest.mark.parametrize(
    "text",
    [
        "", "It is late.", '{"city": "Bern"}', "[1, 2]", '{"name": 3}', '{"name": "Bo", "age": 3}',
        "Take this:\n```python\nprint()\n```\nIt prints.",
    ],
)  # fmt: skip
def test_text_calls_nothing(text: str):
    assert tool_calls.parse_calls(text) == []


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "cl', "<tool_call>now", '[TOOL_CALLS]{"arguments": {}}',
        '{"name": "clock", "argum', '[{"name": "clock", "arguments": {}}, {"na', "[" * 5000,
    ],
)  # fmt: skip
def test_a_broken_call_is_neither_a_call_nor_text(text: str):
    assert tool_calls.parse_calls(text) is None
    assert figures(("It is late.", text))["exact_match"] == 0
    assert figures(("It is late.", text))["called_rightly"] == 0


def test_calls_are_compared_in_any_order_and_arguments_by_value():
    both = f"[{call('clock')}, {call('weather', city='Bern', days=2)}]"
    other = f"[{call('weather', days=2.0, city='Bern')}, {call('clock')}]"
    assert figures((both, other))["exact_match"] == 1
    assert figures((call("clock", on=True), call("clock", on=1)))["exact_match"] == 0
    assert figures((call("clock"), f"[{call('clock')}, {call('clock')}]"))["exact_match"] == 0


def test_each_figure_counts_what_it_says():
    found = figures(
        (call("weather", city="Bern", days=2), call("weather", city="Bern", days=2)),
        (call("weather", city="Bern", days=2), call("weather", city="Bern", days=0)),
        (call("weather", city="Bern"), call("forecast", city="Bern")),
        (call("clock"), "It is noon."),
        ("Good morning.", "Hello."),
        ("Good morning.", call("clock")),
    )
    assert found == {
        "exact_match": 2 / 6,
        "called_rightly": 4 / 6,
        "valid": 3 / 4,
        "schema_valid": 1 / 4,  # days below 1, no such function, no call
        "name_accuracy": 2 / 4,
        "argument_f1": pytest.approx(2 * 3 / (6 + 6)),
    }


def test_where_no_call_is_expected_or_made_arguments_have_no_figure():
    assert math.isnan(figures(("Good morning.", "Hello."))["argument_f1"])
