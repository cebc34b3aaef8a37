"""Checks of the section `train`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from lockstep import params
from lockstep.cli.checks import all_checks
from lockstep.cli.params_check import check_parameters, report_unused_weights, validate_sections
from tests.conftest import REPOSITORY, change_params


def test_tasks_must_be_those_of_the_sources(
    find_mistakes: Callable[[dict[str, Any]], list[str]],
) -> None:
    (line,) = find_mistakes({"train.tasks": ["intend"]})
    assert line.startswith("train.tasks: no source has task intend; known: behaviour, ")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"intent": 2.0}, ""),
        (
            {"intend": 2.0, "intent": 2.0},
            "intend has no source and so no effect; known: behaviour, ",
        ),
        ({"a": 2.0, "b": 2.0}, "a, b have no source and so no effect; known: behaviour, "),
    ],
    ids=str,
)
def test_weights_of_absent_tasks_are_named_once_and_no_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], weights: dict[str, float], message: str
) -> None:
    file = tmp_path / "params.yaml"
    values = change_params(
        params.parse(REPOSITORY / "params.yaml"), {"train.sft.task_weights": weights}
    )
    YAML().dump(values, file)
    check_parameters(file)
    report_unused_weights(file)
    printed = capsys.readouterr().err
    assert printed.startswith(f"{file}: train.sft.task_weights: {message}" if message else "")
    assert printed.count("\n") == bool(message)


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
