"""Checks of the suites that the model is asked."""

from collections.abc import Callable
from typing import Any

import pytest

Check = Callable[[dict[str, Any]], list[str]]


def suite(task: str, answer: str) -> dict[str, Any]:
    return {"task": task, "answer": answer}


def test_a_suite_needs_a_source(check: Check) -> None:
    (line,) = check({"predict.suites": [suite("slot", "json")]})
    assert line.startswith("predict.suites: no source has task slot; known: behaviour, ")


def test_a_choice_needs_labels(check: Check) -> None:
    changes = {"predict.suites": [suite("slots", "choice")]}
    line = "predict.suites: task slots has no labels to choose from; set its answer to json or text"
    assert check(changes) == [line]


def test_a_column_of_tasks_has_labels_if_its_source_is_labelled(check: Check) -> None:
    changes: dict[str, Any] = {
        "predict.suites": [suite("slots", "choice")],
        "prepare.sources.4.columns": {"task": "kind"},
    }
    assert len(check(changes)) == 1
    changes["prepare.sources.0.columns"] = {"label": "intent", "task": "kind"}
    assert check(changes) == []


def test_the_objective_and_the_answer_forms_must_fit(check: Check) -> None:
    changes = {
        "train.objective": "regression",
        "predict.suites": [
            suite("intent", "number"),
            suite("slots", "json"),
            suite("reply", "text"),
        ],
    }
    assert check({**changes}) == [
        "predict.suites: task slots: a model trained for regression gives no json; "
        "set its answer to number",
        "predict.suites: task reply: a model trained for regression gives no text; "
        "set its answer to number",
    ]


def test_a_generative_model_gives_no_number(check: Check) -> None:
    (line,) = check({"predict.suites": [suite("intent", "number")]})
    assert line.startswith("predict.suites: task intent: a model trained for sft gives no number")


def test_a_model_with_a_head_is_asked_no_text_by_lm_eval(check: Check) -> None:
    changes = {
        "train.objective": "reward",
        "predict.suites": [suite("reply", "preference")],
        "predict.lm_eval.tasks": ["mmlu"],
    }
    assert check(changes) == [
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
    check: Check, key: str, value: Any, line: str
) -> None:
    (mistake,) = check({f"predict.robustness.{key}": value})
    assert mistake.startswith(line)


def test_perturbed_tasks_must_be_among_the_suites(check: Check) -> None:
    changes = {
        "predict.suites": [suite("reply", "text")],
        "predict.robustness.tasks": ["intent"],
    }
    assert check(changes) == ["predict.robustness.tasks: no suite intent; known: reply"]
