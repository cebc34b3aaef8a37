"""Functions between <tools> tags become tools, and are not shown twice."""

import json
from typing import Any

import pytest

from tests.data.rows.test_row_formats import find_reason, make_turns, parse_row

FUNCTION = {"name": "rain", "description": "Will it rain?", "parameters": {"type": "object"}}
TOOLS = [{"type": "function", "function": FUNCTION}]
HERMES = (
    "You are a function calling AI model. You are provided with function signatures within <tools> "
    "</tools> XML tags. You may call one or more functions to assist with the user query. Ask if a "
    "value is missing.\n<tools>\n{}\n</tools>\nFor each function call return a json object with "
    "function name and arguments within <tool_call> </tool_call> tags with the following schema:\n"
    "<tool_call>\n{{'arguments': <args-dict>, 'name': <function-name>}}\n</tool_call>"
)
QWEN = (
    "Be brief.\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n{}\n"
    "</tools>\n\nFor each function call, return a json object with function name and arguments "
    "within <tool_call></tool_call> XML tags:\n<tool_call>\n"
    '{{"name": <function-name>, "arguments": <args-json-object>}}\n</tool_call>'
)


def make_row(system: str, **columns: Any) -> dict[str, Any]:
    turns = [{"role": "system", "content": system}, *make_turns("Rain?", "Yes.")]
    return {"messages": turns, **columns}


@pytest.mark.parametrize("text", [json.dumps(TOOLS), str(TOOLS), json.dumps(FUNCTION)])
def test_tools_leave_the_system_message(text: str) -> None:
    conversation = parse_row("messages", make_row(HERMES.format(text)))
    assert conversation.tools == TOOLS
    assert conversation.messages[0]["content"] == (
        "You are a function calling AI model. Ask if a value is missing."
    )


def test_what_else_a_system_message_says_stays() -> None:
    lines = "\n".join(json.dumps(tool) for tool in [*TOOLS, *TOOLS])
    conversation = parse_row("messages", make_row(QWEN.format(lines)))
    assert conversation.tools == TOOLS * 2
    assert conversation.messages[0]["content"] == "Be brief."
    bare = QWEN.format(lines).removeprefix("Be brief.")
    assert parse_row("messages", make_row(bare)).messages == make_turns("Rain?", "Yes.")


def test_tools_of_a_column_are_the_same_tools() -> None:
    row = make_row(HERMES.format(str(TOOLS)), tools=json.dumps(TOOLS))
    conversation = parse_row("messages", row)
    assert conversation.tools == TOOLS and "<tools>" not in conversation.messages[0]["content"]
    other = [{"name": "sun", "parameters": {"type": "object"}}]
    assert find_reason("messages", {**row, "tools": other}) == "two_tools_columns"


@pytest.mark.parametrize("text", ["Wrap lists in <tools></tools>.", "<tools>\n[{]\n</tools> Rain"])
def test_a_message_without_readable_tools_stays(text: str) -> None:
    conversation = parse_row("messages", make_row(text))
    assert conversation.messages[0]["content"] == text and conversation.tools == []
