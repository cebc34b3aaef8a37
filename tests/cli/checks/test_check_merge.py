"""Checks of the section `merge`."""

from collections.abc import Callable
from typing import Any

import pytest

from lockstep import params
from lockstep.cli.checks import all_checks
from lockstep.cli.params_check import validate_sections
from tests.conftest import REPOSITORY, change_params

ADAPTERS = {"merge.adapters": [{"path": "support"}]}


@pytest.mark.parametrize("changes", [ADAPTERS, {"merge.trained_weight": 0.5}], ids=str)
def test_combining_needs_a_trained_lora_adapter(
    find_mistakes: Callable[[dict[str, Any]], list[str]], changes: dict[str, Any]
) -> None:
    assert find_mistakes(changes) == []
    (line,) = find_mistakes({**changes, "train.strategy": "ia3", "train.adapter": {}})
    assert line.startswith("merge.adapters and trained_weight need a LoRA adapter")
    assert "train.strategy is ia3; set it to lora or qlora" in line


def test_a_missing_adapter_is_found_by_the_first_stage() -> None:
    values = change_params(params.parse(REPOSITORY / "params.yaml"), ADAPTERS)
    sections, _ = validate_sections(values)
    assert list(all_checks.find_mistakes(sections, slow=True)) == [
        "data/adapters/support: not found; put the adapter there or correct merge.adapters"
    ]
