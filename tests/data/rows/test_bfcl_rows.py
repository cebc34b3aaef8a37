"""Rows of the function calling leaderboard: turns, right calls, and one that stands for them."""

import json
from typing import Any

import pytest

from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.rows import row_formats
from lockstep.data.rows.conversation import Conversation
from tests.data import examples

LAMP = {
    "name": "lamp.set",
    "parameters": {
        "type": "dict",
        "properties": {
            "room": {"type": "string"},
            "level": {"type": "float"},
            "colors": {"type": "array", "items": {"type": "float"}},
        },
        "required": ["room"],
    },
}
DOOR = {"name": "open", "parameters": {"type": "dict", "properties": {"door": {"type": "string"}}}}
QUESTION = [[{"role": "user", "content": "Light in the hall, please."}]]
TURNS = [*QUESTION, [{"role": "user", "content": "And now the door."}]]


def parse(split: str = "test", **values: Any) -> list[Conversation]:
    row = {"id": "a_0", "question": QUESTION, "function": [LAMP, DOOR], **values}
    return row_formats.parse_row(row, examples.make_source("bfcl", split=split))


def get_calls(message: dict[str, Any]) -> list[tuple[str, Any]]:
    functions = [call["function"] for call in message["tool_calls"]]
    return [(function["name"], function["arguments"]) for function in functions]


def test_the_answer_is_the_first_of_the_right_calls() -> None:
    truth = [{"lamp.set": {"room": ["hall", "Hall"], "level": [1, ""], "colors": [[1, 2]]}}]
    (conversation,) = parse(ground_truth=truth)
    question, answer = conversation.messages
    assert question == QUESTION[0][0]
    assert get_calls(answer) == [("lamp.set", {"room": "hall", "colors": [1.0, 2.0]})]
    arguments = {"room": ["hall", "Hall"], "level": [1.0, ""], "colors": [[1.0, 2.0]]}
    assert repr(conversation.accepted_calls) == repr(
        [{"name": "lamp.set", "accepted_arguments": arguments}]
    )
    assert [tool["function"] for tool in conversation.tools] == [LAMP, DOOR]


def test_no_call_is_right_if_the_list_is_empty() -> None:
    (conversation,) = parse(ground_truth=[])
    assert conversation.accepted_calls == []
    assert "tool_calls" not in conversation.messages[-1]


def test_calls_may_be_json_in_the_cells_of_a_table() -> None:
    """Other sets of calls have such columns: a question, the functions, and {name, arguments}."""
    truth = json.dumps([{"name": "lamp.set", "arguments": {"room": "hall", "level": 1}}])
    (row,) = parse(
        "train", question="Light!", function=json.dumps([LAMP, DOOR]), ground_truth=truth
    )
    assert get_calls(row.messages[-1]) == [("lamp.set", {"room": "hall", "level": 1.0})]
    assert [tool["function"] for tool in row.tools] == [LAMP, DOOR]


def test_a_text_that_stands_for_no_call_is_not_learnt() -> None:
    for split in ("auto", "train", "validation"):
        with pytest.raises(InvalidRowError, match="no_call_to_learn"):
            parse(split, ground_truth=[])


@pytest.mark.parametrize("question", ["Light!", [{"role": "user", "content": "Light!"}]])
def test_a_question_may_be_a_text_or_a_list_of_messages(question: Any) -> None:
    (conversation,) = parse(question=question, ground_truth=[])
    assert conversation.messages[0] == {"role": "user", "content": "Light!"}


def test_each_turn_is_a_record_with_the_right_calls_of_earlier_turns() -> None:
    truth = [["lamp.set('hall', level=3)", "open(door='a')"], [{"open": {"door": ["front"]}}]]
    first, second = parse(question=TURNS, ground_truth=truth)
    calls = [("lamp.set", {"room": "hall", "level": 3.0}), ("open", {"door": "a"})]
    assert get_calls(first.messages[-1]) == calls
    roles = [message["role"] for message in second.messages]
    assert roles == ["user", "assistant", "tool", "tool", "assistant", "user", "assistant"]
    assert second.messages[:2] == first.messages
    assert get_calls(second.messages[-1]) == [("open", {"door": "front"})]


def test_training_learns_each_call_once_and_no_answer_that_stands_between() -> None:
    truth = [["open('a')"], ["open('b')"]]
    _, second = parse("train", question=TURNS, ground_truth=truth)
    weights = [row.get("weight") for row in second.messages if row["role"] == "assistant"]
    assert weights == [0, 0, None]
    _, second = parse(question=TURNS, ground_truth=truth)
    assert not any("weight" in message for message in second.messages)


def test_functions_that_a_row_excludes_or_adds_later_are_not_offered_before() -> None:
    conversations = parse(
        question=[*TURNS, []], ground_truth=[[], [], ["open('front')"]],
        function=[LAMP, DOOR, {"name": "close"}], excluded_function=["close"],
        missed_function={"2": ["open"]},
    )  # fmt: skip
    names = [[tool["function"]["name"] for tool in row.tools] for row in conversations]
    assert names == [["lamp.set"], ["lamp.set"], ["lamp.set", "open"]]
    assert conversations[2].messages[-2]["role"] == "user"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "missing_ground_truth"),
        ({"ground_truth": None}, "ground_truth_is_null"),
        ({"ground_truth": "open()"}, "ground_truth_not_json"),
        ({"ground_truth": [{"open": {}, "lamp.set": {}}]}, "ground_truth_not_calls"),
        ({"ground_truth": [{"open": ["front"]}]}, "ground_truth_not_calls"),
        ({"ground_truth": ["open"]}, "ground_truth_not_calls"),
        ({"ground_truth": ["open(__import__('os').getcwd())"]}, "ground_truth_not_calls"),
        ({"ground_truth": ["open('a', 'b')"]}, "ground_truth_not_calls"),
        ({"question": TURNS, "ground_truth": [[]]}, "ground_truth_of_other_turns"),
        ({"question": 3, "ground_truth": []}, "question_not_turns"),
        ({"function": None, "ground_truth": []}, "function_is_null"),
    ],
)
def test_a_row_that_cannot_be_read_is_refused_by_name(values: Any, reason: str) -> None:
    with pytest.raises(InvalidRowError) as error:
        parse(**values)
    assert str(error.value) == reason
