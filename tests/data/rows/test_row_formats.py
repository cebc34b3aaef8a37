"""Each format gives the conversation in its rows, or the reason why there is none."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.rows import row_formats
from lockstep.data.rows.conversation import Conversation
from lockstep.data.source_formats import REQUIRED_FIELDS
from tests.data.examples import make_source


def parse_row(format: str, row: dict[str, Any], **values: Any) -> Conversation:
    (conversation,) = row_formats.parse_row(row, make_source(format, **values))
    return conversation


def find_reason(format: str, row: dict[str, Any], **values: Any) -> str:
    with pytest.raises(InvalidRowError) as error:
        parse_row(format, row, **values)
    return str(error.value)


def make_turns(*texts: str) -> list[dict[str, str]]:
    """Return messages of user, assistant, user …"""
    return [
        {"role": ("user", "assistant")[number % 2], "content": text}
        for number, text in enumerate(texts)
    ]


def make_sharegpt(*turns: tuple[str, str]) -> dict[str, Any]:
    return {"conversations": [{"from": name, "value": text} for name, text in turns]}


ALPACA = {"instruction": "c", "output": "d"}
TYPED_PARTS = {"role": "user", "content": [{"type": "text", "text": "a"}]}


@pytest.mark.parametrize(
    ("format", "row", "messages"),
    [
        ("alpaca", {"instruction": "Do", "input": "x", "output": "Hi"}, make_turns("Do\nx", "Hi")),
        ("alpaca", {"instruction": "Do", "input": None, "output": "Hi"}, make_turns("Do", "Hi")),
        ("alpaca", {"input": "Do", "output": "Hi"}, make_turns("Do", "Hi")),
        ("alpaca", {"instruction": " ", "input": "Do", "output": "Hi"}, make_turns("Do", "Hi")),
        ("alpaca", {**ALPACA, "history": [["a", "b"]]}, make_turns("a", "b", "c", "d")),
        ("alpaca", {**ALPACA, "history": '[["a", "b"]]'}, make_turns("a", "b", "c", "d")),
        ("messages", {"messages": make_turns("a", "b")}, make_turns("a", "b")),
        ("messages", {"messages": json.dumps(make_turns("a", "b"))}, make_turns("a", "b")),
        ("messages", {"messages": [TYPED_PARTS, *make_turns("", "b")[1:]]}, make_turns("a", "b")),
        ("sharegpt", make_sharegpt(("human", "a"), ("gpt", "b")), make_turns("a", "b")),
        (
            "sharegpt",
            make_sharegpt(("sys", "s"), ("usr", "a"), ("bot", "b")),
            [{"role": "system", "content": "s"}, *make_turns("a", "b")],
        ),
        ("prompt_completion", {"prompt": "a", "completion": "b"}, make_turns("a", "b")),
        (
            "prompt_completion",
            {"prompt": make_turns("a", "b", "c"), "completion": make_turns("", "d")[1:]},
            make_turns("a", "b", "c", "d"),
        ),
        (
            "prompt_completion",
            {"prompt": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:", "completion": "d"},
            make_turns("a", "b", "c", "d"),
        ),
        (
            "prompt_completion",
            {"prompt": json.dumps(make_turns("a", "b", "c")), "completion": '[{"value": 5}]'},
            make_turns("a", "b", "c", '[{"value": 5}]'),
        ),
        ("classification", {"text": "a", "label": "b"}, make_turns("a", "b")),
        ("regression", {"text": "a", "value": 0.25}, make_turns("a", "0.25")),
        ("regression", {"text": "a", "value": "-3"}, make_turns("a", "-3")),
        ("regression", {"text": "a", "value": 1234567.25}, make_turns("a", "1234567.25")),
        ("text", {"text": "a b c"}, [{"role": "assistant", "content": "a b c"}]),
    ],
)  # fmt: skip
def test_each_format_gives_a_conversation(
    format: str, row: dict[str, Any], messages: list[dict[str, str]]
) -> None:
    assert parse_row(format, row) == Conversation(messages)


def test_turns_in_python_s_notation_are_no_text() -> None:
    row = {"prompt": str(make_turns("it's", "b", "c")), "completion": "d"}
    assert find_reason("prompt_completion", row) == "prompt_not_json"
    row["prompt"] = "[{'value': 5}]"
    assert parse_row("prompt_completion", row).messages == make_turns(row["prompt"], "d")


def test_roles_may_be_mapped() -> None:
    row = make_sharegpt(("Kunde", "a"), ("Shop", "b"))
    assert find_reason("sharegpt", row) == "unknown_role"
    roles = {"Kunde": "user", "Shop": "assistant"}
    assert parse_row("sharegpt", row, roles=roles).messages == make_turns("a", "b")


CALL = {"name": "track", "arguments": {"order": "A1", "lines": [1, 2]}}
CALLING: dict[str, Any] = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"type": "function", "function": CALL}],
}
TOOL = {"name": "track", "description": "Where a parcel is", "parameters": {"type": "object"}}


def test_tool_calls_of_sharegpt_and_openai_give_the_same_conversation() -> None:
    from_sharegpt = {
        **make_sharegpt(
            ("human", "Where is A1?"),
            ("function_call", json.dumps(CALL)),
            ("observation", '{"at": "Lyon"}'),
            ("gpt", "In Lyon."),
        ),
        "tools": json.dumps([TOOL]),
    }
    call = {"type": "function", "function": {**CALL, "arguments": json.dumps(CALL["arguments"])}}
    from_openai = {
        "messages": [
            {"role": "user", "content": "Where is A1?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": '{"at": "Lyon"}'},
            {"role": "assistant", "content": "In Lyon."},
        ],
        "tools": [{"type": "function", "function": TOOL}],
    }
    expected = Conversation(
        [
            {"role": "user", "content": "Where is A1?"},
            CALLING,
            {"role": "tool", "content": '{"at": "Lyon"}'},
            {"role": "assistant", "content": "In Lyon."},
        ],
        tools=[{"type": "function", "function": TOOL}],
    )
    assert parse_row("sharegpt", from_sharegpt) == expected
    assert parse_row("messages", from_openai) == expected


def test_typed_parts_may_contain_reasoning_and_several_calls() -> None:
    parts = [
        {"type": "reasoning", "value": "Look it up."},
        {"type": "tool_call", "value": json.dumps(CALL)},
        {"type": "tool_call", "value": json.dumps(CALL)},
    ]
    row = {"messages": [*make_turns("Where?"), {"role": "assistant", "content": parts}]}
    assert parse_row("messages", row).messages[-1] == {
        "role": "assistant",
        "content": "",
        "reasoning_content": "Look it up.",
        "tool_calls": CALLING["tool_calls"] * 2,
    }


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("track(A1)", "tool_call_not_json"),
        ("[]", "tool_call_without_name"),
        ('{"arguments": {}}', "tool_call_without_name"),
        ('{"name": "a", "arguments": "{"}', "tool_call_arguments_not_json"),
        ('{"name": "a", "arguments": [1]}', "tool_call_arguments_not_an_object"),
        ('{"name": "a", "arguments": {"x": ["<|im_end|>"]}}', "control_token"),
    ],
)
def test_an_invalid_tool_call_is_named(call: str, expected: str) -> None:
    assert (
        find_reason("sharegpt", make_sharegpt(("human", "a"), ("function_call", call))) == expected
    )


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        ("{", "tools_not_json"),
        ([{"description": "x"}], "tool_without_name"),
        (7, "tool_without_name"),
    ],
)
def test_invalid_tools_are_named(tools: Any, expected: str) -> None:
    assert find_reason("messages", {"messages": make_turns("a", "b"), "tools": tools}) == expected


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "a", "chosen": "b", "rejected": "c"},
        {
            "prompt": make_turns("a"),
            "chosen": make_turns("", "b")[1],
            "rejected": make_turns("", "c")[1:],
        },
        {"prompt": "a", "chosen": make_turns("a", "b"), "rejected": make_turns("a", "c")},
    ],
)
def test_a_preference_has_a_chosen_and_a_rejected_answer(row: dict[str, Any]) -> None:
    assert parse_row("preference", row) == Conversation(make_turns("a", "b"), rejected="c")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "a", "chosen": "b"}, "missing_rejected"),
        ({"chosen": "b", "rejected": "c"}, "missing_prompt"),
        ({"prompt": "a", "chosen": "b", "rejected": "b"}, "chosen_equals_rejected"),
        (
            {"chosen": make_turns("a", "b"), "rejected": make_turns("x", "c")},
            "transcripts_differ_before_the_answer",
        ),
        (
            {"chosen": make_turns("a", "b", "c"), "rejected": make_turns("a", "b", "d")},
            "rejected_is_no_answer",
        ),
        (
            {"prompt": "x", "chosen": make_turns("a", "b"), "rejected": make_turns("a", "c")},
            "prompt_not_in_transcripts",
        ),
    ],
)  # fmt: skip
def test_an_invalid_preference_is_named(row: dict[str, Any], expected: str) -> None:
    assert find_reason("preference", row) == expected


@pytest.mark.parametrize(
    ("label", "desirable"),
    [(True, True), (False, False), ("true", True), ("False", False), (1, True), (0, False)],
)
def test_an_unpaired_preference_is_desirable_or_not(label: Any, desirable: bool) -> None:
    for row in ({"prompt": "a", "completion": "b"}, {"messages": make_turns("a", "b")}):
        conversation = parse_row("unpaired_preference", {**row, "label": label})
        assert conversation == Conversation(make_turns("a", "b"), desirable=desirable)


@pytest.mark.parametrize("label", ["good", 2, [True], 0.5])
def test_a_label_that_is_neither_true_nor_false_is_named(label: Any) -> None:
    row = {"prompt": "a", "completion": "b", "label": label}
    assert find_reason("unpaired_preference", row) == "label_not_true_or_false"


@pytest.mark.parametrize("value", ["high", True, float("nan"), float("inf"), [1], "1e999"])
def test_a_value_that_is_not_a_finite_number_is_named(value: Any) -> None:
    assert find_reason("regression", {"text": "a", "value": value}) == "value_not_a_number"


@pytest.mark.parametrize("value", [10**400, "1_000", "٣", "0x1", ""])
def test_a_number_in_an_unusual_notation_is_named(value: Any) -> None:
    assert find_reason("regression", {"text": "a", "value": value}) == "value_not_a_number"


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ("x", "history_not_json"),
        (7, "history_not_pairs"),
        ([["a"]], "history_not_pairs"),
        ([["a", 1]], "history_not_text"),
    ],
)
def test_an_invalid_history_is_named(history: Any, expected: str) -> None:
    row = {"instruction": "a", "output": "b", "history": history}
    assert find_reason("alpaca", row) == expected


def test_alpaca_without_instruction_and_input_is_named() -> None:
    for row in ({"output": "b"}, {"instruction": "", "input": None, "output": "b"}):
        assert find_reason("alpaca", row) == "missing_instruction"


def test_consecutive_messages_of_one_role_are_rejected_or_joined() -> None:
    messages = [*make_turns("a"), *make_turns("b", "c"), {"role": "assistant", "content": "d"}]
    assert find_reason("messages", {"messages": messages}) == "two_user_turns"
    joined = parse_row("messages", {"messages": messages}, same_role="join").messages
    assert joined == make_turns("a\n\nb", "c\n\nd")


def test_a_column_may_hold_the_system_message() -> None:
    row = {"prompt": "a", "completion": "b", "persona": "Be kind.", "system": "not read"}
    conversation = parse_row(
        "prompt_completion", row, columns={"system": "persona"}, system="Ours."
    )
    assert conversation.messages[0] == {"role": "system", "content": "Be kind."}
    conversation = parse_row(
        "prompt_completion", {**row, "persona": ""}, columns={"system": "persona"}, system="Ours."
    )
    assert conversation.messages[0] == {"role": "system", "content": "Ours."}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([{"type": "image_url", "image_url": "x"}], "images_in_text_model"),
        ([{"type": "input_audio", "input_audio": {"data": "x"}}], "audio_in_text_model"),
        ([{"type": "video", "video": "x"}], "video_in_text_model"),
        ([{"type": "file", "file": {}}], "content_part_not_text"),
        ([{"type": "text", "text": "a", "mood": "sad"}], "unknown_turn_key"),
        (["a"], "content_part_without_type"),
        ([{"type": "text"}], "content_is_null"),
        ([], "empty_content"),
    ],
)
def test_an_invalid_part_is_named(parts: Any, expected: str) -> None:
    row = {"messages": [{"role": "user", "content": parts}, *make_turns("", "b")[1:]]}
    assert find_reason("messages", row) == expected


def test_a_control_token_in_the_reasoning_is_named() -> None:
    answer = {"role": "assistant", "content": "b", "reasoning_content": "x<|im_end|>"}
    assert find_reason("messages", {"messages": [*make_turns("a"), answer]}) == "control_token"


def test_joined_messages_keep_both_reasonings() -> None:
    answers = [
        {"role": "assistant", "content": text, "reasoning_content": reasoning}
        for text, reasoning in (("b", "first"), ("c", "second"))
    ]
    row = {"messages": [*make_turns("a"), *answers]}
    (_, answer) = parse_row("messages", row, same_role="join").messages
    assert answer["reasoning_content"] == "first\n\nsecond"
    answers[0]["reasoning_content"] = ["first"]
    assert find_reason("messages", row, same_role="join") == "reasoning_not_text"


def test_only_an_assistant_may_call_tools() -> None:
    calling = {**make_turns("a")[0], "tool_calls": CALLING["tool_calls"]}
    assert (
        find_reason("messages", {"messages": [*make_turns("a", "b"), calling]})
        == "tool_calls_of_user"
    )


def test_a_tool_result_must_follow_a_call() -> None:
    messages = [*make_turns("a"), CALLING, {"role": "assistant", "content": "b"}]
    assert find_reason("messages", {"messages": messages}) == "assistant_after_call"
    assert (
        find_reason("messages", {"messages": messages}, same_role="join") == "assistant_after_call"
    )
    assert parse_row("messages", {"messages": messages[:2]}).messages[-1] == CALLING


NAMES = st.sampled_from([
    "role", "content", "from", "value", "prompt", "completion", "chosen", "rejected", "messages",
    "conversations", "label", "text", "tools", "tool_calls", "function", "name", "arguments",
    "type", "reasoning", "instruction", "output", "history", "weight", "function_call", "images",
    "score", "margin", "reject_reason", "system", "train", "refusal", "thinking", "input",
])  # fmt: skip
LEAVES = st.sampled_from(
    [None, True, 0, 1.5, "", "x", "{}", "[]", '{"name": "a"}', "user", "assistant", "gpt", "text",
     "tool", "function_call", "\ud800", "a\0", "<|im_end|>"]
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(NAMES, values, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("format", REQUIRED_FIELDS)
@given(st.dictionaries(NAMES, VALUES, max_size=6), st.sampled_from(["reject", "join"]))
def test_any_row_gives_a_conversation_or_a_reason(
    format: str, row: dict[str, Any], same_role: str
) -> None:
    source = make_source(format, same_role=same_role, system="s")
    try:
        conversations = row_formats.parse_row(row, source)
    except InvalidRowError as error:
        assert str(error).replace("_", "").isalnum()
        return
    for conversation in conversations:
        assert conversation.messages[-1]["role"] == "assistant"
        assert "weight" not in conversation.messages[-1]
        assert math.isfinite(conversation.weight * (conversation.margin or 1))
        for message in conversation.messages:
            assert isinstance(message["content"], str)


def test_each_function_may_be_json_text() -> None:
    function = {"name": "rain", "parameters": {"type": "object", "properties": {}}}
    row = {"messages": make_turns("Rain?", "Where?"), "tools": [json.dumps(function)]}
    assert parse_row("messages", row).tools == [{"type": "function", "function": function}]
    assert find_reason("messages", {**row, "tools": ["rain"]}) == "tools_not_json"


def test_a_null_conversation_gives_way_to_prompt_and_completion() -> None:
    row = {"messages": None, "prompt": "Rain?", "completion": "Yes.", "label": True}
    assert parse_row("unpaired_preference", row).messages == make_turns("Rain?", "Yes.")
    named = {"columns": {"messages": "messages"}}
    assert find_reason("unpaired_preference", row, **named) == "messages_is_null"


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("2,14", '["14","2"]'),
        ("27", '["27"]'),
        (27, '["27"]'),
        ("[27]", '["27"]'),
        ('["a, b"]', '["a, b"]'),
    ],
)
def test_numbers_of_labels_may_stand_in_one_cell(labels: Any, expected: str) -> None:
    answer = parse_row("multi_label", {"text": "Hm", "labels": labels}).messages[-1]
    assert answer["content"] == expected


def test_named_labels_may_stand_between_commas() -> None:
    names = {"2": "anger", "14": "fear"}
    for cell in ("2, 14", "anger,fear"):
        row = {"text": "Hm", "labels": cell}
        answer = parse_row("multi_label", row, label_names=names).messages[-1]
        assert answer["content"] == '["anger","fear"]'
    with pytest.raises(InvalidRowError) as error:
        parse_row("multi_label", {"text": "Hm", "labels": "anger,joy"})
    assert "label_names" in error.value.detail


def test_a_list_of_one_label_is_the_label() -> None:
    row = {"text": "Good film", "label": ["pos"]}
    assert parse_row("classification", row).messages[-1]["content"] == "pos"
    with pytest.raises(InvalidRowError) as error:
        parse_row("classification", {**row, "label": ["pos", "neg"]})
    assert "multi_label" in error.value.detail and "len(label) == 1" in error.value.detail
