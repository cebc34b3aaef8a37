"""Tool calls in the text of an answer are read if the answer ends with them."""

from typing import Any

import pytest

from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.rows import row_formats
from lockstep.records import Message
from tests.data.examples import make_source

CALL = '<tool_call>\n{"arguments": {"city": "Bern"}, "name": "weather"}\n</tool_call>'
QUESTION = {"from": "human", "value": "Weather?"}


def parse(answer: str, *turns: dict[str, Any]) -> list[Message]:
    row = {"conversations": [QUESTION, {"from": "gpt", "value": answer}, *turns]}
    return row_formats.parse_row(row, make_source("sharegpt"))[0].messages[1:]


def list_calls(message: Message) -> list[tuple[str, Any]]:
    functions = [call["function"] for call in message["tool_calls"]]
    return [(function["name"], function["arguments"]) for function in functions]


@pytest.mark.parametrize(
    ("answer", "content", "reasoning"),
    [
        (CALL, "", None),
        (f"I look.\n{CALL}\n", "I look.", None),
        (f"<think>\nLook.\n</think>\n{CALL}", "", "Look."),
        (f"<think>Look.</think>\n\nI look.\n{CALL}", "I look.", "Look."),
        (CALL.replace('"', "'"), "", None),
    ],
)
def test_calls_at_the_end_of_an_answer_are_read(
    answer: str, content: str, reasoning: str | None
) -> None:
    (message,) = parse(answer)
    assert list_calls(message) == [("weather", {"city": "Bern"})]
    assert (message["content"], message.get("reasoning_content")) == (content, reasoning)


def test_several_calls_and_their_results_are_read() -> None:
    result = {"from": "tool", "value": '<tool_response>\n{"t": 3}\n</tool_response>\n'}
    answer = {"from": "gpt", "value": "It is cold."}
    call, response, last = parse(f"{CALL}\n{CALL.replace('Bern', 'Rome')}", result, answer)
    assert [arguments["city"] for _, arguments in list_calls(call)] == ["Bern", "Rome"]
    assert (response["content"], last["content"]) == ('{"t": 3}', "It is cold.")


@pytest.mark.parametrize(
    "answer",
    [
        f"Write {CALL} to call it.",
        f"Write it so: {CALL} </tool_call>",
        "The tag <tool_call> begins a call.",
        f"`{CALL}`",
    ],
)
def test_a_text_about_calls_stays(answer: str) -> None:
    assert parse(answer) == [{"role": "assistant", "content": answer}]


@pytest.mark.parametrize("call", ["{", "{'a': {1}}", "weather()", '{"a": 1, "a": 2}'])
def test_a_call_that_cannot_be_read_rejects_the_row(call: str) -> None:
    with pytest.raises(InvalidRowError, match="tool_call_"):
        parse(f"<tool_call>{call}</tool_call>")


def test_an_argument_that_stands_twice_is_not_learnt() -> None:
    text = "<tool_call>{'name': 'f', 'arguments': {'x': 1, 'x': 2}}</tool_call>"
    with pytest.raises(InvalidRowError, match="tool_call_not_json"):
        parse(text)
