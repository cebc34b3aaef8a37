"""The list of checks is complete, and each check runs as soon as its sections are valid."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lockstep.cli.checks import all_checks
from lockstep.cli.sections import Parameters

FOLDER = Path(all_checks.__file__).parent


def test_the_real_parameters_have_no_mistake(
    find_mistakes: Callable[[dict[str, Any]], list[str]],
) -> None:
    assert find_mistakes({}) == []


def test_every_check_is_in_the_list() -> None:
    written = {
        f"{file.stem}.{node.name}"
        for file in FOLDER.glob("check_*.py")
        for node in ast.parse(file.read_bytes()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("check_")
    }
    listed = {
        f"{check.find_mistakes.__module__.split('.')[-1]}.{check.find_mistakes.__name__}"
        for check in all_checks.CHECKS
    }
    assert written == listed


def test_every_check_names_sections_of_params_yaml() -> None:
    for check in all_checks.CHECKS:
        assert set(check.sections) <= Parameters.model_fields.keys()


def test_a_check_without_all_its_sections_is_left_out() -> None:
    assert list(all_checks.find_mistakes({"seed": 7})) == []
