"""`make gates` in a repository of two commits: what changed, and which gates hold."""

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


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DVC_")}
    who = {
        f"GIT_{who}_{what}": "a" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    return subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=False,
        env={**environment, **who, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip


def review(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(root, sys.executable, "-m", "review", *arguments)


def write(root: Path, right: int, records: int = 60, answer: str = "choice") -> None:
    """Predictions of all variants, the tuned ones right in so many of the records."""
    for variant in ("base", "merged", "quantized"):
        folder = root / "data/evaluated" / variant
        folder.mkdir(parents=True, exist_ok=True)
        rows = [
            Prediction(
                id=str(n), task="intent", slices={}, question="?", prompt="", reference="a",
                answer_form=answer, score=float(n < right),
                prediction="ab"[n >= right or variant == "base"],
            )
            for n in range(records)
        ]  # fmt: skip
        predictions.write(folder / "predictions.jsonl", rows)


@pytest.fixture
def two_commits(tmp_path: Path) -> Callable[[int, int], Path]:
    """A repository whose tuned models are right in so many of 60 records, commit by commit."""

    def make(*rights: int) -> Path:
        (tmp_path / "data").mkdir()
        values = YAML(typ="safe", pure=True).load((REPOSITORY / "params.yaml").read_text("utf-8"))
        suite = {"task": "intent", "answer": "choice", "metrics": ["accuracy"]}
        values["evaluate"] |= {"suites": [suite], "gates": [GATE]}
        with (tmp_path / "params.yaml").open("w", encoding="utf-8") as stream:
            YAML(typ="safe", pure=True).dump(values, stream)
        stage = {
            "cmd": "true",
            "outs": [f"data/evaluated/{v}" for v in ("base", "merged", "quantized")],
        }
        (tmp_path / "dvc.yaml").write_text(json.dumps({"stages": {"evaluate": stage}}))
        run(tmp_path, "git", "init", "-q")
        assert run(tmp_path, sys.executable, "-m", "dvc", "init", "-q").returncode == 0
        for right in rights:
            write(tmp_path, right)
            done = run(tmp_path, sys.executable, "-m", "dvc", "commit", "-q", "-f")
            assert done.returncode == 0, done.stderr
            run(tmp_path, "git", "add", "-A")
            assert run(tmp_path, "git", "commit", "-qm", f"{right} right").returncode == 0
        return tmp_path

    return make


@pytest.mark.slow
def test_a_model_that_is_surely_worse_than_the_one_before_fails(
    two_commits: Callable[..., Path],
) -> None:
    root = two_commits(58, 40)
    worse = review(root)
    assert worse.returncode == 1, worse.stderr
    assert "merged intent accuracy" in worse.stdout and "−30.0 points" in worse.stdout
    failed = "FAILED: merged: intent accuracy minus that of previous commit, at least 0.0 points"
    assert failed in worse.stdout
    same = review(root, "HEAD")
    assert same.returncode == 0, same.stderr
    assert "passed: merged: intent accuracy" in same.stdout
    write(root, 59)
    run(root, sys.executable, "-m", "dvc", "commit", "-q", "-f")
    uncommitted = review(root)
    assert uncommitted.returncode == 0, "held against HEAD, whose 40 are fewer"
    assert "+31.7 points" in uncommitted.stdout


@pytest.mark.slow
def test_what_was_asked_otherwise_before_is_not_compared_and_said(
    two_commits: Callable[..., Path],
) -> None:
    root = two_commits(58)
    write(root, 58, answer="written_label")
    text = (root / "params.yaml").read_text(encoding="utf-8")
    (root / "params.yaml").write_text(text.replace("choice", "written_label"), encoding="utf-8")
    run(root, sys.executable, "-m", "dvc", "commit", "-q", "-f")
    changed = review(root)
    assert changed.returncode == 1, changed.stderr
    assert "  intent: not compared, no record was asked alike by both\n" in changed.stdout


@pytest.mark.slow
def test_without_earlier_results_the_gate_against_them_fails_by_name(
    two_commits: Callable[..., Path],
) -> None:
    root = two_commits(50)
    first = review(root)
    assert first.returncode == 1
    assert (
        first.stderr
        == "no earlier results: no commit has results before these; name one by REVISION=…\n"
    )
    assert first.stdout.startswith("FAILED: merged: intent accuracy minus that of previous commit")
    assert "found not measured" in first.stdout
    named = review(root, "nowhere")
    assert (named.returncode, named.stderr) == (
        2, "error: nowhere: no such commit; name one by REVISION=…\n",
    )  # fmt: skip


@pytest.mark.slow
def test_results_that_no_cache_has_are_one_line(two_commits: Callable[..., Path]) -> None:
    root = two_commits(50, 51)
    shutil.rmtree(root / ".dvc/cache")
    lost = review(root, "HEAD~1")
    assert lost.returncode == 2
    assert len(lost.stderr.splitlines()) == 1
    assert "not to be had" in lost.stderr and "dvc fetch --all-commits" in lost.stderr
