"""A run of training is found again by all that determines it, and by nothing else."""

from pathlib import Path
from typing import Any

import pytest

from stages import compute
from stages.learning import identity
from tests.conftest import REPOSITORY, tiny_params
from verify import imports


def test_the_code_is_what_the_stage_imports():
    needed = imports.closure("stages/train.py", REPOSITORY) - set(imports.EXEMPT)
    there = {file.relative_to(REPOSITORY).as_posix() for file in identity.code()}
    assert there - {"stages/learning/__init__.py"} == needed  # a package's is empty


@pytest.mark.parametrize("part", ["input", "parameter", "device", "processes"])
def test_whatever_can_change_a_result_changes_the_key(tmp_path: Path, part: str):
    file = tmp_path / "train.jsonl"
    file.write_text("rows")
    values: dict[str, Any] = tiny_params({})["runtime"]["launch"]
    one = compute.Launch.model_validate(values)
    two = compute.Launch.model_validate(values | {"processes": 2})
    before = identity.key([file], {"seed": 7}, "cpu", one)
    assert identity.key([file], {"seed": 7}, "cpu", one) == before
    if part == "input":
        file.write_text("other")
    seed, device = 8 if part == "parameter" else 7, "cuda" if part == "device" else "cpu"
    launch = two if part == "processes" else one
    assert identity.key([file], {"seed": seed}, device, launch) != before
