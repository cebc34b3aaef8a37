"""The resume key changes with everything that can change the result of a stage."""

from pathlib import Path
from typing import Any

import pytest

from lockstep import resume_key
from lockstep.models import instruction_sets
from lockstep.verify import import_closure
from tests.conftest import REPOSITORY


@pytest.mark.parametrize("stage", ["train", "predict"])
def test_the_declared_code_contains_every_import_of_the_stage(stage: str):
    code = {
        file.relative_to(REPOSITORY).as_posix() for file in resume_key.list_declared_code(stage)
    }
    assert import_closure.find_closure(f"stages/{stage}.py", REPOSITORY) <= code
    assert all(file.endswith(".py") for file in code)


@pytest.mark.parametrize("part", ["input", "parameter", "runtime", "library", "stage"])
def test_everything_that_can_change_a_result_changes_the_key(tmp_path: Path, part: str):
    file = tmp_path / "train.jsonl"
    file.write_text("rows")

    def compute_key(**changes: Any) -> str:
        arguments = {
            "stage": "train",
            "inputs": [file],
            "parameters": {"seed": 7},
            "libraries": ["torch"],
            "runtime": ["cpu", 1],
        }
        return resume_key.compute_resume_key(**(arguments | changes))

    before = compute_key()
    assert compute_key() == before
    changes: dict[str, Any] = {
        "input": {},
        "parameter": {"parameters": {"seed": 8}},
        "runtime": {"runtime": ["cpu", 2]},
        "library": {"libraries": ["torch", "no such library"]},
        "stage": {"stage": "predict"},
    }
    if part == "input":
        file.write_text("other")
    assert compute_key(**changes[part]) != before


def test_changed_code_changes_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "lockstep/data").mkdir(parents=True)
    code = tmp_path / "lockstep/data/a.py"
    code.write_text("A = 1\n")
    (tmp_path / "dvc.yaml").write_text("stages: {train: {deps: [data/x, lockstep/data]}}\n")
    monkeypatch.setattr(resume_key, "REPOSITORY", tmp_path)
    before = resume_key.compute_resume_key("train", [], {}, [], "cpu")
    code.write_text("A = 2\n")
    assert resume_key.compute_resume_key("train", [], {}, [], "cpu") != before


def test_the_cpu_changes_the_key_unless_the_instruction_sets_are_fixed(
    monkeypatch: pytest.MonkeyPatch,
):
    def compute_keys() -> set[str]:
        keys = set()
        for vendor in ("GenuineIntel", "AuthenticAMD"):
            monkeypatch.setattr(
                instruction_sets, "read_cpu_info", lambda vendor=vendor: {"vendor_id": vendor}
            )
            keys.add(resume_key.compute_resume_key("train", [], {}, [], "cpu"))
        return keys

    for variable in instruction_sets.REMOVED_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MKL_CBWR", "AUTO")
    assert len(compute_keys()) == 2
    for variable, value in instruction_sets.VARIABLES.items():
        monkeypatch.setenv(variable, value)
    assert len(compute_keys()) == 1
