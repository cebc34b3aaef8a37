"""Checks of the suites that the model is asked."""

from collections.abc import Callable
from typing import Any

import pytest

Check = Callable[[dict[str, Any]], list[str]]

NOTHING_ELSE: dict[str, Any] = {
    "evaluate.gates": [],
    "evaluate.slices": [],
    "report.slices": [],
    "evaluate.stability.tasks": [],
    "evaluate.retrieval.lengths": [],
}
"""Changes after which nothing but the suites depends on the suites."""


def suite(task: str, answer: str, metric: str) -> dict[str, Any]:
    return {"task": task, "answer": answer, "metrics": [metric]}


def test_a_suite_needs_a_source(check: Check) -> None:
    (line,) = check({"evaluate.suites": [suite("slot", "json", "valid")], **NOTHING_ELSE})
    assert line.startswith("evaluate.suites: no source has task slot; known: behaviour, ")


def test_a_choice_needs_labels(check: Check) -> None:
    changes = {"evaluate.suites": [suite("slots", "choice", "accuracy")], **NOTHING_ELSE}
    line = (
        "evaluate.suites: task slots has no labels to choose from; set its answer to json or text"
    )
    assert check(changes) == [line]


def test_a_column_of_tasks_has_labels_if_its_source_is_labelled(check: Check) -> None:
    changes: dict[str, Any] = {
        "evaluate.suites": [suite("slots", "choice", "accuracy")],
        **NOTHING_ELSE,
        "prepare.sources.4.columns": {"task": "kind"},
    }
    assert len(check(changes)) == 1
    changes["prepare.sources.0.columns"] = {"label": "intent", "task": "kind"}
    assert check(changes) == []


def test_the_objective_and_the_answer_forms_must_fit(check: Check) -> None:
    changes = {
        "train.objective": "regression",
        "evaluate.suites": [
            suite("intent", "number", "r2"),
            suite("slots", "json", "valid"),
            suite("reply", "text", "rouge_l"),
        ],
    }
    assert check({**changes, **NOTHING_ELSE}) == [
        "evaluate.suites: task slots: a model trained for regression gives no json; "
        "set its answer to number",
        "evaluate.suites: task reply: a model trained for regression gives no text; "
        "set its answer to number",
    ]


def test_a_generative_model_gives_no_number(check: Check) -> None:
    (line,) = check({"evaluate.suites": [suite("intent", "number", "r2")], **NOTHING_ELSE})
    assert line.startswith("evaluate.suites: task intent: a model trained for sft gives no number")


def test_a_model_with_a_head_is_asked_no_text_by_lm_eval_or_retrieval(check: Check) -> None:
    changes = {
        "train.objective": "reward",
        "evaluate.suites": [suite("reply", "preference", "accuracy")],
        **NOTHING_ELSE,
        "evaluate.harness.tasks": ["mmlu"],
        "evaluate.retrieval.lengths": [200],
    }
    assert check(changes) == [
        "evaluate.harness: a model trained for reward generates no text; name no tasks",
        "evaluate.retrieval: a model trained for reward generates no text; set lengths to []",
    ]


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("tasks", ["intend"], "evaluate.stability.tasks: no suite intend; known: behaviour, "),
        (
            "paraphrases", "lang",
            "evaluate.stability.paraphrases: no source has the slice lang; known: behaviour, ",
        ),
    ],
)  # fmt: skip
def test_perturbations_name_suites_and_slices(
    check: Check, key: str, value: Any, line: str
) -> None:
    (mistake,) = check({f"evaluate.stability.{key}": value})
    assert mistake.startswith(line)
