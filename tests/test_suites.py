"""Suites: which ones follow from the data, and what they need."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from lockstep import suites
from lockstep.errors import UserError
from lockstep.metrics.registry import DEFAULT_METRICS, METRICS, SCORES
from lockstep.suites import AnswerForm, Suite, resolve_suites


def make_tasks(**kinds: str) -> dict[str, dict[str, Any]]:
    """Return the content of tasks.json for {task: kind}, with two test records each."""
    records = {"train": 8, "validation": 0, "test": 2}
    return {task: {"kind": kind, "slices": [], "records": records} for task, kind in kinds.items()}


TASKS = make_tasks(intent="label", tags="labels", rating="number", chat="text", plain="plain_text")


def test_every_answer_form_has_metrics_and_a_score() -> None:
    assert set(METRICS) == set(DEFAULT_METRICS) == set(SCORES) == set(get_args(AnswerForm))
    for form, names in DEFAULT_METRICS.items():
        extra = {"schema_valid"} if form == "json" else set()
        assert set(names) <= {*METRICS[form]} | extra


@pytest.mark.parametrize(
    ("objective", "forms"),
    [
        (
            "sft",
            {"intent": "choice", "tags": "json", "rating": "written_number", "chat": "text"},
        ),
        ("classification", {"intent": "label", "tags": "labels"}),
        ("regression", {"rating": "number"}),
        ("reward", {}),
    ],
)
def test_suites_follow_from_the_data_and_the_objective(
    objective: str, forms: dict[str, str]
) -> None:
    resolved = resolve_suites([], TASKS, objective)
    assert {suite.task: suite.answer for suite in resolved} == forms


def test_a_task_without_test_records_has_no_suite() -> None:
    tasks = make_tasks(intent="label", chat="text")
    tasks["chat"]["records"] = {"train": 8, "validation": 2, "test": 0}
    assert resolve_suites([], tasks, "sft") == [Suite(task="intent", answer="choice")]
    named = [Suite(task="chat", answer="text")]
    with pytest.raises(UserError, match=r"no test record has task chat; the tasks are intent$"):
        resolve_suites(named, tasks, "sft")


def test_suites_that_the_params_name_replace_those_of_the_data() -> None:
    named = [Suite(task="intent", answer="written_label")]
    assert resolve_suites(named, TASKS, "sft") == named


def test_retrieval_is_added_for_generative_models_only() -> None:
    generative = [Suite(task="chat", answer="text")]
    with_head = [Suite(task="intent", answer="label")]
    retrieval = Suite(task="retrieval", answer="rules")
    assert suites.add_retrieval(generative, [512], "sft") == [*generative, retrieval]
    assert suites.add_retrieval(generative, [], "sft") == generative
    for objective in ("classification", "regression", "reward"):
        assert suites.add_retrieval(with_head, [512], objective) == with_head


def test_a_task_with_a_reserved_name_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tasks.json"
    file.write_text(json.dumps(make_tasks(perplexity="text")))
    with pytest.raises(UserError, match=r"prepare\.sources: perplexity: this name is reserved"):
        suites.read_tasks(file)
    file.write_text(json.dumps(TASKS))
    assert suites.read_tasks(file) == TASKS
