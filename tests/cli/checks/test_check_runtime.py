"""Checks of the section `runtime`."""

import importlib.metadata
import tomllib
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import REPOSITORY

TOOLS = ("trackio", "tensorboard", "wandb", "mlflow")


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_that_is_not_installed_is_refused_with_the_command(
    find_mistakes: Callable[[dict[str, Any]], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    tool: str,
) -> None:
    def find_none(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", find_none)
    assert find_mistakes({"runtime.report_to": [tool]}) == [
        f"runtime.report_to: {tool} is not installed; run `.venv/bin/python -m pip install "
        f"--constraint constraints.txt '.[{tool}]'`"
    ]
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1.0")
    assert find_mistakes({"runtime.report_to": [tool]}) == []


def test_each_tool_is_an_extra() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    for tool in TOOLS:
        (requirement,) = project["optional-dependencies"][tool]
        assert requirement.startswith((f"{tool}==", f"{tool}-skinny=="))
