"""Run `make runs` in a repository whose only stage computes plausible metrics from its params."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lockstep.sweeps.run_summary import align_columns

REPOSITORY = Path(__file__).parents[2]
STAGE = """
import json, math, pathlib
from lockstep.params import parse

seed, split = parse()["seed"], parse()["prepare"]["split"]
merged = 0.8 + 0.05 * math.log2(split["train_fraction"]) + 0.02 * split["fold"] + 0.001 * (seed - 7)
metrics = {
    "base": {"intent": {"accuracy": 0.05}},
    "merged": {"intent": {"accuracy": merged}},
    "data": {"train": int(1000 * split["train_fraction"]), "test": 500},
    "train": {"loss": 0.1, "validation_loss": 0.35},
}
for file in ("reports/metrics.json", "data/predicted/merged/metrics.json"):
    pathlib.Path(file).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(file).write_text(json.dumps(metrics))
"""
PIPELINE = {
    "evaluate": {
        "cmd": f"{sys.executable} fit.py",
        "deps": ["fit.py"],
        "params": ["prepare", "seed"],
        "outs": ["data/predicted/merged"],
        "metrics": [{"reports/metrics.json": {"cache": False}}],
    }
}
PARAMS = {"seed": 7, "prepare": {"split": {"folds": 0, "fold": 0, "train_fraction": 1.0}}}


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


def run_dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command(root, sys.executable, "-m", "dvc", *arguments)


def run_summary(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command(root, sys.executable, "-m", "lockstep.sweeps", "runs", *arguments)


def run_experiments(root: Path, named: dict[str, list[str]]) -> None:
    """Run `dvc exp run -n NAME -S VALUE …` for each experiment, all in one process for speed."""
    commands = [
        ["exp", "run", "-q", "-n", name, *(part for value in values for part in ("-S", value))]
        for name, values in named.items()
    ]
    code = f"from dvc.cli import main\nfor each in {commands}: assert main(each) == 0"
    result = run_command(root, sys.executable, "-c", code)
    assert result.returncode == 0, result.stderr
    run_command(root, "git", "checkout", "-q", ".")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Make a repository with results in one commit on branch `main`."""
    (tmp_path / "fit.py").write_text(STAGE)
    (tmp_path / "dvc.yaml").write_text(json.dumps({"stages": PIPELINE}))
    (tmp_path / "params.yaml").write_text(json.dumps(PARAMS))
    (tmp_path / ".gitignore").write_text("/data\n__pycache__\n")
    run_command(tmp_path, "git", "init", "-q", "-b", "main")
    run_dvc(tmp_path, "init", "-q")
    result = run_dvc(tmp_path, "repro", "-q")
    assert result.returncode == 0, result.stderr
    run_command(tmp_path, "git", "add", "-A")
    assert run_command(tmp_path, "git", "commit", "-qm", "one").returncode == 0
    return tmp_path


@pytest.mark.slow
def test_experiments_become_a_curve_and_folds(repository: Path) -> None:
    share, fold, folds = (f"prepare.split.{name}" for name in ("train_fraction", "fold", "folds"))
    named = {
        "quarter": [f"{share}=0.25"],
        "half": [f"{share}=0.5"],
        "half-8": [f"{share}=0.5", "seed=8"],
        **{f"fold-{n}": [f"{share}=1.0", "seed=7", f"{folds}=4", f"{fold}={n}"] for n in range(3)},
    }
    run_experiments(repository, named)
    run_dvc(repository, "exp", "run", "-q", "--queue", "-n", "waiting", "-S", "seed=9")
    result = run_summary(repository, "--json", "build/runs.json")
    assert (result.returncode, result.stderr) == (0, "")
    # 0.7505 ± 12.7062 · 0.0005; with the variance 0.0004 of three folds and 500 test by 1,000
    # training records 0.82 ± 4.302653 · √(0.0004 · (1/3 + 1/2))
    assert (
        result.stdout
        == """
Settings

                              runs  intent accuracy    95% interval  size  training  Pareto front
folds=4, train_fraction=1.0      3            82.0%  74.1% to 89.9%     –         –             –
folds=0, train_fraction=1.0      1            80.0%               –     –         –             –
folds=0, train_fraction=0.5      2            75.0%  74.4% to 75.7%     –         –             –
folds=0, train_fraction=0.25     1            70.0%               –     –         –             –

Best intent accuracy: 82.0% (95% interval 74.1% to 89.9%) by folds=4, train_fraction=1.0.
Not shown to be worse, since their intervals overlap: 3 other settings.

Learning curve

intent accuracy
        training records  runs   mean    95% interval
  base                 0     2   5.0%    5.0% to 5.0%
   25%               250     1  70.0%               –
   50%               500     2  75.0%  74.4% to 75.7%
  100%             1,000     1  80.0%               –
  The last doubling, from 50% to 100% of the training records, changed the metric by +5.0 points \
(one seed only: it could be chance).

Folds

                   folds  runs  base   mean    SD    SE    95% interval    min    max
intent  accuracy  3 of 4     3  5.0%  82.0%  2.0%  1.8%  74.1% to 89.9%  80.0%  84.0%
missing for intent: fold 3 of seed 7

Loss on training and validation records

         share    fold  seed  training  validation     gap
quarter    25%       –     7     0.100       0.350  +0.250
half       50%       –     7     0.100       0.350  +0.250
half-8     50%       –     8     0.100       0.350  +0.250
main      100%       –     7     0.100       0.350  +0.250
fold-0    100%  0 of 4     7     0.100       0.350  +0.250
fold-1    100%  1 of 4     7     0.100       0.350  +0.250
fold-2    100%  2 of 4     7     0.100       0.350  +0.250

left out: waiting (queued)

The page for your browser: build/sweeps/all-runs.html
"""
    )
    written = json.loads((repository / "build/runs.json").read_text())
    assert written["left_out"] == {"waiting": "queued"}
    assert written["curves"][0]["suites"][0]["points"][2]["mean"] == pytest.approx(0.7505)
    assert written["folds"][0]["suites"][0]["missing"] == [[7, 3]]
    assert written["losses"][0]["gap"] == pytest.approx(0.25)
    run_command(repository, "git", "commit", "-qm", "two", "--allow-empty")
    assert "Learning curve" not in run_summary(repository).stdout
    earlier = run_summary(repository, "--num", "2").stdout
    assert "missing for intent: fold 3 of seed 7" in earlier, (
        "the experiments belong to the previous commit"
    )
    assert "(the same params, code and data as main)" in earlier


def test_outside_a_repository_the_summary_is_an_error_of_one_line(tmp_path: Path) -> None:
    result = run_summary(tmp_path)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "DVC lists no runs" in result.stderr and "root of the repository" in result.stderr


def test_columns_are_aligned() -> None:
    lines = [("", "base"), ("a long name", "1"), ("b", "100%")]
    assert align_columns(lines, texts=1) == [
        "             base",
        "a long name     1",
        "b            100%",
    ]
