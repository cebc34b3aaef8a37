"""Run `make gates` in a repository of two commits."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from lockstep import predictions
from lockstep.predictions import Prediction

REPOSITORY = Path(__file__).parents[2]
GATE = {
    "suite": "intent", "metric": "accuracy", "variant": "merged", "against": "previous",
    "direction": "at_least", "threshold": 0.0, "certainty": "not_refuted",
}  # fmt: skip


def run_command(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DVC_")}
    identity = {
        f"GIT_{role}_{field}": "a"
        for role in ("AUTHOR", "COMMITTER")
        for field in ("NAME", "EMAIL")
    }
    return subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=False,
        env={**environment, **identity, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip


def compare_commits(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command(root, sys.executable, "-m", "lockstep.review.commit_comparison", *arguments)


def write_predictions(root: Path, right: int, records: int = 60, answer: str = "choice") -> None:
    """Write predictions of all variants; the tuned variants are right in this number of records."""
    for variant in ("base", "merged", "quantized"):
        folder = root / "data/predicted" / variant
        folder.mkdir(parents=True, exist_ok=True)
        rows = [
            Prediction(
                id=str(n), task="intent", slices={}, question="?", prompt="", reference="a",
                answer_form=answer, prediction="ab"[n >= right or variant == "base"],
            )
            for n in range(records)
        ]  # fmt: skip
        predictions.write(folder / "predictions.jsonl", rows)


def write_sizes(root: Path, bytes_after: int) -> None:
    """Write the sizes of the weights as quantize and evaluate do."""
    for path, values in (
        ("data/quantized/quantize.json", {"bytes_before": 2000, "bytes_after": bytes_after}),
        ("reports/metrics.json", {"quantize": {"bytes": bytes_after, "ratio": bytes_after / 2000}}),
    ):
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(json.dumps(values))


@pytest.fixture
def commit_results(tmp_path: Path) -> Callable[[int, int], Path]:
    """Make a repository with a commit for each number of right answers of the tuned models."""

    def make(*rights: int) -> Path:
        (tmp_path / "data").mkdir()
        values = YAML(typ="safe", pure=True).load((REPOSITORY / "params.yaml").read_text("utf-8"))
        values["evaluate"] = {
            "metrics": {"intent": ["accuracy"]}, "slices": [], "json_schemas": {}, "gates": [GATE],
        }  # fmt: skip
        with (tmp_path / "params.yaml").open("w", encoding="utf-8") as stream:
            YAML(typ="safe", pure=True).dump(values, stream)
        stage = {
            "cmd": "true",
            "outs": [f"data/predicted/{v}" for v in ("base", "merged", "quantized")],
        }
        (tmp_path / "dvc.yaml").write_text(json.dumps({"stages": {"predict": stage}}))
        run_command(tmp_path, "git", "init", "-q")
        assert run_command(tmp_path, sys.executable, "-m", "dvc", "init", "-q").returncode == 0
        for right in rights:
            write_predictions(tmp_path, right)
            write_sizes(tmp_path, bytes_after=1000 - right)
            result = run_command(tmp_path, sys.executable, "-m", "dvc", "commit", "-q", "-f")
            assert result.returncode == 0, result.stderr
            run_command(tmp_path, "git", "add", "-A")
            assert run_command(tmp_path, "git", "commit", "-qm", f"{right} right").returncode == 0
        return tmp_path

    return make


@pytest.mark.slow
def test_a_model_that_is_significantly_worse_than_the_previous_one_fails(
    commit_results: Callable[..., Path],
) -> None:
    root = commit_results(58, 40)
    comparison = compare_commits(root)
    assert comparison.returncode == 1, comparison.stderr
    assert "merged intent accuracy" in comparison.stdout and "−30.0 points" in comparison.stdout
    failure = (
        "FAILED: merged: intent accuracy minus that of the previous commit, at least 0.0 points"
    )
    assert failure in comparison.stdout
    unchanged = compare_commits(root, "HEAD")
    assert unchanged.returncode == 0, unchanged.stderr
    assert "passed: merged: intent accuracy" in unchanged.stdout
    write_predictions(root, 59)
    run_command(root, sys.executable, "-m", "dvc", "commit", "-q", "-f")
    uncommitted = compare_commits(root)
    assert uncommitted.returncode == 0, "the earlier commit is HEAD, with 40 right answers"
    assert "+31.7 points" in uncommitted.stdout


@pytest.mark.slow
def test_gates_on_sizes_compare_them_with_the_merged_model_and_the_previous_commit(
    commit_results: Callable[..., Path],
) -> None:
    root = commit_results(58, 40)
    size = {"suite": "quantize", "variant": "quantized", "direction": "at_most"}
    gates = [
        {**size, "metric": "ratio", "threshold": 0.5},
        {**size, "metric": "bytes", "threshold": 0, "against": "previous"},
    ]
    yaml = YAML(typ="safe", pure=True)
    values = yaml.load((root / "params.yaml").read_text("utf-8"))
    values["evaluate"]["gates"] = gates
    with (root / "params.yaml").open("w", encoding="utf-8") as stream:
        yaml.dump(values, stream)
    comparison = compare_commits(root)
    assert comparison.returncode == 1, comparison.stderr
    assert comparison.stdout.splitlines()[-2:] == [
        "passed: quantized: quantize ratio at most 0.500; result: 0.480",
        "FAILED: quantized: quantize bytes minus that of the previous commit, at most 0; "
        "result: +18",
    ]


@pytest.mark.slow
def test_suites_with_another_answer_form_are_not_compared(
    commit_results: Callable[..., Path],
) -> None:
    root = commit_results(58)
    write_predictions(root, 58, answer="written_label")
    run_command(root, sys.executable, "-m", "dvc", "commit", "-q", "-f")
    changed = compare_commits(root)
    assert changed.returncode == 1, changed.stderr
    assert "  intent: not compared; the commits have no test record in common\n" in changed.stdout


@pytest.mark.slow
def test_without_earlier_results_the_gate_against_them_fails(
    commit_results: Callable[..., Path],
) -> None:
    root = commit_results(50)
    comparison = compare_commits(root)
    assert comparison.returncode == 1
    assert (
        comparison.stderr
        == "no earlier results: no commit before these results; name a commit by REVISION=…\n"
    )
    assert comparison.stdout.startswith(
        "FAILED: merged: intent accuracy minus that of the previous commit"
    )
    assert "result: not measured" in comparison.stdout
    named = compare_commits(root, "nowhere")
    assert (named.returncode, named.stderr) == (
        2, "error: nowhere: no such commit; name a commit by REVISION=…\n",
    )  # fmt: skip


@pytest.mark.slow
def test_results_missing_from_every_cache_are_an_error_of_one_line(
    commit_results: Callable[..., Path],
) -> None:
    root = commit_results(50, 51)
    shutil.rmtree(root / ".dvc/cache")
    comparison = compare_commits(root, "HEAD~1")
    assert comparison.returncode == 2
    assert len(comparison.stderr.splitlines()) == 1
    assert "not available" in comparison.stderr and "dvc fetch --all-commits" in comparison.stderr
