"""Preferences keep their scores, reasons, reasoning and calls, and all their answers."""

from typing import Any

import pytest

from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.rows import row_formats
from lockstep.data.rows.conversation import Conversation
from lockstep.data.rows.transcripts import parse_transcript
from lockstep.records import Message
from tests.data.examples import make_source

QUESTION: Message = {"role": "user", "content": "a"}
PAIR: dict[str, Any] = {"prompt": "a", "chosen": "b", "rejected": "c"}


def parse(row: dict[str, Any], **values: Any) -> list[Conversation]:
    return row_formats.parse_row(row, make_source("preference", **values))


def find_error(row: dict[str, Any], **values: Any) -> InvalidRowError:
    with pytest.raises(InvalidRowError) as error:
        parse(row, **values)
    return error.value


def make_answer(text: str, **more: Any) -> Message:
    return {"role": "assistant", "content": text, **more}


def test_reasoning_and_calls_are_kept_on_both_sides() -> None:
    call = {"type": "function", "function": {"name": "track", "arguments": {}}}
    for more in ({"reasoning_content": "Hm."}, {"tool_calls": [call]}):
        better, worse = make_answer("b", **more), make_answer("c", **more)
        (pair,) = parse({"prompt": "a", "chosen": [better], "rejected": [worse]})
        assert (pair.messages, pair.rejected) == ([QUESTION, better], worse)


def test_answers_may_differ_in_their_reasoning_alone() -> None:
    better, worse = (make_answer("b", reasoning_content=text) for text in ("Right.", "Wrong."))
    (pair,) = parse({"prompt": "a", "chosen": better, "rejected": worse})
    assert pair.rejected == worse
    error = find_error({"prompt": "a", "chosen": better, "rejected": better})
    assert str(error) == "chosen_equals_rejected"


@pytest.mark.parametrize(
    "rejected",
    [
        ["c", "d"],
        [make_answer("c"), make_answer("d")],
        [[make_answer("c")], [make_answer("d")]],
        [[QUESTION, make_answer("c")], [QUESTION, make_answer("d")]],
    ],
)
def test_several_rejected_answers_give_several_pairs(rejected: list[Any]) -> None:
    chosen: Any = (
        "b" if rejected[0] != [QUESTION, make_answer("c")] else [QUESTION, make_answer("b")]
    )
    pairs = parse({"prompt": "a", "chosen": chosen, "rejected": rejected})
    assert [pair.messages for pair in pairs] == [[QUESTION, make_answer("b")]] * 2
    assert [pair.rejected for pair in pairs] == ["c", "d"]


def test_each_chosen_answer_is_paired_with_each_rejected_one() -> None:
    row = {"prompt": "a", "chosen": ["b", "e"], "rejected": ["c", "d"], "score_chosen": [5, 4]}
    pairs = parse({**row, "score_rejected": [1, 2], "reject_reason": ["rude", "wrong"]})
    found = [(p.messages[-1]["content"], p.rejected, p.margin, p.reject_reason) for p in pairs]
    assert found == [
        ("b", "c", 4.0, "rude"), ("b", "d", 3.0, "wrong"),
        ("e", "c", 3.0, "rude"), ("e", "d", 2.0, "wrong"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("scores", "margin"),
    [
        ({"score_chosen": 8, "score_rejected": 5.5}, 2.5),
        ({"chosen_score": "8", "rejected_score": "5"}, 3.0),
        ({"chosen_rating": 5, "rejected_rating": 5}, 0.0),
        ({"chosen-rating": 2, "rejected-rating": 4}, -2.0),
        ({"margin": 0.75}, 0.75),
        ({"score": 3}, 3.0),
        ({"score": {"chosen": 4, "rejected": 1}}, 3.0),
        ({"score_chosen": None, "score_rejected": None}, None),
        ({"score_chosen": 8}, None),
        ({}, None),
    ],
)
def test_scores_become_the_margin(scores: dict[str, Any], margin: float | None) -> None:
    (pair,) = parse({**PAIR, **scores})
    assert pair.margin == margin


def test_a_score_that_is_no_number_is_named() -> None:
    for scores in ({"score": "high"}, {"score_chosen": [1, 2], "score_rejected": 1}):
        assert str(find_error({**PAIR, **scores})) == "score_not_a_number"
    assert parse({**PAIR, "score": "high"}, ignored_fields=["score"])[0].margin is None


def test_several_reasons_are_sorted() -> None:
    assert parse({**PAIR, "reject_reason": ["rude", "long"]})[0].reject_reason == "long, rude"
    assert parse({**PAIR, "reject_reason": None})[0].reject_reason == ""
    assert str(find_error({**PAIR, "reject_reason": 5})) == "reject_reason_not_text"


def test_a_transcript_in_one_text_is_read_as_turns() -> None:
    # the form of https://huggingface.co/datasets/Anthropic/hh-rlhf, in other words
    head = (
        "\n\nHuman: How do I boil rice?\n\nAssistant: In twice the water.\n\nHuman: For how long?"
    )
    row = {
        "chosen": f"{head}\n\nAssistant: Twelve minutes.\n\nThen let it rest.",
        "rejected": f"{head}\n\nAssistant: No idea.",
    }
    (pair,) = parse(row)
    assert pair.messages == [
        {"role": "user", "content": "How do I boil rice?"},
        make_answer("In twice the water."),
        {"role": "user", "content": "For how long?"},
        make_answer("Twelve minutes.\n\nThen let it rest."),
    ]
    assert pair.rejected == "No idea."
    split = {"prompt": f"{head}\n\nAssistant:", "chosen": " Twelve.", "rejected": " No idea."}
    assert parse(split)[0].messages[:3] == pair.messages[:3]
    other = row["rejected"].replace("rice", "eggs")
    error = find_error({**row, "rejected": other})
    assert str(error) == "transcripts_differ_before_the_answer"
    assert "rice" in error.detail and "eggs" in error.detail
    error = find_error({**row, "rejected": f"{head}\n\nAssistant:"})
    assert str(error) == "transcripts_differ_before_the_answer"


@pytest.mark.parametrize(
    "text", ["Human: alone", "He said:\n\nHuman: a\n\nAssistant: b", "Assistant: a\n\nHuman: b", ""]
)
def test_another_text_is_no_transcript(text: str) -> None:
    assert parse_transcript(text) == []


def test_a_prompt_that_the_transcripts_contain_is_accepted() -> None:
    system = {"role": "system", "content": "Be kind."}
    turns = [system, QUESTION, make_answer("x"), {"role": "user", "content": "more"}]
    row = {"chosen": [*turns, make_answer("b")], "rejected": [*turns, make_answer("c")]}
    for prompt in (" a\n", "more", turns, turns[1:], None, ""):
        assert parse({**row, "prompt": prompt})[0].messages[:-1] == turns
    for prompt in ("other", [*turns[:2], make_answer("y")], "x"):
        error = find_error({**row, "prompt": prompt})
        assert str(error) == "prompt_not_in_transcripts"
        assert parse({**row, "prompt": prompt}, ignored_fields=["prompt"])
