"""Fields beside a conversation are obeyed under all their names."""

from typing import Any

import pytest

from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.rows import field_synonyms, row_formats
from lockstep.data.rows.conversation import Conversation
from lockstep.data.rows.turn_rows import TURNS as TURNS_COLUMN
from tests.data.examples import make_source

TURNS = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
ROWS: dict[str, dict[str, Any]] = {
    "alpaca": {"instruction": "a", "output": "b"},
    "messages": {"messages": TURNS},
    "sharegpt": {"conversations": TURNS},
    "turns": {TURNS_COLUMN: TURNS},
    "prompt_completion": {"prompt": "a", "completion": "b"},
    "preference": {"prompt": "a", "chosen": "b", "rejected": "c"},
    "unpaired_preference": {"prompt": "a", "completion": "b", "label": True},
}
TOOL = {"name": "weather", "parameters": {"type": "object"}}

assert ROWS.keys() == field_synonyms.CONVERSATIONAL_FORMATS


def parse(format: str, row: dict[str, Any], **values: Any) -> Conversation:
    (conversation,) = row_formats.parse_row(row, make_source(format, **values))
    return conversation


def find_error(format: str, row: dict[str, Any], **values: Any) -> InvalidRowError:
    with pytest.raises(InvalidRowError) as error:
        parse(format, row, **values)
    return error.value


@pytest.mark.parametrize("format", ROWS)
@pytest.mark.parametrize("column", field_synonyms.SYSTEM)
def test_the_system_message_is_read_in_every_conversational_format(
    format: str, column: str
) -> None:
    conversation = parse(format, {**ROWS[format], column: "Be kind."}, system="Ours.")
    assert conversation.messages == [{"role": "system", "content": "Be kind."}, *TURNS]
    for empty in (None, ""):
        assert parse(format, {**ROWS[format], column: empty}).messages == TURNS


def test_two_different_system_messages_are_named() -> None:
    turns = [{"role": "system", "content": "Be kind."}, *TURNS]
    equal = parse("messages", {"messages": turns, "system": "Be kind. "})
    assert equal.messages == turns
    error = find_error("messages", {"messages": turns, "system": "Be rude."})
    assert str(error) == "two_system_messages" and "Be rude." in error.detail
    row = {**ROWS["alpaca"], "system": "x", "system_prompt": "y"}
    assert str(find_error("alpaca", row)) == "two_system_columns"
    assert str(find_error("alpaca", {**ROWS["alpaca"], "system": 5})) == "system_not_text"


def test_a_classification_may_have_a_column_system() -> None:
    row = {"text": "a", "label": "b", "system": "Windows", "train": "x", "images": ["y"]}
    assert parse("classification", row).messages == TURNS
    row |= {"functions": "none", "weight": 2.0}
    assert parse("classification", row) == Conversation(TURNS)
    assert parse("classification", row, columns={"weight": "weight"}).weight == 2.0


@pytest.mark.parametrize("format", ROWS)
@pytest.mark.parametrize("column", field_synonyms.TOOLS)
def test_tools_are_read_in_every_conversational_format(format: str, column: str) -> None:
    conversation = parse(format, {**ROWS[format], column: [TOOL]})
    assert conversation.tools == [{"type": "function", "function": TOOL}]
    for empty in (None, "", "[]", [], "null"):
        assert parse(format, {**ROWS[format], column: empty}).tools == []


def test_anthropic_s_input_schema_is_the_parameters() -> None:
    tool = {"name": "weather", "input_schema": {"type": "object"}}
    conversation = parse("messages", {**ROWS["messages"], "tools": [tool]})
    assert conversation.tools == [{"type": "function", "function": TOOL}]


@pytest.mark.parametrize("format", ROWS)
@pytest.mark.parametrize("column", field_synonyms.MEDIA)
def test_a_row_with_media_is_named(format: str, column: str) -> None:
    row = {**ROWS[format], column: ["photos/1.jpg"]}
    error = find_error(format, row)
    assert str(error) == f"{field_synonyms.MEDIA[column]}_in_text_model"
    assert "photos/1.jpg" in error.detail
    assert parse(format, row, ignored_fields=[column]).messages == TURNS
    for empty in (None, "", [], [None], {"bytes": None, "path": None}, "[]", "nan", float("nan")):
        assert parse(format, {**ROWS[format], column: empty}).messages == TURNS


def test_a_placeholder_counts_only_beside_a_column_for_media() -> None:
    row: dict[str, Any] = {"prompt": "<image>Who?", "completion": "b"}
    assert parse("prompt_completion", row).messages[0]["content"] == "<image>Who?"
    for images in (None, [], ["x.png"]):
        error = find_error(
            "prompt_completion", {**row, "images": images}, ignored_fields=["images"]
        )
        assert str(error) == "images_in_text_model"
    row = {"prompt": "a", "chosen": "b", "rejected": "<video>", "videos": []}
    assert str(find_error("preference", row)) == "video_in_text_model"


@pytest.mark.parametrize("format", ROWS)
def test_the_weight_of_a_row_is_read(format: str) -> None:
    for value, weight in ((0.5, 0.5), ("2", 2.0), (None, 1.0), ("", 1.0), (3, 3.0)):
        assert parse(format, {**ROWS[format], "weight": value}).weight == weight
    assert str(find_error(format, {**ROWS[format], "weight": 0})) == "weight_is_zero"
    for value in (-1, "high", float("nan"), float("inf"), True, [1]):
        row = {**ROWS[format], "weight": value}
        assert str(find_error(format, row)) == "weight_not_a_number"
        assert parse(format, row, ignored_fields=["weight"]).weight == 1.0


def test_a_row_that_must_not_be_learnt_is_named() -> None:
    for value in (False, "false", 0):
        row = {**ROWS["messages"], "train": value}
        assert str(find_error("messages", row)) == "row_not_to_be_learnt"
    for value in (True, None, "True", 1):
        assert parse("messages", {**ROWS["messages"], "train": value}).messages == TURNS
    row = {**ROWS["messages"], "train": "maybe"}
    assert str(find_error("messages", row)) == "train_not_true_or_false"


def make_weighted(*weights: int | None) -> list[dict[str, Any]]:
    """Return a question and an answer for each weight."""
    turns: list[dict[str, Any]] = []
    for number, weight in enumerate(weights):
        turns.append({"role": "user", "content": f"q{number}"})
        flag = {} if weight is None else {"weight": weight}
        turns.append({"role": "assistant", "content": f"a{number}", **flag})
    return turns


def test_the_weights_of_earlier_turns_stay_in_the_conversation() -> None:
    conversation = parse("messages", {"messages": make_weighted(0, 1, None, 1)})
    assert conversation.messages == make_weighted(0, 1, None, None)
    assert not conversation.is_shortened


def test_turns_after_the_last_learnt_one_are_left_out() -> None:
    conversation = parse("messages", {"messages": make_weighted(0, 1, 0, 0)})
    assert conversation.messages == make_weighted(0, None)
    assert conversation.is_shortened


def test_a_conversation_without_a_learnt_turn_is_named() -> None:
    for format, name in (("messages", "messages"), ("sharegpt", "conversations")):
        row = {name: make_weighted(0, 0)}
        assert str(find_error(format, row)) == "nothing_to_learn"
    row = {"messages": make_weighted(1, 0), "label": True}
    assert str(find_error("unpaired_preference", row)) == "nothing_to_learn"


def test_turns_of_different_weight_are_not_joined() -> None:
    turns = make_weighted(0)
    turns.append({"role": "assistant", "content": "b"})
    error = find_error("messages", {"messages": turns}, same_role="join")
    assert str(error) == "joined_turns_differ_in_weight"
