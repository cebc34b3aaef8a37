"""Rows with the right calls in a column, as xlam-function-calling-60k has them."""

import json
from typing import Any

import pytest

from lockstep.data import json_schemas, tool_schemas
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.rows import row_formats, tool_parsing
from lockstep.data.rows.conversation import Conversation
from tests.data.examples import make_source

COLUMNS = {"prompt": "query", "completion": "answers"}
CALLS = [
    {"name": "weather", "arguments": {"city": "Bern", "days": 2}},
    {"name": "weather", "arguments": {"city": "Rome"}},
]
PARAMETERS = {
    "city": {"description": "Name", "type": "str"},
    "days": {"description": "Number", "type": "int", "default": 1},
    "units": {"description": "Units", "type": "List[str], optional"},
    "scale": {"description": "Scale", "type": "float, optional", "default": ""},
}
TOOLS = [{"name": "weather", "description": "Forecast", "parameters": PARAMETERS}]


def parse(answers: Any, tools: Any = None, **settings: Any) -> Conversation:
    row = {"query": "Weather?", "answers": answers, "tools": json.dumps(tools or TOOLS)}
    source = make_source("prompt_completion", columns=COLUMNS, **settings)
    return row_formats.parse_row(row, source)[0]


@pytest.mark.parametrize("answers", [CALLS, json.dumps(CALLS), json.dumps(CALLS, indent=1)])
def test_an_answer_of_calls_calls_the_tools(answers: Any) -> None:
    answer = parse(answers).messages[-1]
    assert answer["content"] == ""
    assert [call["function"] for call in answer["tool_calls"]] == CALLS


def test_one_call_needs_no_list() -> None:
    (call,) = parse(json.dumps(CALLS[1])).messages[-1]["tool_calls"]
    assert call["function"] == CALLS[1]


@pytest.mark.parametrize("text", ["No function fits.", '[{"name": "Ann", "age": 3}]', "[1]", "{x}"])
def test_another_answer_of_a_row_with_tools_stays_a_text(text: str) -> None:
    assert parse(text).messages[-1] == {"role": "assistant", "content": text}


def test_json_that_looks_like_calls_stays_a_text_without_tools() -> None:
    row = {"query": "Weather?", "answers": json.dumps(CALLS), "tools": "[]"}
    source = make_source("prompt_completion", columns=COLUMNS)
    (conversation,) = row_formats.parse_row(row, source)
    assert conversation.messages[-1]["content"] == json.dumps(CALLS)


def test_no_call_is_rejected_unless_the_row_is_a_test() -> None:
    with pytest.raises(InvalidRowError, match="no_call_to_learn"):
        parse("[]")
    conversation = parse("[]", split="test")
    assert conversation.accepted_calls == []
    assert "tool_calls" not in conversation.messages[-1]


def test_parameters_without_properties_become_json_schema() -> None:
    (tool,) = parse(CALLS).tools
    schema = tool["function"]["parameters"]
    assert schema["type"] == "object"
    assert schema["required"] == ["city"]
    assert {name: child["type"] for name, child in schema["properties"].items()} == {
        "city": "string", "days": "integer", "units": "array", "scale": "number",
    }  # fmt: skip
    assert schema["properties"]["days"]["description"] == "Number"
    assert schema["properties"]["units"]["items"] == {"type": "string"}
    json_schemas.check_schema(schema)
    assert json_schemas.matches_schema({"city": "Bern", "units": ["C"]}, schema)
    assert not json_schemas.matches_schema({"city": "Bern", "units": [1]}, schema)
    assert not json_schemas.matches_schema({"days": 2}, schema)


@pytest.mark.parametrize("parameters", [{}, {"type": "object", "properties": {"a": {}}}, None])
def test_other_parameters_stay_as_they_are(parameters: Any) -> None:
    (tool,) = tool_parsing.parse_tools([{"name": "f", "parameters": parameters}])
    assert tool["function"]["parameters"] == parameters


def test_a_type_in_brackets_has_items() -> None:
    schema = tool_schemas.normalize_parameters({"properties": {"n": {"type": "List[int]"}}})
    assert schema["properties"]["n"] == {"type": "array", "items": {"type": "integer"}}


def test_textual_calls_of_toolace_need_the_role_of_the_results() -> None:
    turns = [
        {"from": "user", "value": "Weather?"},
        {"from": "assistant", "value": '[weather(city="Bern")]'},
        {"from": "tool", "value": "[{}]"},
        {"from": "assistant", "value": "It is 3 degrees."},
    ]
    row = {"system": "You can call weather.", "conversations": turns}
    with pytest.raises(InvalidRowError) as error:
        row_formats.parse_row(row, make_source("sharegpt"))
    assert error.value.detail.endswith("set roles: {tool: user}")
    (conversation,) = row_formats.parse_row(row, make_source("sharegpt", roles={"tool": "user"}))
    assert [message["role"] for message in conversation.messages] == [
        "system", "user", "assistant", "user", "assistant",
    ]  # fmt: skip
