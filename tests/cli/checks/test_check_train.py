"""Checks of the section `train`."""

from collections.abc import Callable
from typing import Any

from lockstep import params
from lockstep.cli.checks import all_checks
from lockstep.cli.params_check import validate_sections
from tests.conftest import REPOSITORY, change_params


def test_tasks_must_be_those_of_the_sources(
    find_mistakes: Callable[[dict[str, Any]], list[str]],
) -> None:
    (line,) = find_mistakes({"train.tasks": ["intend"]})
    assert line.startswith("train.tasks: no source has task intend; known: behaviour, ")


def test_weights_may_name_tasks_of_other_data(
    find_mistakes: Callable[[dict[str, Any]], list[str]],
) -> None:
    assert find_mistakes({"train.sft.task_weights": {"intend": 2.0}}) == []


def test_a_column_of_tasks_may_hold_any_task(
    find_mistakes: Callable[[dict[str, Any]], list[str]],
) -> None:
    columns = {"label": "intent", "task": "kind"}
    assert find_mistakes({"train.tasks": ["intend"], "prepare.sources.0.columns": columns}) == []


def test_options_that_a_library_refuses_are_found_without_a_model() -> None:
    changes = {"train.schedule": "cosin"}
    values = change_params(params.parse(REPOSITORY / "params.yaml"), changes)
    sections, _ = validate_sections(values)
    assert list(all_checks.find_mistakes(sections, slow=True)) == [
        "train.schedule: transformers has no 'cosin'; did you mean cosine?"
    ]


def test_a_folder_without_a_reward_model_is_found_by_the_first_stage() -> None:
    reward = {"kind": "model", "model": str(REPOSITORY / "data/starter/model"), "weight": 1.0}
    changes = {"train.objective": "grpo", "train.grpo": {"rewards": [reward]}}
    for objective, number in (("grpo", 1), ("sft", 0)):
        values = change_params(
            params.parse(REPOSITORY / "params.yaml"), {**changes, "train.objective": objective}
        )
        values["train"]["sft"] = {}
        values["train"]["batching"] = "random"
        sections, mistakes = validate_sections(values)
        assert mistakes == []
        lines = list(all_checks.find_mistakes(sections, slow=True))
        assert len(lines) == number
        assert all("has no head that scores answers" in line for line in lines)
