"""Preferences with two answers and a column that says which one is better."""

from typing import Any

import pytest
from pydantic import ValidationError

from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.rows import row_formats
from tests.data.examples import make_source
from tests.data.rows.test_row_formats import make_turns

SAFE = {"answer_a": "response_0", "answer_b": "response_1", "winner": "better_response_id"}
REPLIES = {"prompt": "history", "answer_a": "ref_A", "answer_b": "ref_B", "winner": "labels"}
ARENA = {"answer_a": "conversation_a", "answer_b": "conversation_b", "winner": "winner"}


def parse(row: dict[str, Any], columns: dict[str, str], **values: Any) -> tuple[str, Any]:
    """Return the chosen and the rejected answer of a row."""
    source = make_source("preference", columns=columns, **values)
    (pair,) = row_formats.parse_row(row, source)
    return pair.messages[-1]["content"], pair.rejected


@pytest.mark.parametrize(
    ("winner", "expected"),
    [(0, ("no", "yes")), (1, ("yes", "no")), ("1", ("yes", "no")), ("response_0", ("no", "yes"))],
)
def test_the_number_of_a_column_names_the_better_answer(
    winner: Any, expected: tuple[str, str]
) -> None:
    row = {"prompt": "May I?", "response_0": "no", "response_1": "yes"}
    assert parse({**row, "better_response_id": winner}, SAFE) == expected


def test_label_names_say_what_a_code_means() -> None:
    row = {"history": "May I?", "ref_A": "no", "ref_B": "yes", "labels": 1}
    names = {1: "a", 0: "b"}
    assert parse(row, REPLIES, label_names=names) == ("no", "yes")
    assert parse({**row, "labels": 0}, REPLIES, label_names=names) == ("yes", "no")
    with pytest.raises(InvalidRowError, match="unclear_winner") as error:
        parse(row, REPLIES)
    assert "label_names: {1: a, 0: b}" in error.value.detail


@pytest.mark.parametrize("winner", ["model_a", "A", "conversation_a"])
def test_conversations_are_compared(winner: str) -> None:
    row = {name: make_turns("May I?", name) for name in ("conversation_a", "conversation_b")}
    expected = ("conversation_a", "conversation_b")
    assert parse({**row, "winner": winner}, ARENA) == expected
    assert parse({**row, "winner": "model_b"}, ARENA) == (*reversed(expected),)
    with pytest.raises(InvalidRowError, match="no_better_answer") as error:
        parse({**row, "winner": "tie (bothbad)"}, ARENA)
    assert 'where: winner != "tie (bothbad)"' in error.value.detail


def test_settings_of_a_comparison_belong_together() -> None:
    with pytest.raises(ValidationError, match="answer_a and answer_b and winner belong together"):
        make_source("preference", columns={"winner": "better"})
    with pytest.raises(ValidationError, match="label_names: preference needs"):
        make_source("preference", columns=SAFE, label_names={0: "first"})
    with pytest.raises(ValidationError, match="label_names: preference needs"):
        make_source("preference", label_names={0: "a"})
