"""A sweep of three experiments on two workers: one is killed and continues, one fails and says why.

The stage stands for training: it keeps a checkpoint outside of the folder of the experiment.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import REPOSITORY

STAGE = """
import json, os, pathlib, re, sys, time

share = re.search("train_fraction: *([0-9.]+)", pathlib.Path("params.yaml").read_text())
share, root = float(share[1]) if share else 1.0, pathlib.Path(os.environ["DVC_ROOT"])
checkpoint = root / ".scratch/train" / str(share)
checkpoint.parent.mkdir(parents=True, exist_ok=True)
first = int(checkpoint.read_text()) if checkpoint.exists() else 0
print(f"train: starts at step {first} on GPU {os.environ.get('CUDA_VISIBLE_DEVICES')}", flush=True)
if (root / "full").exists() and share == 0.5:
    sys.exit("error: data/trained: no space left on device; free space or quota, then run again")
for step in range(first, 5):
    checkpoint.write_text(str(step + 1))
    while (root / "hold").exists() and share == 0.25:
        time.sleep(0.1)
accuracy = 0.5 + 0.4 * share
files = {
    "data/predicted/merged/answers": share,
    "data/trained/weights": share,
    "reports/provenance/train.json": {"result": share},
    "reports/timings/train.json": {"seconds": 100 * share},
    "reports/details.json": {
        "merged": {"intent": {"intervals": {"accuracy": [accuracy - 0.01, accuracy + 0.01]}}}
    },
    "reports/metrics.json": {
        "base": {"intent": {"accuracy": 0.05}},
        "merged": {"intent": {"accuracy": accuracy}},
        "data": {"train": int(1000 * share), "test": 500},
        "train": {"loss": 0.1, "validation_loss": 0.35},
        "quantize": {"bytes": 1000000},
    },
}
for path, content in files.items():
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).write_text(json.dumps(content))
checkpoint.unlink()
"""
PIPELINE = {
    "stages": {
        "train": {
            "cmd": "exec python fit.py",
            "deps": ["fit.py"],
            "params": ["prepare", "seed", "train"],
            "outs": ["data/predicted/merged", "data/trained"],
            "metrics": [{"reports/metrics.json": {"cache": False}}],
        }
    }
}
GRID = "prepare.split.train_fraction=0.25,0.5,0.75"
KILLED = "train_fraction=0.25"
FAILED = "train_fraction=0.5"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Environment variables with locks and a site cache of the test's own."""
    (tmp_path / "tmp").mkdir()
    people = {f"GIT_{role}_{field}": "t@example.org" for role in ("AUTHOR", "COMMITTER")
              for field in ("NAME", "EMAIL")}  # fmt: skip
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "CUDA_"))},
        **people,
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(tmp_path / "site"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "TMPDIR": str(tmp_path / "tmp"),
    }


@pytest.fixture
def repository(tmp_path: Path, environment: dict[str, str]) -> Iterator[Path]:
    """A repository with results in one commit."""
    root = tmp_path / "repository"
    root.mkdir()
    shutil.copy(REPOSITORY / "params.yaml", root)
    (root / "fit.py").write_text(STAGE)
    (root / "dvc.yaml").write_text(json.dumps(PIPELINE))
    (root / ".gitignore").write_text("/data\n/.scratch\n/build\n/hold\n/full\n__pycache__\n")
    for command in ("git init -q -b main", "dvc init -q", "dvc repro -q", "git add -A",
                    "git commit -qm one"):  # fmt: skip
        subprocess.run(command.split(), cwd=root, env=environment, check=True, capture_output=True)
    yield root
    for process in find_processes(root, "queue-worker"):  # they end some seconds after their work
        process.kill()


def start_sweeps(root: Path, environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "lockstep.sweeps", *arguments],
        cwd=root, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def find_processes(root: Path, argument: str) -> list[psutil.Process]:
    """Return the processes below a folder whose command line has the argument."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "cwd"])
        if argument in (process.info["cmdline"] or ())
        and (process.info["cwd"] or "").startswith(str(root))
    ]


def kill_experiment(root: Path) -> None:
    """Kill the stage that holds, its experiment and its worker at once, as a power cut does."""
    while len(stages := find_processes(root, "fit.py")) > 1:  # of the other worker
        time.sleep(0.1)
    (stage,) = stages
    executor = stage.parent()
    worker = executor.parent() if executor else None
    assert executor and worker and "queue-worker" in worker.cmdline()
    for process in (worker, executor, stage):
        process.send_signal(signal.SIGKILL)


@pytest.mark.slow
def test_a_killed_and_a_failed_experiment_continue_when_the_sweep_is_run_again(
    repository: Path, environment: dict[str, str]
) -> None:
    for name in ("hold", "full"):
        (repository / name).touch()
    process = start_sweeps(repository, environment, "grid", GRID, "--gpus", "0,1")
    checkpoint = repository / ".scratch/train/0.25"
    deadline = time.monotonic() + 120
    while not (checkpoint.exists() and checkpoint.read_text()):
        assert time.monotonic() < deadline and process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    kill_experiment(repository)
    (repository / "hold").unlink()
    out = process.communicate(timeout=300)[0]
    assert process.returncode == 1, out
    assert f"killed: {KILLED}\n" in out
    assert f"failed: {FAILED}: error: data/trained: no space left on device" in out
    assert "2 experiments have no result" in out
    logs = start_sweeps(repository, environment, "logs", FAILED).communicate()[0]
    assert logs.startswith("error: data/trained: no space left on device")
    assert "ERROR: failed to reproduce 'train'" in logs.splitlines()[-1]

    (repository / "full").unlink()
    process = start_sweeps(repository, environment, "grid", GRID, "--gpus", "0,1")
    out = process.communicate(timeout=300)[0]
    assert process.returncode == 0, out
    assert re.findall(r"^queued again: (\S+) \((\w+) before\)", out, re.MULTILINE) == [
        (KILLED, "killed"), (FAILED, "failed"),
    ]  # fmt: skip
    assert "queued: " not in out, "the other one is done"
    rows = [line.split() for line in out.splitlines() if line.startswith("train_fraction=")][:3]
    assert len(rows) == 3, out
    # 0.5 + 0.4 · 0.75, with the interval of details.json; the smaller the share, the less the time
    assert rows[0][:6] == ["train_fraction=0.75", "1", "80.0%", "79.0%", "to", "81.0%"]
    assert [row[-1] for row in rows] == ["time"] * 3
    assert "The page for your browser: build/sweeps/sweep-of-train_fraction.html" in out
    page = (repository / "build/sweeps/sweep-of-train_fraction.html").read_text()
    assert page.count("<svg") == 2 and "dvc exp apply train_fraction=0.75" in page
    logs = start_sweeps(repository, environment, "logs", KILLED).communicate()[0]
    assert re.search("train: starts at step [1-5] on GPU [01]$", logs, re.MULTILINE)
    assert not list((repository / ".dvc/tmp/exps").glob("tmp*")), "folders of experiments are gone"
    text = "".join(log.read_text() for log in (repository / ".dvc/tmp/exps/run").glob("*/*.out"))
    assert {*re.findall(r"on GPU (\S+)", text)} == {"0", "1"}, "each worker sees its own device"


def test_mistakes_are_reported_at_once_and_nothing_is_queued(
    repository: Path, environment: dict[str, str]
) -> None:
    process = start_sweeps(
        repository, environment, "grid", "train.learning_rte=1,2 train.adapter.rr=8 seed=a,3"
    )
    assert process.communicate()[0].splitlines() == [
        "error: GRID: seed: input should be a valid integer, not 'a'",
        "error: GRID: train.learning_rte: unknown key; did you mean learning_rate?",
        "error: GRID: train.adapter: lora has no option rr; did you mean r?",
    ]
    assert process.returncode == 2
    assert not (repository / ".dvc/tmp/exps").exists()


@pytest.mark.slow
def test_each_kind_of_sweep_queues_its_settings(
    repository: Path, environment: dict[str, str]
) -> None:
    (repository / "data/small").mkdir()
    commands = [
        ["seeds", "2"],
        ["crossval", "2"],
        ["curve", "0.5,1", "--seeds", "2"],
        ["bases", "starter data/small"],
    ]
    code = (
        "from lockstep.sweeps.__main__ import main\n"
        f"for command in {commands}: main([*command, '--queue-only'], standalone_mode=False)"
    )  # in one process, which imports torch once
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, env=environment, text=True,
        capture_output=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert re.findall("^queued: (.*)$", result.stdout, re.MULTILINE) == [
        "seed=7", "seed=8",
        "fold=0of2", "fold=1of2",
        "train_fraction=0.5,seed=7", "train_fraction=0.5,seed=8",
        "train_fraction=1,seed=7", "train_fraction=1,seed=8",
        "base=starter", "base=small",
    ]  # fmt: skip
