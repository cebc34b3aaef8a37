"""Each format gives the conversation that its rows hold, or the reason why there is none."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.data import formats
from lockstep.data.formats import Conversation
from lockstep.data.rejection import UnfitError
from lockstep.data.sources import NEEDED
from tests.data.rows import source


def read(format: str, row: dict[str, Any], **more: Any) -> Conversation:
    return formats.conversation(row, source(format, **more))


def reason(format: str, row: dict[str, Any], **more: Any) -> str:
    with pytest.raises(UnfitError) as unfit:
        read(format, row, **more)
    return str(unfit.value)


def turns(*said: str) -> list[dict[str, str]]:
    """user, assistant, user …"""
    return [
        {"role": ("user", "assistant")[number % 2], "content": text}
        for number, text in enumerate(said)
    ]


def shared(*said: tuple[str, str]) -> dict[str, Any]:
    return {"conversations": [{"from": name, "value": text} for name, text in said]}


LATER = {"instruction": "c", "output": "d"}
IN_PARTS = {"role": "user", "content": [{"type": "text", "text": "a"}]}


@pytest.mark.parametrize(
    ("format", "row", "messages"),
    [
        ("alpaca", {"instruction": "Do", "input": "x", "output": "Hi"}, turns("Do\nx", "Hi")),
        ("alpaca", {"instruction": "Do", "input": None, "output": "Hi"}, turns("Do", "Hi")),
        ("alpaca", {**LATER, "history": [["a", "b"]]}, turns("a", "b", "c", "d")),
        ("alpaca", {**LATER, "history": '[["a", "b"]]'}, turns("a", "b", "c", "d")),
        ("messages", {"messages": turns("a", "b")}, turns("a", "b")),
        ("messages", {"messages": json.dumps(turns("a", "b"))}, turns("a", "b")),
        ("messages", {"messages": [IN_PARTS, *turns("", "b")[1:]]}, turns("a", "b")),
        ("sharegpt", shared(("human", "a"), ("gpt", "b")), turns("a", "b")),
        (
            "sharegpt",
            shared(("sys", "s"), ("usr", "a"), ("bot", "b")),
            [{"role": "system", "content": "s"}, *turns("a", "b")],
        ),
        ("prompt_completion", {"prompt": "a", "completion": "b"}, turns("a", "b")),
        (
            "prompt_completion",
            {"prompt": turns("a", "b", "c"), "completion": [{"role": "assistant", "content": "d"}]},
            turns("a", "b", "c", "d"),
        ),
        ("classification", {"text": "a", "label": "b"}, turns("a", "b")),
        ("regression", {"text": "a", "value": 0.25}, turns("a", "0.25")),
        ("regression", {"text": "a", "value": "-3"}, turns("a", "-3")),
        ("regression", {"text": "a", "value": 1234567.25}, turns("a", "1234567.25")),
        ("text", {"text": "a b c"}, [{"role": "assistant", "content": "a b c"}]),
    ],
)  # fmt: skip
def test_each_format_is_a_conversation(
    format: str, row: dict[str, Any], messages: list[dict[str, str]]
) -> None:
    assert read(format, row) == Conversation(messages)


def test_roles_may_be_mapped() -> None:
    row = shared(("Kunde", "a"), ("Shop", "b"))
    assert reason("sharegpt", row) == "unknown_role"
    roles = {"Kunde": "user", "Shop": "assistant"}
    assert read("sharegpt", row, roles=roles).messages == turns("a", "b")


CALL = {"name": "track", "arguments": {"order": "A1", "lines": [1, 2]}}
CALLED: dict[str, Any] = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"type": "function", "function": CALL}],
}
TOOL = {"name": "track", "description": "Where a parcel is", "parameters": {"type": "object"}}


def test_tool_calls_of_sharegpt_and_openai_are_the_same_record() -> None:
    from_sharegpt = {
        **shared(
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
            CALLED,
            {"role": "tool", "content": '{"at": "Lyon"}'},
            {"role": "assistant", "content": "In Lyon."},
        ],
        tools=[{"type": "function", "function": TOOL}],
    )
    assert read("sharegpt", from_sharegpt) == expected
    assert read("messages", from_openai) == expected


def test_typed_parts_hold_reasoning_and_several_calls() -> None:
    parts = [
        {"type": "reasoning", "value": "Look it up."},
        {"type": "tool_call", "value": json.dumps(CALL)},
        {"type": "tool_call", "value": json.dumps(CALL)},
    ]
    row = {"messages": [*turns("Where?"), {"role": "assistant", "content": parts}]}
    assert read("messages", row).messages[-1] == {
        "role": "assistant",
        "content": "",
        "reasoning_content": "Look it up.",
        "tool_calls": CALLED["tool_calls"] * 2,
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
def test_a_bad_call_is_named(call: str, expected: str) -> None:
    assert reason("sharegpt", shared(("human", "a"), ("function_call", call))) == expected


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        ("{", "tools_not_json"),
        ([{"description": "x"}], "tool_without_name"),
        (7, "tool_without_name"),
    ],
)
def test_bad_tools_are_named(tools: Any, expected: str) -> None:
    assert reason("messages", {"messages": turns("a", "b"), "tools": tools}) == expected


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "a", "chosen": "b", "rejected": "c"},
        {"prompt": turns("a"), "chosen": turns("", "b")[1], "rejected": turns("", "c")[1:]},
        {"prompt": "ignored", "chosen": turns("a", "b"), "rejected": turns("a", "c")},
    ],
)
def test_a_preference_has_a_winner_and_a_loser(row: dict[str, Any]) -> None:
    assert read("preference", row) == Conversation(turns("a", "b"), rejected="c")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "a", "chosen": "b"}, "missing_rejected"),
        ({"chosen": "b", "rejected": "c"}, "missing_prompt"),
        ({"prompt": "a", "chosen": "b", "rejected": "b"}, "chosen_equals_rejected"),
        (
            {"chosen": turns("a", "b"), "rejected": turns("x", "c")},
            "transcripts_differ_before_the_answer",
        ),
        (
            {"chosen": turns("a", "b", "c"), "rejected": turns("a", "b", "d")},
            "rejected_is_no_answer",
        ),
        ({"prompt": "a", "chosen": "b", "rejected": CALLED}, "rejected_is_no_answer"),
    ],
)  # fmt: skip
def test_what_is_no_preference_is_named(row: dict[str, Any], expected: str) -> None:
    assert reason("preference", row) == expected


@pytest.mark.parametrize(
    ("label", "desirable"),
    [(True, True), (False, False), ("true", True), ("False", False), (1, True), (0, False)],
)
def test_an_unpaired_preference_is_good_or_bad(label: Any, desirable: bool) -> None:
    for row in ({"prompt": "a", "completion": "b"}, {"messages": turns("a", "b")}):
        read_row = read("unpaired_preference", {**row, "label": label})
        assert read_row == Conversation(turns("a", "b"), desirable=desirable)


@pytest.mark.parametrize("label", ["good", 2, [True], 0.5])
def test_a_label_that_is_neither_is_named(label: Any) -> None:
    row = {"prompt": "a", "completion": "b", "label": label}
    assert reason("unpaired_preference", row) == "label_not_true_or_false"


@pytest.mark.parametrize("value", ["high", True, float("nan"), float("inf"), [1], "1e999"])
def test_a_value_that_is_no_number_is_named(value: Any) -> None:
    assert reason("regression", {"text": "a", "value": value}) == "value_not_a_number"


@pytest.mark.parametrize("value", [10**400, "1_000", "٣", "0x1", ""])
def test_a_number_is_one_that_every_reader_takes_for_it(value: Any) -> None:
    assert reason("regression", {"text": "a", "value": value}) == "value_not_a_number"


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ("x", "history_not_json"),
        (7, "history_not_pairs"),
        ([["a"]], "history_not_pairs"),
        ([["a", 1]], "history_not_text"),
    ],
)
def test_a_bad_history_is_named(history: Any, expected: str) -> None:
    row = {"instruction": "a", "output": "b", "history": history}
    assert reason("alpaca", row) == expected


def test_turns_of_one_role_are_rejected_or_joined() -> None:
    said = [*turns("a"), *turns("b", "c"), {"role": "assistant", "content": "d"}]
    assert reason("messages", {"messages": said}) == "two_user_turns"
    joined = read("messages", {"messages": said}, same_role="join").messages
    assert joined == turns("a\n\nb", "c\n\nd")


def test_a_row_may_name_its_own_system_turn() -> None:
    row = {"prompt": "a", "completion": "b", "persona": "Be kind.", "system": "not read"}
    named = read("prompt_completion", row, columns={"system": "persona"}, system="Ours.")
    assert named.messages[0] == {"role": "system", "content": "Be kind."}
    empty = read(
        "prompt_completion", {**row, "persona": ""}, columns={"system": "persona"}, system="Ours."
    )
    assert empty.messages[0] == {"role": "system", "content": "Ours."}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([{"type": "image_url", "image_url": "x"}], "content_part_not_text"),
        (["a"], "content_part_without_type"),
        ([{"type": "text"}], "content_is_null"),
        ([], "empty_content"),
    ],
)
def test_a_bad_part_is_named(parts: Any, expected: str) -> None:
    row = {"messages": [{"role": "user", "content": parts}, *turns("", "b")[1:]]}
    assert reason("messages", row) == expected


def test_a_forged_turn_in_a_train_of_thought_is_named() -> None:
    answer = {"role": "assistant", "content": "b", "reasoning_content": "x<|im_end|>"}
    assert reason("messages", {"messages": [*turns("a"), answer]}) == "control_token"


def test_joined_turns_keep_both_trains_of_thought_and_one_must_be_text() -> None:
    thoughts = [
        {"role": "assistant", "content": text, "reasoning_content": thought}
        for text, thought in (("b", "first"), ("c", "second"))
    ]
    said = {"messages": [*turns("a"), *thoughts]}
    (_, answer) = read("messages", said, same_role="join").messages
    assert answer["reasoning_content"] == "first\n\nsecond"
    thoughts[0]["reasoning_content"] = ["first"]
    assert reason("messages", said, same_role="join") == "reasoning_not_text"


def test_only_an_assistant_calls_tools() -> None:
    asked = {**turns("a")[0], "tool_calls": CALLED["tool_calls"]}
    assert reason("messages", {"messages": [*turns("a", "b"), asked]}) == "tool_calls_of_user"


def test_a_call_needs_its_result_before_the_answer() -> None:
    said = [*turns("a"), CALLED, {"role": "assistant", "content": "b"}]
    assert reason("messages", {"messages": said}) == "assistant_after_call"
    assert reason("messages", {"messages": said}, same_role="join") == "assistant_after_call"
    assert read("messages", {"messages": said[:2]}).messages[-1] == CALLED


NAMES = st.sampled_from([
    "role", "content", "from", "value", "prompt", "completion", "chosen", "rejected", "messages",
    "conversations", "label", "text", "tools", "tool_calls", "function", "name", "arguments",
    "type", "reasoning", "instruction", "output", "history",
])  # fmt: skip
LEAVES = st.sampled_from(
    [None, True, 0, 1.5, "", "x", "{}", "[]", '{"name": "a"}', "user", "assistant", "gpt", "text",
     "tool", "function_call", "\ud800", "a\0", "<|im_end|>"]
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("format", NEEDED)
@given(st.dictionaries(NAMES, VALUES, max_size=6), st.sampled_from(["reject", "join"]))
def test_any_row_is_a_conversation_or_unfit(
    format: str, row: dict[str, Any], same_role: str
) -> None:
    try:
        found = read(format, row, same_role=same_role, system="s")
    except UnfitError as unfit:
        assert str(unfit).replace("_", "").isalnum()
        return
    assert found.messages[-1]["role"] == "assistant"
    for message in found.messages:
        assert isinstance(message["content"], str)
