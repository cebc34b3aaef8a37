"""A turn is read under the keys that public files use; a key that nobody knows is named."""

from typing import Any

import pytest

from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.rows import field_synonyms, turn_parsing
from lockstep.records import Message
from tests.data.examples import make_source

ANSWER: Message = {"role": "assistant", "content": "b"}
CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Lyon"}}}


def parse(turn: Any, **values: Any) -> list[Message]:
    return turn_parsing.parse_turn(turn, make_source("messages", **values))


def find_error(turn: Any, **values: Any) -> InvalidRowError:
    with pytest.raises(InvalidRowError) as error:
        parse(turn, **values)
    return error.value


@pytest.mark.parametrize("role_key", field_synonyms.ROLE_KEYS)
@pytest.mark.parametrize("content_key", field_synonyms.CONTENT_KEYS)
def test_role_and_content_have_synonyms(role_key: str, content_key: str) -> None:
    assert parse({role_key: "GPT", content_key: "b"}) == [ANSWER]


def test_roles_may_be_numbers() -> None:
    roles = {"0": "user", "1": "assistant"}
    assert parse({"speaker": 1, "utterance": "b"}, roles=roles) == [ANSWER]
    assert str(find_error({"speaker": 1, "utterance": "b"})) == "unknown_role"


def test_a_speaker_beside_the_role_is_no_role() -> None:
    assert parse({"role": "assistant", "content": "b", "author": "Ann"}) == [ANSWER]
    assert str(find_error({"role": "user", "from": "gpt", "content": "b"})) == "two_roles"


@pytest.mark.parametrize("key", field_synonyms.REASONING_KEYS)
def test_reasoning_has_synonyms(key: str) -> None:
    assert parse({**ANSWER, key: "Hm."}) == [{**ANSWER, "reasoning_content": "Hm."}]
    assert parse({**ANSWER, key: None}) == parse({**ANSWER, key: ""}) == [ANSWER]
    assert str(find_error({"role": "user", "content": "a", key: "Hm."})) == "reasoning_of_user"
    both = {**ANSWER, "thought": "one", "reasoning": "other"}
    assert str(find_error(both)) == "two_reasonings"


def test_an_unknown_key_is_named_unless_it_is_empty_or_ignored() -> None:
    error = find_error({**ANSWER, "mood": "sad"})
    assert str(error) == "unknown_turn_key"
    assert 'mood: "sad"' in error.detail
    assert find_error({**ANSWER, "mood": 1, "angry": 0}).detail.endswith("[mood, angry]")
    assert parse({**ANSWER, "mood": "sad"}, ignored_fields=["mood"]) == [ANSWER]
    for empty in (None, "", [], {}, {"score": None}):
        assert parse({**ANSWER, "mood": empty}) == [ANSWER]
    assert str(find_error({**ANSWER, "mood": False})) == "unknown_turn_key"


def test_keys_that_say_nothing_about_learning_are_ignored() -> None:
    known = {"id": 7, "timestamp": "2024-05-01", "token_count": 3, "model": "m", "annotations": [1]}
    assert parse({**ANSWER, **known}) == [ANSWER]


@pytest.mark.parametrize(
    ("flag", "weight"),
    [
        ({"weight": 0}, 0), ({"weight": 1}, 1), ({"weight": 0.0}, 0), ({"weight": "1"}, 1),
        ({"train": False}, 0), ({"train": "true"}, 1), ({"loss": True}, 1), ({"loss": 0}, 0),
        ({"trainable": False}, 0), ({"training": False}, 0), ({"masked": True}, 0),
        ({"loss_weight": 0.0}, 0), ({"loss_weight": 1.0}, 1), ({"train_on_turn": False}, 0),
        ({"mask": True}, 0),
        ({"masked": False}, 1), ({"weight": 1, "train": False}, 0),
        ({"train": False, "loss": True}, 0),
    ],
)  # fmt: skip
def test_a_turn_says_whether_it_is_learnt(flag: dict[str, Any], weight: int) -> None:
    assert parse({**ANSWER, **flag}) == [{**ANSWER, "weight": weight}]
    assert parse({"role": "user", "content": "a", **flag}) == [{"role": "user", "content": "a"}]


@pytest.mark.parametrize("flag", [{"weight": 0.5}, {"weight": 2}, {"train": "no"}, {"loss": [1]}])
def test_another_weight_of_a_turn_is_named(flag: dict[str, Any]) -> None:
    assert str(find_error({**ANSWER, **flag})) == "turn_weight_not_0_or_1"


def test_openai_s_function_call_is_a_tool_call() -> None:
    call = {"name": "weather", "arguments": '{"city": "Lyon"}'}
    turn = {"role": "assistant", "content": "I look.", "function_call": call}
    assert parse(turn) == [{"role": "assistant", "content": "I look.", "tool_calls": [CALL]}]
    assert parse({**turn, "content": None})[0]["content"] == ""
    assert str(find_error({**turn, "tool_calls": [{"name": "other"}]})) == "two_calls"
    result = parse({"role": "function", "name": "weather", "content": "18"})
    assert result == [{"role": "tool", "content": "18", "name": "weather"}]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {}), (None, {}), (" \n", {}), ("null", {}), ("{}", {}), ({}, {}),
        ('{"a": null}', {"a": None}), ({"a": None}, {"a": None}),
    ],
)  # fmt: skip
def test_blank_arguments_are_none_and_nulls_inside_stay(arguments: Any, expected: Any) -> None:
    turn = {"role": "assistant", "tool_calls": [{"name": "now", "arguments": arguments}]}
    (message,) = parse(turn)
    assert message["tool_calls"][0]["function"]["arguments"] == expected


def test_the_keys_of_a_call_are_known_or_named() -> None:
    for key in ("parameters", "args", "input"):
        turn = {"role": "assistant", "tool_calls": [{"name": "weather", key: {"city": "Lyon"}}]}
        assert parse(turn)[0]["tool_calls"] == [CALL]
    turn = {"role": "assistant", "tool_calls": [{"name": "weather", "kwargs": {"city": "Lyon"}}]}
    assert str(find_error(turn)) == "unknown_tool_call_key"
    turn = {"role": "assistant", "tool_calls": [{"name": "a", "args": {"x": 1}, "input": {"y": 1}}]}
    assert str(find_error(turn)) == "two_tool_call_arguments"


def test_a_refusal_is_the_answer_if_there_is_no_other() -> None:
    assert parse({"role": "assistant", "content": None, "refusal": "b"}) == [ANSWER]
    assert parse({**ANSWER, "refusal": None}) == [ANSWER]
    assert str(find_error({**ANSWER, "refusal": "No."})) == "two_contents"


def test_the_result_of_a_tool_may_be_empty_or_data() -> None:
    tool = {"role": "tool", "tool_call_id": 5}
    message = {"role": "tool", "content": "", "tool_call_id": "5"}
    assert parse({**tool, "content": ""}) == parse({**tool, "content": None}) == [message]
    assert parse({**tool, "content": {"at": "里昂"}}) == [{**message, "content": '{"at":"里昂"}'}]
    assert parse({**tool, "content": {"n": 10**30}})[0]["content"] == f'{{"n":{10**30}}}'
    hotels = [{"type": "hotel", "name": "x"}]
    assert parse({**tool, "content": hotels})[0]["content"] == '[{"type":"hotel","name":"x"}]'


def test_anthropic_s_blocks_become_messages() -> None:
    # https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/overview
    assistant = {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Ask the service.", "signature": "x"},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Lyon"}},
        ],
    }
    assert parse(assistant) == [
        {
            "role": "assistant",
            "content": "I look.",
            "reasoning_content": "Ask the service.",
            "tool_calls": [{"id": "t1", **CALL}],
        }
    ]
    result = {
        "type": "tool_result",
        "tool_use_id": "t1",
        "content": [{"type": "text", "text": "18"}],
    }
    expected = {"role": "tool", "content": "18", "tool_call_id": "t1"}
    assert parse({"role": "user", "content": [result]}) == [expected]
    question = {"type": "text", "text": "And now?"}
    assert parse({"role": "user", "content": [result, question]}) == [
        expected,
        {"role": "user", "content": "And now?"},
    ]
    late = {"role": "assistant", "content": [assistant["content"][2], assistant["content"][1]]}
    assert str(find_error(late)) == "content_parts_out_of_order"


def test_several_parts_of_reasoning_are_all_kept() -> None:
    parts = [{"type": "reasoning", "value": text} for text in ("one", "two")]
    answer = {"role": "assistant", "content": [*parts, {"type": "output_text", "text": "b"}]}
    assert parse(answer) == [{**ANSWER, "reasoning_content": "one\n\ntwo"}]


@pytest.mark.parametrize(
    ("turn", "reason", "detail"),
    [
        ("hello", "turn_not_an_object", '"hello"'),
        ({"content": "a"}, "missing_role", "content"),
        ({"role": "king", "content": "a"}, "unknown_role", '"king"'),
        ({"role": "user", "content": None}, "content_is_null", "user"),
        ({"role": "user", "content": "a", "images": ["x.png"]}, "images_in_text_model", "x.png"),
        ({"role": "assistant", "audio": {"id": "a1"}}, "audio_in_text_model", "a1"),
        ({"role": "user", "content": "a", "name": ["x"]}, "name_not_text", ""),
    ],
)
def test_the_detail_shows_what_was_found(turn: Any, reason: str, detail: str) -> None:
    error = find_error(turn)
    assert str(error) == reason
    assert detail in error.detail
