from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.models import chat
from lockstep.models.model_io import Head
from lockstep.records import Record
from lockstep.training import new_heads, training_rows
from lockstep.training.train_params import Train
from stages.train import Params

Chosen = Callable[..., Params]


@pytest.fixture
def settings(chosen: Chosen) -> Callable[..., Train]:
    def make(**changes: Any) -> Train:
        return chosen(**{"max_length": 1000, "max_dropped_fraction": 0.0, **changes}).train

    return make


def test_renders_every_record_in_order(
    tokenizer: Any, corpus: list[Record], settings: Callable[..., Train]
):
    got = training_rows.render(tokenizer, corpus, settings())
    for row, record in zip(got.rows, corpus, strict=True):
        example = chat.encode_example(tokenizer, record, 1000)
        assert row.values == {"input_ids": example.input_ids, "labels": example.labels}
        assert (row.tokens, row.learnt) == (len(example.input_ids), example.answer_tokens)
    assert (got.truncated, got.dropped, got.tasks) == (0, [], ["intent", "reply", "slots"])


def test_keeps_to_the_chosen_tasks(
    tokenizer: Any, corpus: list[Record], settings: Callable[..., Train]
):
    assert len(training_rows.render(tokenizer, corpus, settings(tasks=["slots"])).rows) == 4
    with pytest.raises(UserError, match=r"no training record of tasks .*: add sources, or change"):
        training_rows.render(tokenizer, corpus, settings(tasks=["nothing"]))


def test_counts_an_answer_that_lost_its_end(
    tokenizer: Any, conversation: Callable[..., Record], settings: Callable[..., Train]
):
    record = conversation("q", "a long answer")
    length = len(chat.encode_example(tokenizer, record, 1000).input_ids)
    assert training_rows.render(tokenizer, [record], settings(max_length=length)).truncated == 0
    assert training_rows.render(tokenizer, [record], settings(max_length=length - 1)).truncated == 1


def test_names_the_records_whose_answer_is_cut_off(
    tokenizer: Any, conversation: Callable[..., Record], settings: Callable[..., Train]
):
    short, long = conversation("q", "a"), conversation("q" * 300, "a")
    half = settings(max_length=60, max_dropped_fraction=0.5)
    got = training_rows.render(tokenizer, [short, long], half)
    assert len(got.rows) == 1
    assert got.dropped == [long.origin]
    less = settings(max_length=60, max_dropped_fraction=0.49)
    with pytest.raises(UserError, match=r"1 of 2 rows .* train\.max_length 60 \(s\.csv:qqq"):
        training_rows.render(tokenizer, [short, long], less)
    with pytest.raises(UserError, match="1 of 1 rows"):
        training_rows.render(tokenizer, [long], settings(max_length=60, max_dropped_fraction=1.0))


def test_whole_weights_repeat(corpus: list[Record]):
    twice = [replace(record, weight=2.0) for record in corpus[:2]]
    assert training_rows.weighted([*twice, corpus[2]]) == [twice[0]] * 2 + [twice[1]] * 2 + [
        corpus[2]
    ]


def test_a_fraction_keeps_about_that_share_and_the_same_ones(conversation: Callable[..., Record]):
    many = [replace(conversation(str(i), "a"), weight=0.25) for i in range(2000)]
    kept = training_rows.weighted(many)
    assert 420 < len(kept) < 580  # 4 standard deviations of a binomial (2000, 0.25)
    assert training_rows.weighted(reversed(many)) == kept[::-1]
    half = training_rows.weighted(replace(record, weight=0.5) for record in many)
    assert {record.id for record in kept} < {record.id for record in half}


@pytest.mark.parametrize(
    ("objective", "changes", "message"),
    [
        ("sft", {"desirable": False}, "is an answer to be avoided.* or take train.objective kto"),
        ("dpo", {}, "has no rejected answer, and dpo compares two"),
        ("orpo", {}, "has no rejected answer, and orpo compares two"),
        ("simpo", {}, "has no rejected answer, and simpo compares two"),
        ("reward", {}, "has no rejected answer, and reward compares two"),
        ("kto", {}, "says not whether its answer is desirable"),
        ("classification", {}, "answers 'a', which is no label"),
        ("regression", {}, "answers 'a', which is no number"),
    ],
)
def test_a_record_of_another_kind_is_refused_by_name(
    tokenizer: Any, conversation: Callable[..., Record], settings: Callable[..., Train],
    objective: str, changes: dict[str, Any], message: str,
):  # fmt: skip
    record = replace(conversation("q", "a"), **changes)
    head = Head("single_label_classification", ["b", "c"])
    if objective == "regression":
        head = Head("regression", [])
    with pytest.raises(UserError, match=rf"s\.csv:q: {message}"):
        training_rows.render(tokenizer, [record], settings(objective=objective), head)


def test_a_pair_is_prompt_and_two_answers(
    tokenizer: Any, conversation: Callable[..., Record], settings: Callable[..., Train]
):
    record = replace(conversation("q", "good"), rejected="bad one")
    (row,) = training_rows.render(tokenizer, [record], settings(objective="dpo")).rows
    assert row.values["prompt_ids"] == chat.encode_prompt(tokenizer, record.prompt)
    assert row.values["chosen_ids"] == chat.encode_answer(tokenizer, "good")
    assert row.values["rejected_ids"] == chat.encode_answer(tokenizer, "bad one")
    (whole,) = training_rows.render(tokenizer, [record], settings(objective="reward")).rows
    assert whole.values["chosen_ids"] == row.values["prompt_ids"] + row.values["chosen_ids"]
    good, bad = training_rows.render(tokenizer, [record], settings(objective="kto")).rows
    assert (good.values["label"], bad.values["label"]) == (True, False)
    assert bad.values["completion_ids"] == row.values["rejected_ids"]


def test_every_turn_is_learnt_where_that_is_asked(tokenizer: Any, settings: Callable[..., Train]):
    turns = [("user", "one"), ("assistant", "first"), ("user", "two"), ("assistant", "second")]
    record = Record(
        messages=[{"role": role, "content": text} for role, text in turns],
        task="t", source="s", origin="s:1",
    )  # fmt: skip

    def learnt(loss_on: str) -> str:
        sft = {"loss_on": loss_on, "weighting": "fixed", "task_weights": {}}
        (row,) = training_rows.render(tokenizer, [record], settings(sft=sft)).rows
        return tokenizer.decode([i for i in row.values["labels"] if i != chat.IGNORE_INDEX])

    end = tokenizer.eos_token
    assert learnt("last") == f"second{end}"
    assert learnt("all") == f"first{end}second{end}"


def test_labels_become_their_places(
    tokenizer: Any, conversation: Callable[..., Record], settings: Callable[..., Train]
):
    chosen = settings(objective="classification")
    one = [conversation("q", "b"), conversation("r", "a")]
    head = new_heads.of(chosen, one, {"intent": ["a", "b"], "other": ["z"]})
    assert head == Head("single_label_classification", ["a", "b"])
    got = training_rows.render(tokenizer, one, chosen, head)
    assert [row.values["labels"] for row in got.rows] == [1, 0]
    several = [conversation("q", '["a","b"]'), conversation("r", "a")]
    head = new_heads.of(chosen, several, {"intent": ["a", "b", "c"]})
    assert head == Head("multi_label_classification", ["a", "b", "c"])
    got = training_rows.render(tokenizer, several, chosen, head)
    assert [row.values["labels"] for row in got.rows] == [[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    for answer in ('["a","b"]', "[]"):
        with pytest.raises(
            UserError, match="none or several labels, and no training record has; na"
        ):
            training_rows.render(
                tokenizer, [conversation("q", answer)], chosen,
                Head("single_label_classification", ["a", "b"]),
            )  # fmt: skip
    with pytest.raises(UserError, match="classification needs at least two labels"):
        new_heads.of(chosen, one, {"intent": ["a"]})
