"""A training resumes under `dvc exp run --temp` and gives the result of `dvc repro`."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import REPOSITORY, make_tiny_params

pytestmark = pytest.mark.slow

PIPELINE = """\
stages:
  train:
    cmd: >-
      exec python -m stages.train
      base augmented prepared/validation.jsonl prepared/labels.json trained
    deps: [base, augmented, prepared]
    params: [compute, seed, train, weights]
    outs: [trained]
"""
CHANGES = {
    "train.epochs": 40.0,  # long enough to be killed before it ends
    "train.log_steps": 10,
    "train.evaluation_steps": 10,  # a line of output
    "runtime.checkpoint_steps": 10,
}


@pytest.fixture
def start_command(workspace: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start a command in the workspace, which becomes a repository with one stage."""
    values = make_tiny_params(CHANGES)
    with (workspace / "params.yaml").open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(values, stream)
    (workspace / "dvc.yaml").write_text(PIPELINE)
    (workspace / ".gitignore").write_text("/trained\n.scratch\n")
    (workspace / "reports/timings").mkdir(parents=True)  # git tracks it, so experiments bring it
    (workspace / "reports/timings/train.json").write_text("{}")
    site_cache = workspace.parent / "site"
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "SHELL"))},
        "PYTHONPATH": str(REPOSITORY),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DVC_SITE_CACHE_DIR": str(site_cache),
        "DVC_NO_ANALYTICS": "1",
        **{f"GIT_{role}_{field}": "t@example.org" for role in ("AUTHOR", "COMMITTER")
           for field in ("NAME", "EMAIL")},
    }  # fmt: skip

    def start(*command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, cwd=workspace, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    for command in (
        ["git", "init", "-q"],
        ["dvc", "init", "-q"],
        ["git", "add", "-A"],
        ["git", "commit", "-qm", "start"],
    ):
        finish(start(*command))
    return start


def finish(process: subprocess.Popen[str]) -> str:
    out = process.communicate(timeout=300)[0]
    assert process.returncode == 0, out
    return out


def read_output_hash(lock: str) -> Any:
    """Return the hash of the stage's output."""
    return YAML(typ="safe").load(lock)["stages"]["train"]["outs"][0]["md5"]


def read_timings(start_command: Callable[..., subprocess.Popen[str]]) -> str:
    """Return the file with the time of `train` in the only experiment."""
    refs = finish(start_command("git", "for-each-ref", "--format=%(refname)", "refs/exps")).split()
    (ref,) = [ref for ref in refs if re.search(r"/[a-z]+-[a-z]+$", ref)]
    return finish(start_command("git", "show", f"{ref}:reports/timings/train.json"))


def list_experiment_hashes(start_command: Callable[..., subprocess.Popen[str]]) -> Sequence[str]:
    """Return the hash of the output of each experiment."""
    refs = finish(start_command("git", "for-each-ref", "--format=%(refname)", "refs/exps")).split()
    names = [ref for ref in refs if re.search(r"/[a-z]+-[a-z]+$", ref)]
    return [
        read_output_hash(finish(start_command("git", "show", f"{ref}:dvc.lock"))) for ref in names
    ]


def test_a_killed_experiment_resumes(
    start_command: Callable[..., subprocess.Popen[str]], workspace: Path
):
    process = start_command("dvc", "exp", "run", "--temp")
    assert process.stdout is not None
    assert any(line.startswith("train: step 30/") for line in process.stdout)
    process.kill()  # kills DVC itself; the stage notices that, saves a checkpoint and ends
    process.wait()
    deadline = time.monotonic() + 60
    while list((workspace / ".scratch/train").glob("*.lock")):
        assert time.monotonic() < deadline, "the stage still runs after dvc has ended"
        time.sleep(0.1)
    assert not list_experiment_hashes(start_command)

    out = finish(start_command("dvc", "exp", "run", "--temp"))
    assert re.search(r"train: resumes at step \d+ of 120", out)
    (killed,) = list_experiment_hashes(start_command)
    assert '"resumed_from_step": ' in read_timings(start_command)
    finish(start_command("dvc", "repro", "-f"))
    assert killed == read_output_hash((workspace / "dvc.lock").read_text())

    finish(start_command("git", "add", "dvc.lock"))
    finish(start_command("git", "commit", "-qm", "trained"))
    finish(start_command("dvc", "exp", "run", "--queue", "-S", "seed=8"))
    finish(start_command("dvc", "queue", "start", "-j", "1"))
    deadline = time.monotonic() + 120
    while len(list_experiment_hashes(start_command)) < 2:
        assert time.monotonic() < deadline, finish(start_command("dvc", "queue", "status"))
        time.sleep(1)
    assert len(set(list_experiment_hashes(start_command))) == 2
