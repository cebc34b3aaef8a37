"""Run `dvc metrics diff` on two commits that have the metrics and plots of our dvc.yaml."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

PIPELINE: dict[str, Any] = YAML(typ="safe", pure=True).load(Path(__file__).parents[1] / "dvc.yaml")


def run_command(root: Path, *command: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DVC_")}
    identity = {
        f"GIT_{role}_{key}": "a" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")
    }
    result = subprocess.run(
        command, cwd=root, env=environment | identity, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def commit_results(root: Path, accuracy: float, seconds: float) -> None:
    """Commit the metrics, timings and provenance that a run writes below reports/."""
    metrics = {
        "merged": {"intent": {"accuracy": accuracy, "macro_f1": 0.5}},
        "train": {"loss": accuracy / 10},
    }
    files: dict[str, object] = {"metrics.json": metrics, "details.json": {"accuracy": accuracy}}
    for stage in PIPELINE["stages"]:
        files[f"timings/{stage}.json"] = {"seconds": seconds, "peak_mb": seconds}
        files[f"provenance/{stage}.json"] = {"machine": {"cores": seconds}}
    for name, content in files.items():
        (root / "reports" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "reports" / name).write_text(json.dumps(content))
    run_command(root, "git", "add", "--all")
    run_command(root, "git", "commit", "--quiet", "--message", "A run")


@pytest.mark.slow
def test_metrics_diff_shows_quality_and_no_timings(tmp_path: Path) -> None:
    stages = {
        name: {"cmd": "true", **{key: entry[key] for key in ("metrics", "plots") if key in entry}}
        for name, entry in PIPELINE["stages"].items()
        if "metrics" in entry or "plots" in entry
    }
    listed = {"stages": stages} | {key: PIPELINE[key] for key in ("metrics", "plots")}
    (tmp_path / "dvc.yaml").write_text(json.dumps(listed))
    run_command(tmp_path, "git", "init", "--quiet")
    run_command(tmp_path, sys.executable, "-m", "dvc", "init", "--quiet")
    commit_results(tmp_path, accuracy=0.8, seconds=10)
    commit_results(tmp_path, accuracy=0.9, seconds=20)
    output = run_command(
        tmp_path, sys.executable, "-m", "dvc", "metrics", "diff", "--json", "HEAD~1", "HEAD"
    )
    changes = {
        (path, metric): change["diff"]
        for path, metrics in json.loads(output).items()
        for metric, change in metrics.items()
    }
    assert changes == {
        ("reports/metrics.json", "merged.intent.accuracy"): pytest.approx(0.1),
        ("reports/metrics.json", "train.loss"): pytest.approx(0.01),
    }
