"""Checks of the section `merge`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep import params
from lockstep.cli.checks import all_checks, check_merge
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


def test_all_bad_adapters_are_found_by_the_first_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/adapter_config.json").write_text('{"peft_type": "LORA"}')
    monkeypatch.setattr(check_merge, "ADAPTERS", tmp_path)
    adapters = [{"path": name} for name in ("support", "empty", "sales")]
    values = change_params(params.parse(REPOSITORY / "params.yaml"), {"merge.adapters": adapters})
    sections, _ = validate_sections(values)
    missing = f"{tmp_path}/{{}}: not found; put the adapter there or correct merge.adapters"
    assert list(all_checks.find_mistakes(sections, slow=True)) == [
        missing.format("support"),
        f"{tmp_path}/empty: has no adapter_model.safetensors; adapters in other formats are not "
        "read; convert it with PEFT's save_pretrained",
        missing.format("sales"),
    ]
