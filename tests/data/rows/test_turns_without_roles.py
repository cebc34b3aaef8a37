"""Turns that name no roles: alternating texts, pairs, and objects with a key per role."""

from typing import Any

import pytest

from tests.data.rows.test_row_formats import find_reason, make_turns, parse_row

FOUR = make_turns("Rain today?", "Yes.", "Tomorrow?", "No.")
SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        (["Rain today?", "Yes.", "Tomorrow?", "No."], FOUR),  # UltraChat, SODA, LCCC
        ('["Rain today?", "Yes.", "Tomorrow?", "No."]', FOUR),  # the cell of a table
        ([["Rain today?", "Yes."], ["Tomorrow?", "No."]], FOUR),
        ([["user", "Rain today?"], ["gpt", "Yes."]], FOUR[:2]),
        (["Human: Rain today?", "Assistant: Yes."], FOUR[:2]),
        (["System: Be brief.", "User: Rain today?", "Assistant: Yes."], [SYSTEM, *FOUR[:2]]),
        (["Note: rain", "Answer: yes"], make_turns("Note: rain", "Answer: yes")),
        (  # MOSS, Firefly
            [
                {"human": "Rain today?", "assistant": "Yes."},
                {"human": "Tomorrow?", "assistant": "No."},
            ],
            FOUR,
        ),
        ([{"question": "Rain today?", "answer": "Yes.", "id": 3, "model": "m"}], FOUR[:2]),
        ([{"message": "Rain today?", "turn_id": 0}, {"message": "Yes."}], FOUR[:2]),  # KdConv
        ([{"system": "Be brief.", "User": "Rain today?"}, {"bot": "Yes."}], [SYSTEM, *FOUR[:2]]),
    ],
)  # fmt: skip
def test_turns_without_roles_alternate_or_are_pairs(
    turns: Any, expected: list[dict[str, str]]
) -> None:
    assert parse_row("messages", {"messages": turns}).messages == expected
    row = {"id": 7, "data": turns}
    assert parse_row("sharegpt", row, columns={"conversations": "data"}).messages == expected


def test_other_keys_of_a_pair_belong_to_its_answer() -> None:
    pair = {"human": "Rain?", "assistant": "Yes.", "thinking": "Clouds.", "weight": 1}
    answer = parse_row("messages", {"messages": [pair]}).messages[-1]
    assert answer["reasoning_content"] == "Clouds."
    assert find_reason("messages", {"messages": [{**pair, "mood": "sad"}]}) == "unknown_turn_key"


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        (["Rain?"], "ends_without_answer"),
        (["Rain?", "Yes.", "Tomorrow?"], "ends_without_answer"),
        ([["Rain?", "Yes."], ["Tomorrow?", ""]], "ends_without_answer"),
        ([["Rain?", ""], ["Tomorrow?", "No."]], "empty_content"),
        ([["Rain?", "Yes.", "No."]], "turn_not_an_object"),
        (["Rain?", ["a", "b"]], "turn_not_an_object"),
        (["Rain?", " "], "empty_content"),
        ([{"user": "bob", "content": "Rain?"}], "unknown_turn_key"),
        ([{"text": "Rain?"}, {"text": "Yes.", "speaker": "bot"}], "missing_role"),
        ([{"text": "Rain?", "name": "Al"}, {"text": "Yes.", "name": "Bo"}], "missing_role"),
        ([{"question": "Rain?", "query": "Sun?", "answer": "Yes."}], "unknown_turn_key"),
    ],
)
def test_what_does_not_alternate_is_rejected_by_name(turns: Any, reason: str) -> None:
    assert find_reason("messages", {"messages": turns}) == reason


def test_an_odd_number_of_texts_ends_with_a_question_that_may_be_dropped() -> None:
    row = {"messages": ["Rain today?", "Yes.", "Tomorrow?"]}
    conversation = parse_row("messages", row, unanswered="drop")
    assert conversation.messages == FOUR[:2] and conversation.is_shortened
    whole = parse_row("messages", {"messages": FOUR}, unanswered="drop")
    assert whole.messages == FOUR and not whole.is_shortened
    alone = {"messages": [SYSTEM, *FOUR[:1]]}
    assert find_reason("messages", alone, unanswered="drop") == "ends_without_answer"
