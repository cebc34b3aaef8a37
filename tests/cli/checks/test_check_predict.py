"""Checks of the section `predict`."""

from collections.abc import Callable
from typing import Any

import pytest

FindMistakes = Callable[[dict[str, Any]], list[str]]


def make_suite(task: str, answer: str) -> dict[str, Any]:
    return {"task": task, "answer": answer}


def test_a_suite_needs_a_source(find_mistakes: FindMistakes) -> None:
    (line,) = find_mistakes({"predict.suites": [make_suite("slot", "json")]})
    assert line.startswith("predict.suites: no source has task slot; known: behaviour, ")


def test_a_choice_needs_labels(find_mistakes: FindMistakes) -> None:
    changes = {"predict.suites": [make_suite("slots", "choice")]}
    line = "predict.suites: task slots has no labels to choose from; set its answer to json or text"
    assert find_mistakes(changes) == [line]


def test_a_column_of_tasks_has_labels_if_its_source_is_labelled(
    find_mistakes: FindMistakes,
) -> None:
    changes: dict[str, Any] = {
        "predict.suites": [make_suite("slots", "choice")],
        "prepare.sources.5.columns": {"task": "kind"},
    }
    assert len(find_mistakes(changes)) == 1
    changes["prepare.sources.0.columns"] = {"label": "intent", "task": "kind"}
    assert find_mistakes(changes) == []


def test_few_shot_suites_need_a_suite_and_a_source_of_examples(
    find_mistakes: FindMistakes,
) -> None:
    known = "known: behaviour, intent, refusal, reply, safety, slots"
    settings = [
        {"task": "slots", "shots": 2},
        {"task": "intents", "shots": 2},
        {"task": "behaviour", "shots": 2, "examples": "replies"},
    ]
    assert find_mistakes({"predict.few_shot": settings}) == [
        f"predict.few_shot: no suite intents; {known}",
        f"predict.few_shot: examples: no source has task replies; {known}",
    ]


def test_the_objective_and_the_answer_forms_must_fit(find_mistakes: FindMistakes) -> None:
    changes = {
        "train.objective": "regression",
        "predict.suites": [
            make_suite("intent", "number"),
            make_suite("slots", "json"),
            make_suite("reply", "text"),
        ],
    }
    assert find_mistakes({**changes}) == [
        "predict.suites: task slots: a model trained for regression gives no json; "
        "set its answer to number",
        "predict.suites: task reply: a model trained for regression gives no text; "
        "set its answer to number",
    ]


def test_a_number_suite_needs_a_regression_model(find_mistakes: FindMistakes) -> None:
    (line,) = find_mistakes({"predict.suites": [make_suite("intent", "number")]})
    assert line.startswith("predict.suites: task intent: a model trained for sft gives no number")


def test_lm_eval_tasks_need_a_generative_model(find_mistakes: FindMistakes) -> None:
    changes = {
        "train.objective": "reward",
        "predict.suites": [make_suite("reply", "preference")],
        "predict.lm_eval.tasks": ["mmlu"],
    }
    assert find_mistakes(changes) == [
        "predict.lm_eval: a model trained for reward generates no text; set tasks to []"
    ]


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("tasks", ["intend"], "predict.robustness.tasks: no suite intend; known: behaviour, "),
        (
            "paraphrases", "lang",
            "predict.robustness.paraphrases: no source has the slice lang; known: behaviour, ",
        ),
    ],
)  # fmt: skip
def test_perturbations_name_suites_and_slices(
    find_mistakes: FindMistakes, key: str, value: Any, line: str
) -> None:
    (mistake,) = find_mistakes({f"predict.robustness.{key}": value})
    assert mistake.startswith(line)


def test_perturbed_tasks_must_be_among_the_suites(find_mistakes: FindMistakes) -> None:
    changes = {
        "predict.suites": [make_suite("reply", "text")],
        "predict.robustness.tasks": ["intent"],
    }
    assert find_mistakes(changes) == ["predict.robustness.tasks: no suite intent; known: reply"]
