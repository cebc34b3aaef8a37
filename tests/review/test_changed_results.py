"""After `make` on another class of machine, one line says why committed results changed.

The tests run real git and DVC on a clone whose committed results another machine computed.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dvc.exceptions import CheckoutError

from lockstep.review import changed_results
from lockstep.review.changed_results import describe_largest_change, describe_other_machine
from lockstep.verify.clone import run_git
from tests import dvc_projects

STAGE = """
import json, pathlib
cpu, accuracy = json.loads(pathlib.Path("../cpu.json").read_text())
merged = {"intent": {"accuracy": accuracy}, "perplexity": {"overall": 2.0 + accuracy}}
metrics = {"base": {}, "merged": merged, "quantized": {}}
provenance = {"machine": {"cpu": cpu, "gpu": ""}, "result": str(accuracy)}
for file, value in {"data/model.json": accuracy, "reports/metrics.json": metrics,
                    "reports/provenance/train.json": provenance}.items():
    pathlib.Path(file).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(file).write_text(json.dumps(value))
"""
PIPELINE = {
    "train": {
        "cmd": f"{sys.executable} stages/train.py",
        "deps": ["stages/train.py"],
        "outs": ["data/model.json", {"reports/metrics.json": {"cache": False}}],
    }
}
LINE = (
    "This machine (x86_64 AuthenticAMD avx2) is of another class than the one that made the "
    "committed results (x86_64 GenuineIntel avx2), so 3 files differ from the commit and the "
    "metrics of the table by at most 1.5 points (merged intent accuracy); `git checkout HEAD -- "
    "dvc.lock reports` restores them"
)


def run_pipeline(root: Path, cpu: str, accuracy: float) -> None:
    """Run the stage as if this machine had the CPU."""
    (root.parent / "cpu.json").write_text(json.dumps([cpu, accuracy]))
    dvc_projects.reproduce(root)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose results were computed on Intel."""
    origin = tmp_path_factory.mktemp("results") / "origin"
    (origin / "stages").mkdir(parents=True)
    (origin / "stages/train.py").write_text(STAGE)
    (origin / "dvc.yaml").write_text(json.dumps({"stages": PIPELINE}))
    run_git(origin, "init", "-q")
    dvc_projects.init_dvc(origin)
    run_pipeline(origin, "x86_64 GenuineIntel avx2", 0.915)
    (origin / "reports/report.md").write_text("# Report")
    run_git(origin, "add", "-A")
    run_git(origin, "-c", "user.name=a", "-c", "user.email=a", "commit", "-qm", "Results")
    return origin


@pytest.fixture
def clone(origin: Path, tmp_path: Path) -> Path:
    """Clone the repository; the results are in no cache here."""
    run_git(tmp_path, "clone", "-q", str(origin), "clone")
    return tmp_path / "clone"


@pytest.mark.slow
def test_one_line_names_both_classes_the_change_and_a_command_that_restores(clone: Path) -> None:
    run_pipeline(clone, "x86_64 AuthenticAMD avx2", 0.9)
    assert describe_other_machine(clone) == LINE
    subprocess.run(changed_results.RESTORE_COMMAND.split(), cwd=clone, check=True)
    assert run_git(clone, "status", "--porcelain") == ""
    assert describe_other_machine(clone) is None
    with dvc_projects.open_dvc(clone) as repository, pytest.raises(CheckoutError):
        repository.checkout()  # so the line does not name dvc checkout


@pytest.mark.slow
def test_the_summary_of_make_prints_the_line(clone: Path) -> None:
    run_pipeline(clone, "x86_64 AuthenticAMD avx2", 0.9)
    (clone / "notes.txt").write_text("an untracked file is no input")
    result = subprocess.run(
        [sys.executable, "-m", "lockstep.review.terminal_summary", "reports"],
        cwd=clone, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stderr == f"{LINE}\n"


@pytest.mark.slow
def test_nothing_is_said_if_the_machine_does_not_explain_the_change(clone: Path) -> None:
    assert describe_other_machine(clone) is None
    run_pipeline(clone, "x86_64 GenuineIntel avx2", 0.9)
    assert describe_other_machine(clone) is None, "the class is the same"
    run_pipeline(clone, "x86_64 AuthenticAMD avx2", 0.9)
    (clone / "params.yaml").write_text("seed: 8\n")
    assert describe_other_machine(clone) is None, "an input changed"
    assert describe_other_machine(clone.parent) is None, "no repository"


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        (
            {"intent": {"accuracy": 0.9, "macro_f1": 0.1}, "reply": {"rouge_l": 0.1}},
            {"intent": {"accuracy": 0.88, "macro_f1": 0.9}, "reply": {"rouge_l": 0.9}},
            "the metrics of the table by at most 2.0 points (merged intent accuracy)",
        ),
        (
            {"reply": {"rouge_l": 0.25}},
            {"reply": {"rouge_l": 0.3}, "slots": {"exact_match": 0.5}},
            "the metrics of the table by at most 0.050 (merged reply ROUGE-L)",
        ),
        (
            {"intent": {"accuracy": 0.9}},
            {"intent": {"accuracy": 0.9}},
            "no metric of the table does",
        ),
    ],
)
def test_the_largest_change_of_the_main_metrics_is_named(
    before: dict[str, Any], after: dict[str, Any], line: str
) -> None:
    assert describe_largest_change({"merged": before}, {"merged": after}) == line
