"""Few-shot suites: which examples a prompt has, and what the stage predicts for them."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep import predictions, records
from lockstep.errors import UserError
from lockstep.models import loading
from lockstep.predicting.few_shot import (
    FewShotParams,
    add_few_shot,
    choose_examples,
    generate_records,
)
from lockstep.predicting.predictor import hash_prompt
from lockstep.records import Record
from lockstep.suites import Suite
from tests.conftest import KINDS, LABELS, write_tasks

RULES = json.dumps([{"rule": "words", "at_most": 5}])


def make_setting(task: str, shots: int, examples: str = "") -> FewShotParams:
    return FewShotParams(task=task, shots=shots, examples=examples)


def list_turns(record: Record) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in record.messages]


def test_the_examples_are_turns_between_the_system_message_and_the_question(
    make_record: Callable[..., Record],
):
    train = [make_record("Cancel it.", "cancel", system="Another system message.")]
    test = make_record("Where is it?", "track", system="Name the intent.")
    (record,) = generate_records([make_setting("intent", 1)], [test], train, {}, 7)
    assert list_turns(record) == [
        ("system", "Name the intent."),
        ("user", "Cancel it."),
        ("assistant", "cancel"),
        ("user", "Where is it?"),
        ("assistant", "track"),
    ]
    assert (record.task, record.question, record.answer) == (
        "intent-1-shot", "Where is it?", "track",
    )  # fmt: skip
    assert record.slices == {**test.slices, "zero_shot": test.id}
    assert record.id != test.id


@given(
    number=st.integers(1, 12),
    counts=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    seed=st.integers(0, 9),
)
def test_examples_are_stratified_by_label(number: int, counts: list[int], seed: int):
    labels = [f"label {place}" for place in range(len(counts))]
    candidates = [
        Record(
            messages=[
                {"role": "user", "content": f"{label} {n}"},
                {"role": "assistant", "content": label},
            ],
            task="intent", source="", origin="",
        )
        for label, count in zip(labels, counts, strict=True)
        for n in range(count)
    ]  # fmt: skip
    examples = choose_examples(candidates, number, labels, seed)
    assert len(examples) == min(number, len(candidates))
    chosen = Counter(record.answer for record in examples)
    room = [chosen[label] for label, count in zip(labels, counts, strict=True)
            if chosen[label] < count]  # fmt: skip
    assert not room or max(chosen.values()) - min(room) <= 1
    assert examples == choose_examples(candidates[::-1], number, labels, seed)


def test_examples_depend_on_the_seed(make_record: Callable[..., Record]):
    rows = [make_record(f"q{n}", "a", "reply") for n in range(30)]
    orders = {tuple(row.id for row in choose_examples(rows, 3, [], seed)) for seed in range(5)}
    assert len(orders) == 5


def test_examples_are_distinct_desirable_training_records_of_the_task(
    make_record: Callable[..., Record],
):
    good = [make_record(f"q{n}", "a", "reply") for n in range(2)]
    bad = replace(make_record("bad", "a", "reply"), desirable=False)
    plain = Record(messages=[{"role": "assistant", "content": "x"}], task="reply",
                   source="", origin="")  # fmt: skip
    train = [good[0], good[0], bad, plain, good[1], make_record("other", "a", "slots")]
    test = [make_record("test", "b", "reply")]
    (record,) = generate_records([make_setting("reply", 2)], test, train, {}, 7)
    questions = [m["content"] for m in record.messages if m["role"] == "user"]
    assert sorted(questions[:2]) == ["q0", "q1"]
    with pytest.raises(UserError, match="reply: task reply has 2 training records with a question"):
        generate_records([make_setting("reply", 3)], test, train, {}, 7)


def make_tool(name: str, **parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def test_examples_offer_only_functions_that_the_asked_record_offers(
    make_record: Callable[..., Record],
):
    """An earlier turn that calls an absent function would teach the model to call it."""
    track, pay, other_pay = make_tool("track"), make_tool("pay"), make_tool("pay", type="object")
    tools = {"a": [track], "b": [track, pay], "c": [other_pay], "d": [], "e": [pay, track]}
    train = [
        replace(make_record(f"{name}{number}", "yes"), tools=offered)
        for name, offered in tools.items()
        for number in range(4)
    ]
    allowed = {"abde": [track, pay], "ad": [track], "cd": [other_pay], "d": []}
    tests = [
        replace(make_record(f"{names}?", "yes"), tools=offered)
        for names, offered in allowed.items()
    ]
    setting = make_setting("intent", 4)
    for seed in range(5):
        records = generate_records([setting], tests, train, {}, seed)
        for record, names in zip(records, allowed, strict=True):
            questions = [m["content"] for m in record.messages[:-2] if m["role"] == "user"]
            assert len(questions) == 4 and {question[0] for question in questions} <= {*names}
            assert record.tools == allowed[names]
    message = (
        r"pay\?: 4 training records of task intent offer only functions that this record offers"
    )
    with pytest.raises(UserError, match=message):
        lone = replace(make_record("pay?", "yes"), tools=[pay])
        generate_records([make_setting("intent", 5)], [lone], train, {}, 7)


def test_a_suite_of_rules_takes_examples_of_another_task(make_record: Callable[..., Record]):
    train = [make_record("Hello?", "Hello!", "reply")]
    test = [make_record("Be short.", RULES, "behaviour")]
    (record,) = generate_records([make_setting("behaviour", 1, "reply")], test, train, {}, 7)
    assert list_turns(record)[:2] == [("user", "Hello?"), ("assistant", "Hello!")]
    assert record.answer == RULES
    with pytest.raises(UserError, match="task behaviour has 0 training records"):
        generate_records([make_setting("behaviour", 1)], test, train, {}, 7)


def test_a_few_shot_suite_has_the_answer_form_of_its_task():
    suites = [Suite(task="intent", answer="choice"), Suite(task="slots", answer="json")]
    settings = [make_setting("intent", 4), make_setting("slots", 2), make_setting("intent", 8)]
    assert add_few_shot(suites, settings)[2:] == [
        Suite(task="intent-4-shot", answer="choice"),
        Suite(task="slots-2-shot", answer="json"),
        Suite(task="intent-8-shot", answer="choice"),
    ]
    assert add_few_shot(suites, []) == suites


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([make_setting("reply", 1)], "reply: no such suite; known: intent, intent-2-shot, topic"),
        ([make_setting("intent", 2)], "the name intent-2-shot is in use"),
        ([make_setting("intent", 3)] * 2, "the name intent-3-shot is in use"),
        ([make_setting("topic", 1)], "topic: a model with a head reads no examples"),
    ],
)
def test_a_setting_that_cannot_work_is_an_error(settings: list[FewShotParams], message: str):
    suites = [
        Suite(task="intent", answer="choice"),
        Suite(task="intent-2-shot", answer="text"),
        Suite(task="topic", answer="label"),
    ]
    with pytest.raises(UserError, match=message):
        add_few_shot(suites, settings)


def predict(
    workspace: Path, run_stage_in_process: Callable[..., str], **changes: Any
) -> list[predictions.Prediction]:
    run_stage_in_process(
        "predict", "base", "prepared", "tasks", "predicted/base",
        changes={f"predict.{name}": value for name, value in changes.items()},
    )  # fmt: skip
    return predictions.read(workspace / "predicted/base/predictions.jsonl")


@pytest.mark.slow
def test_the_stage_answers_each_record_with_and_without_examples(
    workspace: Path, run_stage_in_process: Callable[..., str], make_record: Callable[..., Record]
):
    rules = make_record("Be short.", RULES, "behaviour")
    corpus = list(records.read(workspace / "prepared/test.jsonl"))
    records.write(workspace / "prepared/test.jsonl", [*corpus, rules])
    write_tasks(workspace / "prepared", {**KINDS, "behaviour": "rules"})
    tokenizer = loading.load_tokenizer(workspace / "base")
    settings = [
        {"task": "intent", "shots": 1},
        {"task": "slots", "shots": 1},
        {"task": "behaviour", "shots": 1, "examples": "intent"},
    ]
    robustness = {"records": 2, "kinds": ["case"]}
    plain = predict(workspace, run_stage_in_process, robustness=robustness)
    rows = predict(workspace, run_stage_in_process, robustness=robustness, few_shot=settings)
    perturbed = predictions.read(workspace / "predicted/base/perturbed.jsonl")
    assert {row.task for row in perturbed} == {"intent"}
    assert rows[: len(plain)] == plain, "the other suites are unchanged"
    added = rows[len(plain) :]
    names = {"intent-1-shot": "choice", "slots-1-shot": "json", "behaviour-1-shot": "rules"}
    assert {row.task: row.answer_form for row in added} == names
    assert Counter(row.task for row in added) == {
        "intent-1-shot": 4, "slots-1-shot": 4, "behaviour-1-shot": 1,
    }  # fmt: skip
    by_id = {record.id: record for record in [*corpus, rules]}
    parsed = [FewShotParams.model_validate(values) for values in settings]
    expected = {
        record.id: record
        for record in generate_records(parsed, [*by_id.values()], corpus, {"intent": LABELS}, 7)
    }
    for row in added:
        original = by_id[row.slices["zero_shot"]]
        assert (row.reference, row.question) == (original.answer, original.question)
        assert row.prompt == hash_prompt(tokenizer.encode_prompt(expected[row.id].prompt))
        assert row.loss is None, "perplexity is that of the other records"
        assert set(row.option_scores) == (set(LABELS) if row.answer_form == "choice" else set())


@pytest.mark.slow
def test_examples_that_exceed_the_context_are_one_clear_line(
    workspace: Path, run_stage_in_process: Callable[..., str]
):
    with pytest.raises(
        UserError, match=r"with 4 examples: a prompt of \d+ tokens .*shots of reply-4-shot"
    ):
        predict(workspace, run_stage_in_process, few_shot=[{"task": "reply", "shots": 4}])
