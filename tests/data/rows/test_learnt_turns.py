"""Learnt turns call declared functions, have finished reasoning, and results belong to calls."""

from typing import Any

import pytest

from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.rows import row_formats
from lockstep.data.rows.learnt_turns import check_learnt_turns
from tests.data.examples import make_source

SOURCE = make_source("messages")
TEST = make_source("bfcl", split="test")
USER = {"role": "user", "content": "Weather in Bern?"}
ANSWER = {"role": "assistant", "content": "Sunny."}
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}},
    {"type": "function", "function": {"name": "send_mail"}},
]


def make_call(name: str = "get_weather", call_id: str = "", **arguments: Any) -> dict[str, Any]:
    call = {"type": "function", "function": {"name": name, "arguments": arguments}}
    return {**call, "id": call_id} if call_id else call


def make_turn(*calls: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": [*calls], **keys}


def check(
    *turns: dict[str, Any], tools: list[dict[str, Any]] = TOOLS, is_published: bool = False
) -> dict[str, str]:
    row = {"messages": [USER, *turns], "tools": tools}
    (conversation,) = row_formats.parse_row(row, SOURCE)
    return check_learnt_turns(conversation, TEST if is_published else SOURCE)


def find_reason(*turns: dict[str, Any], **values: Any) -> tuple[str, str]:
    with pytest.raises(InvalidRowError) as error:
        check(*turns, **values)
    return str(error.value), error.value.detail


def test_a_call_of_an_undeclared_function_is_not_learnt() -> None:
    reason, detail = find_reason(make_turn(make_call("get_wether", city="Bern")))
    assert reason == "undeclared_function"
    assert detail == "tools do not declare get_wether; the nearest function is get_weather"
    result = {"role": "tool", "content": "sun"}
    earlier = [make_turn(make_call("mail")), result, ANSWER, USER, ANSWER]
    assert find_reason(*earlier)[1].endswith("declare mail; the nearest function is send_mail")


def test_a_turn_that_is_not_learnt_may_call_anything() -> None:
    result = {"role": "tool", "content": "sun"}
    assert check(make_turn(make_call("mail"), weight=0), result, ANSWER) == {}


def test_a_row_without_tools_declares_nothing() -> None:
    assert check(make_turn(make_call("mail", to="Ann")), tools=[]) == {}


def test_a_bad_answer_may_call_an_undeclared_function() -> None:
    row = {"messages": [USER, make_turn(make_call("mail"))], "tools": TOOLS, "label": False}
    (bad,) = row_formats.parse_row(row, make_source("unpaired_preference"))
    assert check_learnt_turns(bad, SOURCE) == {}
    (good,) = row_formats.parse_row(row | {"label": True}, make_source("unpaired_preference"))
    with pytest.raises(InvalidRowError, match="undeclared_function"):
        check_learnt_turns(good, SOURCE)


def test_the_test_of_a_benchmark_stays_as_published() -> None:
    found = check(make_turn(make_call("mail")), is_published=True)
    assert found == {
        "undeclared_function": "tools do not declare mail; the nearest function is send_mail"
    }


@pytest.mark.parametrize(
    ("arguments", "kind", "detail"),
    [
        ({"city": "Bern", "unit": "C"}, "unknown_argument", "get_weather has no parameter unit"),
        ({"days": 2}, "missing_argument", "get_weather: 'city' is a required property"),
        (
            {"city": "Bern", "days": "2"},
            "invalid_argument",
            "get_weather.days: '2' is not of type 'integer'",
        ),
    ],
)
def test_arguments_that_do_not_match_are_noted(
    arguments: dict[str, Any], kind: str, detail: str
) -> None:
    assert check(make_turn(make_call(**arguments))) == {kind: detail}


def test_the_first_example_of_each_kind_is_kept() -> None:
    calls = make_turn(make_call(days=1), make_call(unit="C"), make_call(town="Bern"))
    found = check(calls)
    assert found["unknown_argument"] == "get_weather has no parameter unit"
    assert found.keys() == {"missing_argument", "unknown_argument"}


@pytest.mark.parametrize(
    "parameters",
    [
        None,
        {},
        {"type": "object"},
        {"type": "object", "properties": {}, "additionalProperties": True},
        {"type": "object", "properties": {}, "patternProperties": {"^c": {}}},
        {"type": "object", "$ref": "#/missing"},
    ],
)
def test_a_function_that_restricts_nothing_takes_any_argument(parameters: Any) -> None:
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": parameters}}]
    assert check(make_turn(make_call(city="Bern")), tools=tools) == {}


def test_a_schema_may_say_itself_that_it_has_no_other_parameters() -> None:
    closed = PARAMETERS | {"additionalProperties": False}
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": closed}}]
    assert [*check(make_turn(make_call(city="Bern", unit="C")), tools=tools)] == [
        "unknown_argument"
    ]


def test_a_result_belongs_to_a_call() -> None:
    calls = make_turn(
        make_call(call_id="call_1", city="Bern"), make_call(call_id="call_2", city="Rome")
    )
    first, second, other = (
        {"role": "tool", "content": "sun", "tool_call_id": f"call_{number}"} for number in (1, 2, 9)
    )
    assert check(calls, second, first, ANSWER) == {}
    assert find_reason(calls, first, other, ANSWER) == (
        "result_without_call",
        "turn 4 has tool_call_id call_9, the calls before it have call_1, call_2",
    )


def test_an_id_matches_nothing_if_calls_have_none() -> None:
    result = {"role": "tool", "content": "sun", "tool_call_id": "call_9"}
    assert check(make_turn(make_call(city="Bern")), result, ANSWER) == {}


UNFINISHED = [
    "<think>\nThe user wants",
    "\n<think>The user wants",
    "<thinking>The user wants",
    "[THINK]The user wants",
    "Let me see.\n<think>\nThe user wants",
    "<think>a</think>One.\n<think>\nThe user wants",
]


@pytest.mark.parametrize("text", UNFINISHED)
def test_reasoning_without_an_end_is_not_learnt(text: str) -> None:
    reason, detail = find_reason({"role": "assistant", "content": text})
    assert reason == "reasoning_not_closed"
    assert "as truncated answers have" in detail
    turn = {"role": "assistant", "content": text, "weight": 0}
    assert check(turn, USER, ANSWER) == {}


def test_reasoning_without_an_end_before_calls_is_not_learnt() -> None:
    call = '<tool_call>{"name": "send_mail", "arguments": {}}</tool_call>'
    turn = {"role": "assistant", "content": f"<think>The user wants\n{call}"}
    assert find_reason(turn)[0] == "reasoning_not_closed"


@pytest.mark.parametrize(
    "text",
    [
        "<think>The user wants</think>Sunny.",
        "The user wants</think>Sunny.",
        "Models write <think> before they reason.",
        "```\n<think>\nYour thoughts\n```",
    ],
)
def test_finished_reasoning_and_texts_about_it_stay(text: str) -> None:
    assert check({"role": "assistant", "content": text}) == {}


@pytest.mark.parametrize("side", ["chosen", "rejected"])
def test_the_worse_answer_of_a_preference_may_be_truncated(side: str) -> None:
    row = {"prompt": "Hi", "chosen": "Hello", "rejected": "Bye", side: "<think>They"}
    (pair,) = row_formats.parse_row(row, make_source("preference"))
    if side == "rejected":
        assert check_learnt_turns(pair, SOURCE) == {}
    else:
        with pytest.raises(InvalidRowError, match="reasoning_not_closed"):
            check_learnt_turns(pair, SOURCE)


def test_plain_text_is_no_answer() -> None:
    source = make_source("text")
    (conversation,) = row_formats.parse_row({"text": "<think> is a mark."}, source)
    assert check_learnt_turns(conversation, source) == {}
