"""Run the checks across sections on the real params.yaml with changes."""

from collections.abc import Callable
from typing import Any

import pytest

from lockstep import params
from lockstep.cli.checks import all_checks
from lockstep.cli.params_check import validate_sections
from tests.conftest import REPOSITORY, change_params


@pytest.fixture
def find_mistakes() -> Callable[[dict[str, Any]], list[str]]:
    """Return the mistakes that the fast checks find after changes by dotted path."""

    def run(changes: dict[str, Any]) -> list[str]:
        values = change_params(params.parse(REPOSITORY / "params.yaml"), changes)
        sections, mistakes = validate_sections(values)
        assert mistakes == []
        return list(all_checks.find_mistakes(sections))

    return run
