"""Records become rows of token ids, and every dropped record is reported."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.models import chat
from lockstep.models.heads import Head
from lockstep.records import Record
from lockstep.training import training_rows
from lockstep.training.train_params import TrainParams
from lockstep.training.training_plan import Params, choose_head

MakeTrainParams = Callable[..., TrainParams]


@pytest.fixture
def make_train_params(make_params: Callable[..., Params]) -> MakeTrainParams:
    """Return section `train` for long rows, with changes."""

    def make(**changes: Any) -> TrainParams:
        return make_params(**{"max_length": 1000, "max_dropped_fraction": 0.0, **changes}).train

    return make


def test_every_record_is_rendered_in_order(
    tokenizer: Any, corpus: list[Record], make_train_params: MakeTrainParams
):
    rendered = training_rows.render_rows(tokenizer, corpus, make_train_params())
    for row, record in zip(rendered.rows, corpus, strict=True):
        example = tokenizer.encode_example(record, 1000)
        assert row.values == {"input_ids": example.input_ids, "labels": example.labels}
        assert (row.tokens, row.loss_tokens) == (len(example.input_ids), example.answer_tokens)
    assert (rendered.truncated, rendered.dropped, rendered.tasks) == (
        0,
        [],
        ["intent", "reply", "slots"],
    )


def test_only_records_of_the_tasks_are_selected(
    corpus: list[Record], make_train_params: MakeTrainParams
):
    selection = training_rows.select_records(corpus, make_train_params(tasks=["slots"]), "training")
    assert [record.task for record in selection.records] == ["slots"] * 4
    assert training_rows.select_records(corpus, make_train_params(), "training").records == corpus
    with pytest.raises(UserError, match=r"no training record of tasks .*: add sources, or change"):
        training_rows.select_records(corpus, make_train_params(tasks=["nothing"]), "training")


@pytest.mark.parametrize(
    ("objective", "skipped"), [("sft", 4), ("grpo", 4), ("kto", 0), ("dpo", 0)]
)
def test_objectives_that_imitate_answers_skip_undesirable_ones(
    corpus: list[Record], make_train_params: MakeTrainParams, objective: str, skipped: int
):
    records = [replace(r, desirable=index % 3 > 0) for index, r in enumerate(corpus)]
    params = make_train_params(objective=objective)
    selection = training_rows.select_records(records, params, "training")
    assert selection.skipped == skipped
    assert selection.records == [r for r in records if r.desirable or not skipped]


def test_a_split_with_undesirable_answers_only_is_refused_under_sft(
    corpus: list[Record], make_train_params: MakeTrainParams
):
    records = [replace(record, desirable=False) for record in corpus]
    with pytest.raises(
        UserError, match="no validation record with a desirable answer, which sft needs"
    ):
        training_rows.select_records(records, make_train_params(), "validation")


def test_truncated_answers_are_counted(
    tokenizer: Any, make_record: Callable[..., Record], make_train_params: MakeTrainParams
):
    record = make_record("q", "a long answer")
    length = len(tokenizer.encode_example(record, 1000).input_ids)
    assert (
        training_rows.render_rows(
            tokenizer, [record], make_train_params(max_length=length)
        ).truncated
        == 0
    )
    assert (
        training_rows.render_rows(
            tokenizer, [record], make_train_params(max_length=length - 1)
        ).truncated
        == 1
    )


def test_rows_whose_answer_is_truncated_completely_are_named(
    tokenizer: Any, make_record: Callable[..., Record], make_train_params: MakeTrainParams
):
    short, long = make_record("q", "a"), make_record("q" * 300, "a")
    half = make_train_params(max_length=60, max_dropped_fraction=0.5)
    rendered = training_rows.render_rows(tokenizer, [short, long], half)
    assert len(rendered.rows) == 1
    assert rendered.dropped == [long.origin]
    stricter = make_train_params(max_length=60, max_dropped_fraction=0.49)
    with pytest.raises(UserError, match=r"1 of 2 rows .* train\.max_length 60 \(s\.csv:qqq"):
        training_rows.render_rows(tokenizer, [short, long], stricter)
    with pytest.raises(UserError, match="1 of 1 rows"):
        training_rows.render_rows(
            tokenizer, [long], make_train_params(max_length=60, max_dropped_fraction=1.0)
        )


def test_integer_weights_repeat_a_record(corpus: list[Record]):
    doubled = [replace(record, weight=2.0) for record in corpus[:2]]
    assert training_rows.repeat_by_weight([*doubled, corpus[2]]) == [doubled[0]] * 2 + [
        doubled[1]
    ] * 2 + [corpus[2]]


def test_a_fractional_weight_samples_that_share_of_records_reproducibly(
    make_record: Callable[..., Record],
):
    weighted = [replace(make_record(str(i), "a"), weight=0.25) for i in range(2000)]
    sample = training_rows.repeat_by_weight(weighted)
    assert 420 < len(sample) < 580  # 4 standard deviations of a binomial (2000, 0.25)
    assert training_rows.repeat_by_weight(reversed(weighted)) == sample[::-1]
    half = training_rows.repeat_by_weight(replace(record, weight=0.5) for record in weighted)
    assert {record.id for record in sample} < {record.id for record in half}


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        ("dpo", "has no rejected answer, but dpo compares two answers"),
        ("orpo", "has no rejected answer, but orpo compares two answers"),
        ("simpo", "has no rejected answer, but simpo compares two answers"),
        ("reward", "has no rejected answer, but reward compares two answers"),
        ("kto", "does not say whether its answer is desirable"),
        ("classification", "has the answer 'a', which is not a label"),
        ("regression", "has the answer 'a', which is not a number"),
    ],
)
def test_a_record_that_does_not_suit_the_objective_is_refused_by_name(
    tokenizer: Any, make_record: Callable[..., Record], make_train_params: MakeTrainParams,
    objective: str, message: str,
):  # fmt: skip
    record = make_record("q", "a")
    head = Head("single_label_classification", ["b", "c"])
    if objective == "regression":
        head = Head("regression", [])
    with pytest.raises(UserError, match=rf"s\.csv:q: {message}"):
        training_rows.render_rows(tokenizer, [record], make_train_params(objective=objective), head)


def test_a_preference_row_has_a_prompt_and_two_answers(
    tokenizer: Any, make_record: Callable[..., Record], make_train_params: MakeTrainParams
):
    record = replace(make_record("q", "good"), rejected="bad one")
    (row,) = training_rows.render_rows(tokenizer, [record], make_train_params(objective="dpo")).rows
    assert row.values["prompt_ids"] == tokenizer.encode_prompt(record.prompt)
    assert row.values["chosen_ids"] == tokenizer.encode_answer("good")
    assert row.values["rejected_ids"] == tokenizer.encode_answer("bad one")
    (whole,) = training_rows.render_rows(
        tokenizer, [record], make_train_params(objective="reward")
    ).rows
    assert whole.values["chosen_ids"] == row.values["prompt_ids"] + row.values["chosen_ids"]
    chosen_row, rejected_row = training_rows.render_rows(
        tokenizer, [record], make_train_params(objective="kto")
    ).rows
    assert (chosen_row.values["label"], rejected_row.values["label"]) == (True, False)
    assert rejected_row.values["completion_ids"] == row.values["rejected_ids"]


def test_loss_on_all_trains_on_every_assistant_turn(
    tokenizer: Any, make_train_params: MakeTrainParams
):
    turns = [("user", "one"), ("assistant", "first"), ("user", "two"), ("assistant", "second")]
    record = Record(
        messages=[{"role": role, "content": text} for role, text in turns],
        task="t", source="s", origin="s:1",
    )  # fmt: skip

    def decode_trained_text(loss_on: str) -> str:
        (row,) = training_rows.render_rows(
            tokenizer, [record], make_train_params(sft__loss_on=loss_on)
        ).rows
        return tokenizer.pretrained.decode(
            [i for i in row.values["labels"] if i != chat.IGNORE_INDEX]
        )

    end = tokenizer.pretrained.eos_token
    assert decode_trained_text("last") == f"second{end}"
    assert decode_trained_text("all") == f"first{end}second{end}"


def test_labels_become_their_indices(
    tokenizer: Any, make_record: Callable[..., Record], make_train_params: MakeTrainParams
):
    params = make_train_params(objective="classification")
    single = [make_record("q", "b"), make_record("r", "a")]
    head = choose_head(params, single, {"intent": ["a", "b"], "other": ["z"]})
    assert head == Head("single_label_classification", ["a", "b"])
    rendered = training_rows.render_rows(tokenizer, single, params, head)
    assert [row.values["labels"] for row in rendered.rows] == [1, 0]
    multi_label = [make_record("q", '["a","b"]'), make_record("r", "a")]
    head = choose_head(params, multi_label, {"intent": ["a", "b", "c"]})
    assert head == Head("multi_label_classification", ["a", "b", "c"])
    rendered = training_rows.render_rows(tokenizer, multi_label, params, head)
    assert [row.values["labels"] for row in rendered.rows] == [[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    for answer, count in (('["a","b"]', 2), ("[]", 0)):
        with pytest.raises(
            UserError, match=rf"has {count} labels, but every training record has one; name other"
        ):
            training_rows.render_rows(
                tokenizer, [make_record("q", answer)], params,
                Head("single_label_classification", ["a", "b"]),
            )  # fmt: skip
    with pytest.raises(UserError, match="classification needs at least two labels"):
        choose_head(params, single, {"intent": ["a"]})


@pytest.mark.parametrize("objective", ["dpo", "orpo", "simpo", "reward"])
def test_pairs_that_truncation_makes_equal_are_dropped_and_counted(
    tokenizer: Any,
    make_record: Callable[..., Record],
    make_train_params: MakeTrainParams,
    objective: str,
):
    short = replace(make_record("order 1?", "track"), rejected="refund")
    long = "track order " * 20
    equal = replace(make_record("order 2?", f"{long}now"), rejected=f"{long}later")
    params = {"objective": objective, "max_length": 60}
    half = make_train_params(max_dropped_fraction=0.5, **params)
    rendered = training_rows.render_rows(tokenizer, [short, equal], half)
    assert (len(rendered.rows), rendered.dropped, rendered.equal) == (1, [], [equal.origin])
    whole = make_train_params(max_dropped_fraction=0.5, **{**params, "max_length": 500})
    assert len(training_rows.render_rows(tokenizer, [short, equal], whole).rows) == 2
    message = "1 of 2 rows lose the difference between their two answers at train.max_length 60"
    with pytest.raises(UserError, match=message):
        training_rows.render_rows(tokenizer, [short, equal], make_train_params(**params))


@pytest.mark.parametrize(
    ("loss_on", "weights", "expected"),
    [
        ("last", (None, None), "third"),
        ("last", (0, 1), "second third"),
        ("last", (1, None), "first third"),
        ("all", (0, 1), "second third"),
        ("all", (0, None), "second third"),
        ("all", (None, 0), "first third"),
        ("all", (0, 0), "third"),
    ],
)
def test_the_weight_of_a_turn_decides_whether_it_is_learnt(
    tokenizer: Any, make_train_params: MakeTrainParams, loss_on: str,
    weights: tuple[int | None, ...], expected: str,
):  # fmt: skip
    answers = ("first", "second", "third")
    turns: list[dict[str, Any]] = []
    for answer, weight in zip(answers, (*weights, None), strict=True):
        flag = {} if weight is None else {"weight": weight}
        turns.append({"role": "user", "content": "q"})
        turns.append({"role": "assistant", "content": answer, **flag})
    record = Record(messages=turns, task="t", source="s", origin="s:1")
    params = make_train_params(sft__loss_on=loss_on)
    (row,) = training_rows.render_rows(tokenizer, [record], params).rows
    plain = [{k: v for k, v in turn.items() if k != "weight"} for turn in turns]
    (whole,) = training_rows.render_rows(tokenizer, [replace(record, messages=plain)], params).rows
    assert row.values["input_ids"] == whole.values["input_ids"], "the weight is not rendered"
    end = tokenizer.pretrained.eos_token
    labels = row.values["labels"]
    learnt = tokenizer.pretrained.decode([i for i in labels if i != chat.IGNORE_INDEX])
    assert learnt == "".join(f"{answer}{end}" for answer in expected.split())
    assert all(
        a in (b, chat.IGNORE_INDEX) for a, b in zip(labels, row.values["input_ids"], strict=True)
    )


@pytest.mark.parametrize("objective", ["dpo", "kto"])
def test_the_reasoning_of_a_rejected_answer_is_rendered(
    tokenizer: Any, make_record: Callable[..., Record], make_train_params: MakeTrainParams,
    objective: str,
):  # fmt: skip
    worse = {"role": "assistant", "content": "bad", "reasoning_content": "Hm."}
    record = replace(make_record("q", "good"), rejected=worse)
    *_, row = training_rows.render_rows(
        tokenizer, [record], make_train_params(objective=objective)
    ).rows
    ids = row.values["rejected_ids" if objective == "dpo" else "completion_ids"]
    assert tokenizer.pretrained.decode(ids) == "<think>\nHm.\n</think>\n\nbad<|im_end|>"


def test_only_a_reward_model_has_margins(
    tokenizer: Any, make_record: Callable[..., Record], make_train_params: MakeTrainParams
):
    record = replace(make_record("q", "good"), rejected="bad", margin=1.5)
    for objective, has_margin in (("reward", True), ("dpo", False), ("orpo", False)):
        params = make_train_params(objective=objective)
        (row,) = training_rows.render_rows(tokenizer, [record], params).rows
        assert row.values.get("margin") == (1.5 if has_margin else None)
